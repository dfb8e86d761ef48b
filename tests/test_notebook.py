"""The notebook: explained, run in order, with its figures stored; and it runs, as do the answers of its exercises."""

import re
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

PATH = Path(__file__).parents[1] / "notebooks" / "generating_digits.ipynb"
MAX_BYTES = 2_500_000
EXERCISES = 5


@pytest.fixture(scope="module")
def notebook():
    return nbformat.read(PATH, as_version=4)


def code_cells(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def answers(notebook):
    """The code of each exercise's answer."""
    cells = [cell.source for cell in notebook.cells if cell.source.startswith("### Exercise")]
    assert all(cell.count("<details>") == cell.count("</details>") == 1 for cell in cells)
    return ["\n".join(re.findall(r"^```python\n(.*?)^```", cell, re.S | re.M)) for cell in cells]


def test_is_valid_and_of_modest_size(notebook):
    nbformat.validate(notebook)
    assert notebook.metadata.kernelspec.name == "python3"
    assert PATH.stat().st_size < MAX_BYTES


def test_every_code_cell_is_explained_and_short(notebook):
    for before, cell in zip(notebook.cells, notebook.cells[1:], strict=False):
        if cell.cell_type == "code":
            assert before.cell_type == "markdown", cell.source
            assert len(before.source) > 80
            assert len(cell.source.splitlines()) <= 45
    assert notebook.cells[0].cell_type == "markdown"


def test_was_run_once_from_top_to_bottom_without_a_word_of_warning(notebook):
    cells = code_cells(notebook)
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    outputs = [output for cell in cells for output in cell.outputs]
    assert {output.output_type for output in outputs} <= {"stream", "display_data"}
    assert all(output.name == "stdout" for output in outputs if output.output_type == "stream")
    assert all(cell.outputs for cell in cells[1:]), "outputs are missing; run the notebook and store it"


def test_figures_are_stored_with_a_description(notebook):
    figures = [o for c in code_cells(notebook) for o in c.outputs if "image/png" in o.get("data", {})]
    assert len(figures) >= 25
    assert all(len(figure.metadata["image/png"]["alt"]) > 15 for figure in figures)


def test_names_no_place_of_any_machine(notebook):
    for cell in notebook.cells:
        outputs = [o.get("text", "") + o.get("data", {}).get("text/plain", "") for o in cell.get("outputs", [])]
        for text in (cell.source, *outputs):
            assert not re.search(r"(?<![\w.<(])/(home|root|usr|tmp|work|opt|Users|var|mnt)\b|[A-Z]:\\", text), text
    assert set(notebook.metadata) == {"kernelspec", "language_info"}


def test_has_exercises_with_folded_answers(notebook):
    assert len(answers(notebook)) == EXERCISES
    for source in answers(notebook):
        compile(source, "answer", "exec")


def test_numbers_in_its_words_are_those_of_its_run(notebook):
    """What prose says of the run, held against the stored outputs."""
    text = "".join(o.text for c in code_cells(notebook) for o in c.outputs if o.output_type == "stream")
    scores = dict(re.findall(r"(k-means|Gaussian mixture|10 neighbours) +accuracy ([\d.]+)%", text))
    best = max(float(scores["k-means"]), float(scores["Gaussian mixture"]))
    assert float(scores["10 neighbours"]) > best + 10  # "Neighbours read the map far better than clusters do"
    ours, exact = (
        [float(value) for value in row]
        for row in re.findall(r"ELBO (-[\d.]+)  iw_bound\(100\) (-[\d.]+)  quadrature (-[\d.]+)", text)
    )
    assert ours[0] < ours[1] < ours[2] - 2  # "The ELBO of our model is far below its quadrature"
    assert exact[0] < exact[2]
    assert exact[2] > ours[2]


@pytest.mark.slow
def test_runs_and_its_answers_too(notebook, tmp_path):
    fresh = nbformat.v4.new_notebook(metadata=notebook.metadata)
    sources = [cell.source for cell in code_cells(notebook)] + answers(notebook)
    fresh.cells = [nbformat.v4.new_code_cell(source) for source in sources]
    client = NotebookClient(fresh, timeout=1200, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}})
    client.execute()  # raises at the first error
    said = [o for cell in fresh.cells for o in cell.outputs if o.output_type == "stream" and o.name == "stderr"]
    assert not said, said
    assert list(tmp_path.iterdir()) == []
