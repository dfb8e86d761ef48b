"""Several real processes that write one set or measure one model: what one process would, by one writer."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from tests.commands import digitvae

from digitvae.checkpoint import save_model
from digitvae.config import load_recipe
from digitvae.data.samples import Sample, packed, unpacked
from digitvae.models.vae import VAE
from digitvae.processes import ALONE

NUMBERS = ["dataset", "numbers", "-n", "330", "--hands", "7", "--height", "20", "--effects", "noise"]


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("kind", ["yolo", "parquet"])
def test_two_processes_write_the_same_numbers_as_one(kind, tmp_path):
    for processes, name in ((1, "one"), (2, "two")):
        (tmp_path / name).mkdir()
        arguments = [*NUMBERS, "--format", kind, "-o", "set", "--verify"]
        written = digitvae(*arguments, cwd=tmp_path / name, processes=processes)
        assert written.returncode == 0, written.stderr
        assert written.stderr.count("330 numbers (") == written.stderr.count("Read back") == 1
    assert files(tmp_path / "two") == files(tmp_path / "one")


def test_what_is_in_the_way_is_said_by_all_and_nothing_is_written(tmp_path):
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "mine.txt").write_text("mine")
    refused = digitvae(*NUMBERS, "-o", "set", cwd=tmp_path, processes=2)
    assert refused.returncode != 0
    assert "exists" in refused.stderr
    assert files(tmp_path) == {"set/mine.txt": b"mine"}


def test_two_processes_measure_what_one_does(splits_5k, tmp_path):
    config = load_recipe("map").with_settings(["latent_dim=3", "encoder=[16]", "decoder=[16]"])
    save_model(tmp_path / "model", VAE.from_config(config.model, 0), config, "card")
    few = splits_5k.train.subset(slice(600))
    np.savez(tmp_path / "few.npz", images=few.images, labels=few.labels)
    found = []
    for processes in (1, 2):
        out = tmp_path / f"{processes}.json"
        arguments = ["evaluate", tmp_path / "model", "--data", "few.npz", "--metrics", "clusters,samples", "--out", out]
        measured = digitvae(*arguments, cwd=tmp_path, processes=processes)
        assert measured.returncode == 0, measured.stderr
        assert measured.stderr.count("Written:") == 1
        found.append(json.loads(out.read_text())["sections"])
    assert list(found[0]) == list(found[1])
    for one, two in zip(*(each.values() for each in found), strict=True):
        assert {**one, "seconds": 0} == {**two, "seconds": 0}


samples = st.builds(
    Sample,
    number=st.integers(0, 2**40),
    split=st.sampled_from(["train", "validation", "test"]),
    image=arrays.arrays(np.uint8, st.sampled_from([(3, 5), (1, 1), (4, 2, 3)])),
    text=st.text(max_size=5),
    hand=st.integers(0, 2**31),
    boxes=st.lists(
        st.fixed_dictionaries({"text": st.text(max_size=1), "left": st.integers(0, 9), "top": st.integers(0, 9)}),
        max_size=3,
    ),
)


@given(st.lists(samples, max_size=4))
def test_packed_samples_are_unpacked_as_they_were(several):
    again = unpacked(packed(several))
    assert len(again) == len(several)
    for one, other in zip(several, again, strict=True):
        np.testing.assert_array_equal(one.image, other.image)
        assert {**vars(one), "image": None} == {**vars(other), "image": None}


def test_one_process_collects_from_itself():
    assert ALONE.collect(b"") == [b""]
    assert ALONE.collect(b"abc") == [b"abc"]
