"""From a run or model on disk to its ``evaluation.json``."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from digitvae.checkpoint import load_model, model_facts
from digitvae.config import Binarization, Config
from digitvae.data import Digits, Splits
from digitvae.errors import ConfigError, InputError, RunError
from digitvae.evaluation.density import Effort
from digitvae.evaluation.scoring import Reference, Scores, score_images
from digitvae.machine import machine_facts
from digitvae.models.vae import VAE
from digitvae.processes import ALONE, Team
from digitvae.rundir import RunDirectory, find_model, write_aside
from digitvae.structure import count_parameters


def data_of(model: str) -> str:
    """The data that a model is measured on unless another is named: the run's own, else MNIST.

    Raises:
        RunError: If the run directory is damaged.
    """
    run = RunDirectory(Path(model))
    return run.data_name() if run.config_file.is_file() else "mnist"


def evaluation_file(model: str, out: Path | None, splits: Splits) -> Path:
    """Where the measures go: into the run directory, or beside where the user stands.

    Raises:
        RunError: If there is no such run or model, or the file exists, does not belong to the run and holds something
            else than measures of this model on these digits.
    """
    folder = find_model(model)
    run = RunDirectory(Path(model))
    if out is None and run.config_file.is_file():
        return run.evaluation_file
    path = out or Path(f"{Path(model).resolve().name}-evaluation.json")
    if path.exists() and _measured(path, model_facts(folder)["sha256"], splits) is None:
        raise RunError(f"{path} exists and is no evaluation of this model on these digits; name another with --out.")
    if not path.parent.is_dir():
        raise RunError(f"There is no folder {path.parent}; make it, or name another file with --out.")
    return path


def evaluate_folder(
    model: str,
    splits: Splits,
    metrics: Sequence[str],
    binarization: str | None,
    full: bool,
    path: Path,
    notify: Callable[[str], None] = lambda text: None,
    team: Team = ALONE,
    k: int | None = None,
) -> dict[str, Any]:
    """Measure a model and write the measures to `path`, anew after each section: a stop loses no more than that.

    What `path` holds already of the same weights and digits, and is not measured now, is kept: sections with the
    ``machine`` that they were measured on, and measures within a section (of the same binarisation) with its
    ``effort`` and ``machine``.

    Args:
        model: Run directory, model folder or shipped name.
        splits: The digits.
        metrics: Some of `digitvae.evaluation.suite.METRICS`.
        binarization: ``none``, ``dynamic`` or ``static``; the recipe's where None.
        full: Whether to take minutes rather than seconds.
        path: The JSON file.
        notify: Told what is computed next.
        team: Processes that share the work.
        k: Codes for each image in the importance-weighted bound; 500 in the full form, else 50, where None.

    Returns:
        What was written, for the leader; others get nothing.

    Raises:
        InputError: If a metric or binarisation is unknown, or the digits are too few or have no labels where they are
            needed.
        RunError: If the model is missing or damaged, the file cannot be written, or another process is gone.
    """
    from digitvae.evaluation.suite import FORMAT, evaluate_model  # brings what takes seconds to import

    folder = find_model(model)
    vae, config = load_model(folder)
    chosen = _binarization(binarization, config)
    effort = Effort() if full else Effort.quick()
    if k is not None:
        effort = dataclasses.replace(effort, k=k)
    own = model_facts(folder)
    facts = {
        "format": FORMAT,
        "model": str(model),
        "recipe": config.recipe,
        "weights": own["sha256"],
        "parameters": count_parameters(vae),
        "data": {"name": splits.name, "caption": splits.caption, "sha256": splits.sha256},
    }
    kept, machine = _measured(path, own["sha256"], splits) or {}, machine_facts()

    def write(sections: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
        now = {name: _completed(section, kept.get(name), own, splits) for name, section in sections.items()}
        content = {**facts, "sections": {**kept, **now}, "machine": machine}
        write_aside(path, json.dumps(content, indent=2) + "\n")
        return content

    sections = evaluate_model(vae, splits, chosen, metrics, effort, notify, team, write)
    return write(sections) if team.leads else {}


def _completed(
    section: Mapping[str, Any], before: Mapping[str, Any] | None, facts: Mapping[str, Any], splits: Splits
) -> dict[str, Any]:
    """A section marked where its digits were seen in training, with measures of `before` that were not made again."""
    marked = {**section, "seen_in_training": seen_in_training(facts, splits, section["digits"])}
    if marked["seen_in_training"]:
        marked.pop("copy_audit", None)  # which asks how much nearer digits are to those that were trained on
    if "note" not in section and before is not None and before.get("binarization") == section.get("binarization"):
        again = {measure["name"] for measure in section["measures"]}
        made = {key: before[key] for key in ("effort", "machine") if key in before}
        old = [{**made, **measure} for measure in before["measures"] if measure["name"] not in again]
        marked["measures"] = [*section["measures"], *old]
    return marked


def seen_in_training(facts: Mapping[str, Any], splits: Splits, part: str) -> bool:
    """Whether a model was trained on the ``validation`` or ``test`` digits of `splits`, or on some of them.

    `facts` are those of `digitvae.checkpoint.model_facts`. All of `mnist-5k` are training digits of MNIST. Of other
    data only the same content is known to be the same.
    """
    data, train_on = facts.get("data", {}), facts["config"]["data"].get("train_on")
    if data.get("name") == "mnist" and splits.name == "mnist-5k":
        return part in ("validation", "test")
    return part == "validation" and train_on == "all" and data.get("sha256") == splits.sha256


def score_folder(
    model: str, digits: Digits, binarization: str | None, data: Callable[[], Splits], carried: bool = True
) -> Scores:
    """Score digits with a model, among real digits that it was not trained on.

    Args:
        model: Run directory, model folder or shipped name.
        digits: What to score.
        binarization: ``none``, ``dynamic`` or ``static``; the recipe's where None.
        data: Gives the real digits; not called where they are not needed.
        carried: Whether scores of real digits that the model itself carries, as shipped models do, are enough.

    Raises:
        ConfigError: If there is no such binarisation.
        InputError: If the model is conditioned on the digit.
        RunError: If the model is missing or damaged, or was trained on all the digits that there are.
    """
    folder = find_model(model)
    vae, config = load_model(folder)
    chosen = _binarization(binarization, config)
    if vae.classes:
        raise InputError("Digits are scored by models that are not told the digit, and this one is.")
    facts = model_facts(folder)
    there = facts.get("scores", {})
    # Static and dynamic binarisation draw a scored image alike: each pixel once, with a fixed seed.
    kind = "none" if chosen == "none" else "dynamic"
    if carried and kind in there:
        try:
            reference = Reference.from_dict(there[kind], chosen)
        except (KeyError, TypeError, ValueError) as error:
            raise RunError(f"{folder / 'config.json'} is damaged; restore it from a copy or train again.") from error
    else:
        reference = reference_scores(vae, facts, data(), chosen)
    return score_images(vae, digits.images, reference)


def reference_scores(model: VAE, facts: Mapping[str, Any], splits: Splits, binarization: Binarization) -> Reference:
    """Scores of real digits that the model was not trained on: validation digits, or test digits where it saw those.

    `facts` are those of `digitvae.checkpoint.model_facts`.

    Raises:
        RunError: If it was trained on all digits that there are.
    """
    for part, digits in (("validation", splits.validation), ("test", splits.test)):
        if digits is not None and not seen_in_training(facts, splits, part):
            return Reference.measured(model, digits.images, binarization, f"{part} digits of {splits.title}")
    raise RunError("The model was trained on all of these digits; name others with --data.")


def write_scores(path: Path, scores: Scores, names: Sequence[str]) -> None:
    """Write scores as CSV: what the image is called, log p(x) in nats, percentile, binarisation.

    Raises:
        RunError: If the file cannot be written.
    """
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(("image", scores.reference.title, "percentile", "binarization"))
    for name, log_prob, percentile in zip(names, scores.log_prob, scores.percentile, strict=True):
        table.writerow((name, f"{log_prob:.4f}", f"{percentile:.2f}", scores.reference.binarization))
    write_aside(path, text.getvalue())


def _binarization(asked: str | None, config: Config) -> Binarization:
    chosen = asked or config.data.binarization
    if chosen not in ("none", "dynamic", "static"):
        raise ConfigError(f"The binarization cannot be '{chosen}'; use one of: none, dynamic, static.")
    return cast(Binarization, chosen)


def _measured(path: Path, weights: str, splits: Splits) -> dict[str, Any] | None:
    """Sections of an evaluation that is there already, each with its machine, if it is of the same weights and digits;
    else None.
    """
    from digitvae.evaluation.suite import FORMAT

    try:
        there = json.loads(path.read_text(encoding="utf-8"))
        if (there["format"], there["weights"], there["data"]["sha256"]) != (FORMAT, weights, splits.sha256):
            return None
        sections = {name: {"machine": there["machine"], **section} for name, section in there["sections"].items()}
        for section in sections.values():
            _ = [measure["name"] for measure in section["measures"]]
        return sections
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
