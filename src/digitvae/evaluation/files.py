"""From a run or model on disk to its ``evaluation.json``."""

from __future__ import annotations

import csv
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


def evaluation_file(model: str, out: Path | None) -> Path:
    """Where the measures go: into the run directory, or beside where the user stands.

    Raises:
        RunError: If there is no such run or model, or the file exists and does not belong to the run.
    """
    find_model(model)
    run = RunDirectory(Path(model))
    if out is None and run.config_file.is_file():
        return run.evaluation_file
    path = out or Path(f"{Path(model).resolve().name}-evaluation.json")
    if path.exists():
        raise RunError(f"{path} exists; name another file with --out.")
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
) -> dict[str, Any]:
    """Measure a model and write the measures to `path`.

    What `path` holds already of the same weights and digits, and is not measured now, is kept.

    Args:
        model: Run directory, model folder or shipped name.
        splits: The digits.
        metrics: Some of `digitvae.evaluation.suite.METRICS`.
        binarization: ``none``, ``dynamic`` or ``static``; the recipe's where None.
        full: Whether to take minutes rather than seconds.
        path: The JSON file.
        notify: Told what is computed next.
        team: Processes that share the work.

    Returns:
        What was written, for the leader; others get nothing.

    Raises:
        InputError: If a metric or binarisation is unknown, or the digits have no labels where they are needed.
        RunError: If the model is missing or damaged, the file cannot be written, or another process is gone.
    """
    from digitvae.evaluation.suite import FORMAT, evaluate_model  # brings what takes seconds to import

    folder = find_model(model)
    vae, config = load_model(folder)
    chosen = _binarization(binarization, config)
    effort = Effort() if full else Effort.quick()
    own = model_facts(folder)
    facts = {
        "format": FORMAT,
        "model": str(model),
        "recipe": config.recipe,
        "weights": own["sha256"],
        "parameters": count_parameters(vae),
        "data": {"name": splits.name, "caption": splits.caption, "sha256": splits.sha256},
    }
    sections = evaluate_model(vae, splits, chosen, metrics, effort, notify, team)
    if not team.leads:
        return {}
    for section in sections.values():
        section["seen_in_training"] = seen_in_training(own, splits, section["digits"])
        if section["seen_in_training"]:
            section.pop("copy_audit", None)  # which asks how much nearer digits are to those that were trained on
    kept = _kept(path, facts)
    content = {**facts, "sections": {**kept, **sections}, "machine": machine_facts()}
    write_aside(path, json.dumps(content, indent=2) + "\n")
    return content


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
    if carried and chosen in there:
        try:
            reference = Reference.from_dict(there[chosen], chosen)
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


def _kept(path: Path, facts: dict[str, Any]) -> dict[str, Any]:
    """Sections of an evaluation that is there already, if it is of the same weights and digits."""
    try:
        there = json.loads(path.read_text(encoding="utf-8"))
        same = all(there[key] == facts[key] for key in ("format", "weights", "data"))
        return dict(there["sections"]) if same else {}
    except (OSError, ValueError, KeyError, TypeError):
        return {}
