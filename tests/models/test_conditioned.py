"""A model that is conditioned on the digit: labels reach every part, and nothing works without them."""

import numpy as np
import pytest
import torch

from digitvae import training
from digitvae.augmentation import augmentation_labels, changed
from digitvae.checkpoint import load_model, save_model
from digitvae.config import Config
from digitvae.errors import ConfigError, DataError, InputError
from digitvae.generation import decode_images, encode_images, reconstruct, sample
from digitvae.models.vae import VAE
from digitvae.objective import elbo_terms, iw_bound
from digitvae.training import Trainer

SETTINGS = ["classes=10", "latent_dim=3", "encoder=[16]", "decoder=[16]", "flow_width=8", "flow_layers=2"]


TOLD = ["augmentation_labels=true", "augmentation=1", "augmentation_share=0.5"]


@pytest.fixture(params=["normal", "mixture", "flow", "flow, told of changes"])
def config(request):
    prior, comma, _ = request.param.partition(",")
    return Config().with_settings([*SETTINGS, f"prior={prior}", *TOLD * bool(comma)])


@pytest.fixture
def model(config):
    return VAE.from_config(config.model, 0).eval()


def test_labels_change_what_is_encoded_and_decoded(model, x):
    sevens, ones = (model.given(torch.full((len(x),), digit)) for digit in (7, 1))
    with torch.no_grad():
        assert not torch.allclose(sevens.encode(x).loc, ones.encode(x).loc)
        z = torch.randn(4, len(x), 3)
        assert not torch.allclose(sevens.decode(z).logits, ones.decode(z).logits)
        assert sevens.decode(z).logits.shape == (4, len(x), 1, 28, 28)
        mixed = model.given(torch.arange(len(x)) % 2 * 6 + 1)  # 1, 7, 1, 7, ...
        torch.testing.assert_close(mixed.decode(z).logits[:, 1::2], sevens.decode(z).logits[:, 1::2])
    assert model.label is None


def test_gradients_through_a_given_label_reach_the_model(model, x):
    model.train()
    label = torch.arange(len(x)) % 10
    noise = torch.randn(len(x), 3, generator=torch.Generator().manual_seed(0))
    elbo_terms(model.given(label), x, noise).loss(1.0).mean().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name


def test_bounds_are_in_order_given_labels(model, x):
    given = model.given(torch.arange(len(x)) % 10)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        elbos = torch.stack([elbo_terms(given, x, torch.randn(len(x), 3, generator=generator)).elbo for _ in range(50)])
    bound = iw_bound(given, x, 50, generator)
    assert elbos.mean() < bound.mean() + 4 * elbos.std() / elbos.numel() ** 0.5


def test_generation_takes_labels_in_batches_of_any_size(model, x):
    labels = torch.arange(len(x)) % 10
    whole, parts = (encode_images(model, x, batch, labels) for batch in (1000, 7))
    torch.testing.assert_close(whole.loc, parts.loc)
    made = sample(model, 30, torch.Generator().manual_seed(0), torch.arange(30) % 10)
    assert made.images.shape == (30, 1, 28, 28)
    torch.testing.assert_close(decode_images(model, made.codes, 7, torch.arange(30) % 10), made.images)
    torch.testing.assert_close(reconstruct(model, x, labels), decode_images(model, whole.loc, labels=labels))
    for wrong in (None, labels[:3], labels + 5):
        with pytest.raises(InputError, match="label"):
            encode_images(model, x, labels=wrong)


def test_it_comes_back_from_disk(model, config, x, tmp_path):
    save_model(tmp_path / "model", model, config, "card")
    loaded, _ = load_model(tmp_path / "model")
    labels = torch.arange(len(x)) % 10
    assert torch.equal(encode_images(loaded, x, labels=labels).loc, encode_images(model, x, labels=labels).loc)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_training_gives_each_digit_its_own_label(config, splits_5k, precision, monkeypatch):
    """In training and validation, in every batch; and the prior stays in float32."""
    config = config.with_settings(["augmentation=0"])  # so that images can be recognised
    train, validation = splits_5k.train.subset(slice(100)), splits_5k.validation.subset(slice(60))
    settings = ["epochs=2", "batch_size=32", f"precision={precision}"]
    labels = (train.labels, validation.labels)
    trainer = Trainer(config.with_settings(settings), train.images, validation.images, labels=labels)
    seen = []
    encode = VAE.encode

    def watched(model, x):
        label = model.label if model.label.ndim == 1 else model.label[:, :10].argmax(1)
        seen.append((x.float().mul(255).round().byte().squeeze(1).numpy(), label.numpy()))
        return encode(model, x)

    monkeypatch.setattr(VAE, "encode", watched)
    trainer.train_epoch()
    trainer.validate()
    digits = {
        image.tobytes(): label
        for part in (train, validation)
        for image, label in zip(part.images, part.labels, strict=True)
    }
    found = [
        (digits[image.tobytes()], label) for images, given in seen for image, label in zip(images, given, strict=True)
    ]
    assert len(found) == 160
    assert all(own == given for own, given in found)
    assert all(p.dtype == torch.float32 for p in trainer.working.model.prior.parameters())


def test_the_label_frees_the_code_from_the_class(splits_5k):
    """With one latent dimension, a model that is told the digit ends below one that is not."""
    train, validation = splits_5k.train.subset(slice(1000)), splits_5k.validation.subset(slice(200))
    losses = {}
    for classes in (0, 10):
        settings = [*SETTINGS[2:], "latent_dim=1", f"classes={classes}", "epochs=8", "batch_size=32"]
        config = Config().with_settings([*settings, "learning_rate=4e-3", "encoder=[64]", "decoder=[64]"])
        labels = (train.labels, validation.labels)
        trainer = Trainer(config, train.images, validation.images, labels=labels)
        while trainer.progress.epoch < 8:
            trainer.train_epoch()
        losses[classes] = trainer.validate()["loss"]
    assert losses[10] < losses[0] - 3


def test_what_cannot_be_conditioned_is_refused(config, digits):
    with pytest.raises(ConfigError, match="network mlp"):
        Config().with_settings(["classes=10", "network=conv", "encoder=[4,8]", "decoder=[4]"])
    with pytest.raises(DataError, match="needs labelled digits"):
        Trainer(config, digits[:20], digits[20:30])


def test_what_was_changed_is_told_to_every_part_and_unchanged_is_all_zeros(x):
    config = Config().with_settings([*SETTINGS, "prior=flow", *TOLD])
    model = VAE.from_config(config.model, 0).eval()
    for parameter in model.prior.parameters():
        torch.nn.init.normal_(parameter, std=0.3, generator=torch.Generator().manual_seed(0))
    label, z = torch.arange(8) % 10, torch.randn(8, 3)
    hot = torch.nn.functional.one_hot(label, 10).float()
    how = augmentation_labels(8, 1.0, torch.Generator().manual_seed(1))
    plain, spelt, told = (model.given(each) for each in (label, torch.cat([hot, 0 * how], 1), torch.cat([hot, how], 1)))
    with torch.no_grad():
        for part in (lambda m: m.encode(x[:8]).loc, lambda m: m.decode(z).logits, lambda m: m.prior.log_prob(z)):
            assert torch.equal(part(plain), part(spelt))
            assert not torch.allclose(part(plain), part(told))
        torch.testing.assert_close(told.part(slice(2, 5)).decode(z[2:5]).logits, told.decode(z).logits[2:5])


def test_training_tells_how_each_digit_was_changed(splits_5k, monkeypatch):
    config = Config().with_settings([*SETTINGS, "prior=flow", *TOLD, "epochs=1", "batch_size=50", "precision=float32"])
    train = splits_5k.train.subset(slice(100))
    trainer = Trainer(config, train.images, train.images, labels=(train.labels, train.labels))
    seen = []
    encode = VAE.encode
    monkeypatch.setattr(VAE, "encode", lambda model, x: seen.append((x, model.label)) or encode(model, x))
    trainer.train_epoch()
    images, labels = (torch.cat(parts) for parts in zip(*seen, strict=True))
    originals = torch.from_numpy(train.images[trainer.order]).unsqueeze(1) / 255
    assert torch.equal(labels[:, :10].argmax(1), torch.from_numpy(train.labels[trainer.order]).long())
    told = labels[:, -1] == 1
    assert 0.3 < told.float().mean() < 0.7
    differs = (images - originals).abs().flatten(1).mean(1)
    assert (differs[told] > 1e-3).all()
    assert (differs[~told] < 1e-5).all()
    torch.testing.assert_close(changed(originals, 1.0, labels[:, 10:], "bicubic"), images)


@pytest.mark.parametrize("other", [[], ["objective=quadrature", "beta_warmup=0"]])
def test_who_has_an_encoder_is_told_changes_beside_the_digit_alone(other):
    with pytest.raises(ConfigError, match="augmentation_labels needs"):
        Config().with_settings(["augmentation_labels=true", *other])


ALONE = ["augmentation_labels=true", "objective=quadrature", "posterior=lattice", "encoder=[]", "decoder=[16]"]
ALONE += ["basis=torus", "frequency=1", "beta_warmup=0", "lattice=[89]", "augmentation=1", "augmentation_share=0.5"]


def test_told_nothing_a_decoder_is_one_without_those_inputs():
    model = VAE.from_config(Config().with_settings(ALONE).model, 0)
    plain = VAE.from_config(Config().with_settings([*ALONE, "augmentation_labels=false"]).model, 0)
    weights = model.state_dict()
    first = "decoder.body.0.weight"
    weights[first] = weights[first][:, : plain.state_dict()[first].shape[1]]
    plain.load_state_dict(weights)
    z = torch.randn(5, 2, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(model.decode(z).mean, plain.decode(z).mean)
    labels = torch.arange(5)
    torch.testing.assert_close(model.given(labels).decode(z).mean, plain.decode(z).mean)
    told = model.given(torch.ones(7)).part(slice(0, 2)).decode(z).mean
    assert not torch.allclose(told, plain.decode(z).mean)


def test_where_the_likelihood_is_integrated_a_batch_is_changed_alike(splits_5k, monkeypatch):
    train = splits_5k.train.subset(slice(320))
    config = Config().with_settings([*ALONE, "batch_size=16", "epochs=1"])
    trainer = Trainer(config, train.images, train.images, labels=(train.labels, train.labels))
    seen = []
    terms = training.quadrature_terms
    monkeypatch.setattr(
        training, "quadrature_terms", lambda model, x, u: seen.append((x, model.label)) or terms(model, x, u)
    )
    trainer.train_epoch()
    originals = torch.from_numpy(train.images[trainer.order]).unsqueeze(1) / 255
    assert len(seen) == 20
    assert 2 < sum(bool(how[-1]) for _, how in seen) < 18
    for (images, how), before in zip(seen, originals.split(16), strict=True):
        torch.testing.assert_close(changed(before, 1.0, how.expand(16, -1), "bicubic"), images)
    monkeypatch.undo()
    assert np.isfinite(trainer.validate()["loss"])
