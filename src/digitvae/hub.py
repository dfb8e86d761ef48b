"""Model folders by name: read, written, and put where others find them (the Hugging Face Hub)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from digitvae.checkpoint import facts_of, is_described, load_model, save_model
from digitvae.config import Config
from digitvae.errors import InputError, RunError
from digitvae.models.vae import VAE
from digitvae.rundir import find_model, is_data

MNIST = ("mnist", "mnist-5k")


def from_pretrained(name: str | Path) -> VAE:
    """The model of a run directory, a model folder or a shipped name, in evaluation mode.

    What it was trained with is in its attribute ``recipe``. Images that it takes are float in [0, 1], of shape
    (batch, 1, 28, 28), ink is 1; its densities are in nats.

    Args:
        name: Such as ``runs/map``, ``mine/`` or ``exact``. What lies there comes before what is shipped.

    Raises:
        RunError: If there is no such model, or it is damaged.

    >>> import torch
    >>> model = from_pretrained("map")
    >>> model.encode(torch.zeros(3, 1, 28, 28)).loc.shape
    torch.Size([3, 2])
    >>> model.recipe.training.objective
    'elbo'
    """
    model, _ = load_model(find_model(str(name)))
    return model


def save_pretrained(model: VAE, folder: str | Path, recipe: Config | None = None, card: str = "") -> Path:
    """Write a new model folder: ``config.json``, ``model.safetensors`` (float32) and ``README.md``.

    The layout is what the Hugging Face Hub shows as a model; `from_pretrained` and every command read it. What the
    folder that a model was read from says of its training digits is written too, and, if its weights are still the
    same, the scores of real digits. Files that a model draws with (``draw.onnx``, ``style.onnx``, ``knobs.npz``,
    ``hands.npz``) are not: ``digitvae export FOLDER -o NEW`` makes them.

    Args:
        model: The model, of images. ``model_`` of a ``DigitVAE`` is one where that was fitted to images; its recipe is
            then ``config_``.
        folder: Where; the folder is made, and must not exist.
        recipe: What it was trained with; the model's own ``recipe`` where left out.
        card: What ``README.md`` says below its header; the recipe, what it is for, and the training digits, as far as
            they are known, where left out.

    Returns:
        The folder.

    Raises:
        InputError: If the model knows no recipe and none is given, or it is another model than the recipe describes.
        RunError: If the folder exists, or cannot be written.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as place:
    ...     folder = save_pretrained(from_pretrained("map"), Path(place) / "mine")
    ...     sorted(path.name for path in folder.iterdir())
    ['README.md', 'config.json', 'model.safetensors']
    """
    folder = Path(folder)
    recipe = recipe or model.recipe
    if recipe is None:
        raise InputError("This model was not read from a model folder; give the recipe that it was trained with.")
    if not is_described(model, recipe):
        raise InputError(
            "The recipe describes another model, so this one could not be read again; give the recipe that it was "
            "trained with. (A DigitVAE that was fitted to other rows than images in [0, 1] has none: pickle it.)"
        )
    if folder.exists():
        raise RunError(f"{folder} exists; name another folder.")
    facts = facts_of(model)
    name, text = recipe.data.name, f"# digitvae model: recipe `{recipe.recipe}`\n\n{recipe.description}\n"
    if is_data(facts.get("data")):
        name = facts["data"]["name"]
        text += f"\n{card_data(facts['data'], recipe.training.seed)}\n"
    save_model(folder, model, recipe, card_header(name) + (card or text), facts)
    return folder


def push_to_hub(name: str | Path, repo_id: str, *, private: bool = False, token: str | None = None) -> str:
    """Upload a model folder, as it is, to the Hugging Face Hub. Needs the extra ``hub``.

    Tested against a local stand-in for the Hub's client only, never against the Hub itself.

    Args:
        name: As in `from_pretrained`.
        repo_id: Such as ``somebody/my-digits``; made where it does not exist.
        private: Whether a repository that is made is private.
        token: The Hub's token; the one that you are logged in with where left out.

    Returns:
        The address of the commit.

    Raises:
        RunError: If there is no such model, or it is damaged.
        InputError: If the extra is not installed, or the Hub refuses.

    >>> push_to_hub("nowhere", "somebody/my-digits")
    Traceback (most recent call last):
    ...
    digitvae.errors.RunError: nowhere is neither a run directory nor a model folder, nor one that comes along \
(exact, map, studio).
    """
    folder = find_model(str(name))
    load_model(folder)  # what is damaged is not given to others
    try:
        from huggingface_hub import HfApi
    except ImportError as error:
        raise InputError("Uploading needs the extra hub: pip install 'digitvae[hub]'.") from error
    api = HfApi(token=token)
    try:
        api.create_repo(repo_id, private=private, exist_ok=True)
        commit = api.upload_folder(repo_id=repo_id, folder_path=folder, commit_message=f"Upload {folder.name}")
    except Exception as error:  # the client has errors of many kinds, and those of what it asks the network with
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise InputError(f"The Hub did not take {folder} as {repo_id}: {reason}") from error
    return str(commit.commit_url)


def card_header(data: str) -> str:
    """The header of a model card, as the Hugging Face Hub reads it: YAML between two lines of dashes.

    Args:
        data: The name of the data that the model was trained on; what is not MNIST is not named.

    >>> print(card_header("mine/"), end="")
    ---
    library_name: digitvae
    license: mit
    pipeline_tag: unconditional-image-generation
    tags:
    - variational-autoencoder
    - handwritten-digits
    ---
    """
    lines = ["---", "library_name: digitvae", "license: mit", "pipeline_tag: unconditional-image-generation"]
    lines += ["datasets:", "- ylecun/mnist"] * (data in MNIST)
    lines += ["tags:", "- variational-autoencoder", "- handwritten-digits", *["- mnist"] * (data in MNIST), "---"]
    return "\n".join(lines) + "\n"


def card_data(data: Mapping[str, Any], seed: int) -> str:
    """What a model card says of the digits that a model was trained on; `data` is that of a run's manifest."""
    notes = "".join(f" {note}" for note in data["notes"])
    return (
        f"- **Data**: {data['caption']}; SHA-256 `{data['sha256']}`.{notes}\n"
        f"- **Trained on** {data['training']:,} digits, **validated on** {data['validation']:,}; seed {seed}."
    )
