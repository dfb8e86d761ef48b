"""Model folders and training states on disk: safetensors and JSON, written aside and renamed, with a checksum."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save_file
from torch import Tensor

from digitvae.config import Config
from digitvae.errors import RunError
from digitvae.models.vae import VAE

FORMAT = 1
"""Version of the layout; a reader refuses one that it does not know."""

OWN = ("format", "sha256", "config")
"""What ``config.json`` always has; all else in it are facts that were saved with the model."""


def save_model(
    folder: Path,
    model: VAE,
    config: Config,
    card: str,
    facts: Mapping[str, Any] | None = None,
    dtype: torch.dtype = torch.float32,
) -> None:
    """Write a model folder: ``config.json``, ``model.safetensors`` and ``README.md``.

    The folder appears whole or not at all; one of the same name is replaced.

    Args:
        folder: The folder.
        model: The model.
        config: The recipe it was trained with.
        card: The text of ``README.md``.
        facts: What else ``config.json`` says of it (JSON values), such as the digits that it was trained on.
        dtype: What numbers are kept in: ``torch.float16`` halves the file. Reading gives float32 in any case.

    Raises:
        RunError: If it cannot be written.
    """
    aside = folder.with_name(folder.name + ".part")
    try:
        shutil.rmtree(aside, ignore_errors=True)
        aside.mkdir(parents=True)
        weights = _kept(model, dtype)
        save_file(weights, aside / "model.safetensors")
        content = {"format": FORMAT, "sha256": _digest(weights), "config": config.to_dict(), **(facts or {})}
        (aside / "config.json").write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
        (aside / "README.md").write_text(card, encoding="utf-8")
        replace_folder(aside, folder)
    except (OSError, SafetensorError) as error:
        raise _cannot_write(folder, error) from error
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def load_model(folder: Path) -> tuple[VAE, Config]:
    """Read a model folder: the model, in evaluation mode, and the recipe it was trained with.

    Raises:
        RunError: If files are missing or damaged, or the weights do not fit the recipe.
    """
    path = folder / "model.safetensors"
    for _ in range(2):  # a run may put another model in its place between the two files: then both are read again
        content = model_facts(folder)
        weights = _read_tensors(path)[0]
        if _digest(weights) == content["sha256"]:
            break
    else:
        raise RunError(f"{path} does not match its checksum; restore or train again.")
    config = Config.from_dict(content["config"], str(folder / "config.json"))
    wide = {name: t.float() if t.dtype == torch.float16 else t for name, t in weights.items()}
    with torch.device("meta"):  # takes no memory: what the recipe claims may be far larger than the file
        _refuse_misfits(VAE.from_config(config.model, seed=0), wide, path)
    model = VAE.from_config(config.model, seed=0)
    model.load_state_dict(wide)
    model.recipe = config
    facts = {name: value for name, value in content.items() if name not in OWN}
    model.read = _digest(_kept(model, torch.float32)), facts
    return model.eval(), config


def facts_of(model: VAE) -> dict[str, Any]:
    """The facts of the folder that a model was read from; of one that was changed since, what it was trained on alone.

    Scores and the like are of the weights that were read. A model that was not read has none.
    """
    digest, facts = model.read
    same = digest == _digest(_kept(model, torch.float32))
    return {name: value for name, value in facts.items() if same or name == "data"}


def is_described(model: VAE, config: Config) -> bool:
    """Whether a recipe is that of a model: whether what `save_model` writes of the two can be read again."""
    with torch.device("meta"):
        described = VAE.from_config(config.model, seed=0)
    shapes = [{name: t.shape for name, t in each.state_dict().items()} for each in (model, described)]
    return shapes[0] == shapes[1] and type(model.likelihood) is type(described.likelihood)


def model_facts(folder: Path) -> dict[str, Any]:
    """What ``config.json`` of a model folder says: ``config``, ``sha256`` of the weights, and the facts saved with it.

    ``config``, its ``data`` and, where they are there, the facts ``data`` and ``scores`` are dictionaries.

    Raises:
        RunError: If the file is missing, damaged or of another layout.
    """
    path = folder / "config.json"
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        layout = content["format"]
    except OSError as error:
        raise RunError(f"{folder} is not a model folder: it has no config.json.") from error
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise _damaged(path) from error
    if layout != FORMAT:
        raise RunError(f"{path} has layout {layout}; this version reads layout {FORMAT}.")
    named = (content.get("config"), content.get("data", {}), content.get("scores", {}))
    if not (isinstance(content.get("sha256"), str) and all(isinstance(each, dict) for each in named)):
        raise _damaged(path)
    content["config"].setdefault("data", {})
    return dict(content)


def _refuse_misfits(model: torch.nn.Module, weights: Mapping[str, Tensor], source: Path) -> None:
    wanted = {name: (t.shape, t.dtype) for name, t in model.state_dict().items()}
    if wanted != {name: (t.shape, t.dtype) for name, t in weights.items()}:
        raise RunError(f"{source} holds the weights of another model than its recipe describes.")


def save_state(path: Path, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> None:
    """Write named tensors and JSON facts as one file, in one step: the old file stays until the new one is whole.

    Raises:
        RunError: If it cannot be written.
    """
    aside = path.with_name(path.name + ".part")
    contiguous = {name: t.detach().contiguous() for name, t in tensors.items()}
    text = json.dumps(dict(facts))
    metadata = {"format": str(FORMAT), "facts": text, "sha256": _digest(contiguous, text)}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        save_file(contiguous, aside, metadata)
        os.replace(aside, path)
    except (OSError, SafetensorError) as error:
        with contextlib.suppress(OSError):
            aside.unlink(missing_ok=True)
        raise _cannot_write(path, error) from error


def load_state(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read what `save_state` wrote.

    Raises:
        RunError: If the file is missing, damaged or of another layout.
    """
    tensors, metadata = _read_tensors(path)
    if metadata.get("format") != str(FORMAT):
        raise RunError(f"{path} is not a training state of this version.")
    if metadata.get("sha256") != _digest(tensors, metadata.get("facts", "")):
        raise RunError(f"{path} does not match its checksum; start the run again.")
    try:
        return tensors, dict(json.loads(metadata["facts"]))
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise _damaged(path) from error


def replace_folder(new: Path, old: Path) -> None:
    """Put the folder `new` in the place of `old`.

    A folder cannot be replaced in one step everywhere, so the old one is moved away first; `.old` is left only if
    the process dies between the two renames.
    """
    put_back(old)
    away = _away(old)
    shutil.rmtree(away, ignore_errors=True)
    if old.exists():
        os.replace(old, away)
    try:
        os.replace(new, old)
    except OSError:
        if away.exists():
            os.replace(away, old)
        raise
    shutil.rmtree(away, ignore_errors=True)


def put_back(folder: Path) -> None:
    """Give a folder its name again that was moved away when the process died, before another had taken its place."""
    if _away(folder).exists() and not folder.exists():
        os.replace(_away(folder), folder)


def _away(folder: Path) -> Path:
    return folder.with_name(folder.name + ".old")


def _read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Tensors and metadata of one and the same file: it is opened once, as a run may put another in its place."""
    try:
        content = path.read_bytes()
        tensors = load(content)
    except FileNotFoundError as error:
        raise RunError(f"{path} is missing.") from error
    except (SafetensorError, OSError, LookupError, TypeError, ValueError, RuntimeError) as error:
        # The library names kinds of numbers that PyTorch does not have by a KeyError.
        raise RunError(f"{path} is damaged or is not a safetensors file; restore it or train again.") from error
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    return tensors, header.get("__metadata__") or {}


def _kept(model: VAE, dtype: torch.dtype) -> dict[str, Tensor]:
    """What is written of a model: all numbers, those with a point in that type."""
    tensors = {name: t.detach() for name, t in model.state_dict().items()}
    return {name: (t.to(dtype) if t.is_floating_point() else t).contiguous() for name, t in tensors.items()}


def _digest(tensors: Mapping[str, Tensor], text: str = "") -> str:
    digest = hashlib.sha256(text.encode())
    for name in sorted(tensors):
        tensor = tensors[name].cpu().contiguous()
        digest.update(f"{name}{tuple(tensor.shape)}{tensor.dtype}".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def _damaged(path: Path) -> RunError:
    return RunError(f"{path} is damaged; restore it from a copy or train again.")


def _cannot_write(path: Path, error: Exception) -> RunError:
    return RunError(f"Cannot write {path}: {getattr(error, 'strerror', None) or error}.")
