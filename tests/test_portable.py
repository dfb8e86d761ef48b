"""ONNX files of every shipped model and every kind of network, run by onnxruntime and held against PyTorch."""

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from tests.commands import digitvae

from digitvae.config import Config
from digitvae.data import Digits
from digitvae.errors import DataError, RunError
from digitvae.hub import from_pretrained
from digitvae.models.vae import VAE
from digitvae.portable import MOST_DIFFERENT, export_portable
from digitvae.rundir import shipped_models

SMALL = {
    "conv": ["network=conv", "encoder=[4,8]", "decoder=[4]"],
    "mixture": ["prior=mixture", "likelihood=normal", "encoder=[16]", "decoder=[16]", "basis=sin"],
    "told": ["classes=10", "prior=flow", "latent_dim=4", "encoder=[16]", "decoder=[16]", "flow_width=8"],
    "told changes alone": [
        *("augmentation_labels=true", "objective=quadrature", "posterior=lattice", "beta_warmup=0"),
        *("encoder=[]", "decoder=[16]"),
    ],
    "told changes": ["classes=10", "augmentation_labels=true", "latent_dim=4", "encoder=[16]", "decoder=[16]"],
}


@pytest.fixture(scope="module")
def real(splits_5k):
    return splits_5k.validation


@pytest.mark.parametrize("name", [*shipped_models(), *SMALL])
def test_files_compute_what_pytorch_does_for_any_batch(name, real, tmp_path):
    if name in SMALL:
        model = VAE.from_config(Config().with_settings(SMALL[name]).model, 0).eval()
    else:
        model = from_pretrained(name)
    made = export_portable(tmp_path, model, real)
    assert made.digits == len(real) == 800
    assert set(made.differences) == {"mean"} | ({"loc", "log_var"} if model.encoder else set())
    assert max(made.differences.values()) <= MOST_DIFFERENT
    assert set(made.files) == {path.name for path in tmp_path.iterdir()}
    x = torch.from_numpy(real.images[:3]).unsqueeze(1).float() / 255
    label = {"label": real.labels[:3].astype(np.int64)} if model.classes else {}
    given = model.given(torch.from_numpy(label["label"]) if label else None)
    for rows in (slice(0, 1), slice(0, 3)):
        hot = {key: values[rows] for key, values in label.items()}
        part = given.part(rows)
        with torch.no_grad():
            z = torch.ones(len(x[rows]), model.latent_dim)
            means = part.decode(z).mean
            posterior = part.encode(x[rows])
        (mean,) = run(tmp_path / "decoder.onnx", z=z.numpy(), **hot)
        np.testing.assert_allclose(mean, means, rtol=0, atol=1e-4)
        if model.encoder is not None:
            loc, log_var = run(tmp_path / "encoder.onnx", x=x[rows].numpy(), **hot)
            np.testing.assert_allclose(loc, posterior.loc, rtol=0, atol=1e-4)
            np.testing.assert_allclose(log_var, posterior.log_var, rtol=0, atol=1e-4)


def run(path, **feed):
    onnx.checker.check_model(path, full_check=True)
    return onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"]).run(None, feed)


@pytest.mark.parametrize("name", shipped_models())
def test_int8_is_smaller_and_its_loss_is_measured(name, real, tmp_path):
    made = export_portable(tmp_path, from_pretrained(name), real, int8=True)
    for path in tmp_path.glob("*-int8.onnx"):
        whole = path.with_name(path.name.replace("-int8", ""))
        assert path.stat().st_size < 0.4 * whole.stat().st_size
    assert made.elbo_int8 != made.elbo
    assert made.elbo - 10 < made.elbo_int8 < made.elbo + 1


def test_the_elbo_of_the_files_is_that_of_pytorch(real, tmp_path):
    from digitvae.objective import elbo_terms
    from digitvae.training import stream_seed

    model = from_pretrained("map")
    made = export_portable(tmp_path, model, real)
    x = torch.from_numpy(real.images).unsqueeze(1).float() / 255
    noise = torch.randn(len(x), 2, generator=torch.Generator().manual_seed(stream_seed(0, "validation")))
    with torch.no_grad():
        elbo = elbo_terms(model, x, noise).elbo.mean().item()
    assert made.elbo == pytest.approx(elbo, abs=1e-2)


def test_what_differs_too_much_is_refused(real, tmp_path, monkeypatch):
    monkeypatch.setattr("digitvae.portable.MOST_DIFFERENT", 1e-12)
    with pytest.raises(RunError, match="differs from PyTorch's"):
        export_portable(tmp_path, from_pretrained("map"), real)


def test_a_model_that_is_told_the_digit_needs_labels(real, tmp_path):
    with pytest.raises(DataError, match="these have none"):
        export_portable(tmp_path, from_pretrained("studio"), Digits(real.images, None))


def test_the_command(tmp_path):
    arguments = ["export", "studio", "--onnx", "portable", "--quantize", "int8", "--data", "mnist-5k"]
    done = digitvae(*arguments, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "Largest difference from PyTorch on 1,000 real digits: loc" in done.stderr
    assert "ELBO on 800 validation digits" in done.stderr
    assert len(list((tmp_path / "portable").iterdir())) == 4
    again = digitvae(*arguments, cwd=tmp_path)
    assert again.returncode == 2
    assert "already exists" in again.stderr


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["map"], "Say what to make"),
        (["map", "-o", "a", "--onnx", "b"], "Say what to make"),
        (["studio", "-o", "a", "--quantize", "int8"], "belong to --onnx"),
        (["nowhere", "--onnx", "b"], "neither a run directory"),
    ],
)
def test_what_cannot_be_exported(arguments, sentence, tmp_path):
    done = digitvae("export", *arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert sentence in done.stderr
    assert list(tmp_path.iterdir()) == []
