"""The commands that draw, as a user meets them: real processes on a model that draws scribbles."""

import csv
import json
import re
import struct

import numpy as np
import pytest
import torch
from PIL import Image
from tests.commands import digitvae

from digitvae.checkpoint import load_model
from digitvae.generation import decode_images, encode_images
from digitvae.latent import extrapolate
from digitvae.morphometry import measure
from digitvae.rundir import find_model
from digitvae.studio import Studio
from digitvae.styling import mix


@pytest.fixture
def draw(studio_folder, tmp_path):
    """Run a command with the small model in an empty folder."""

    def run(*arguments):
        return digitvae(*arguments, "--model", studio_folder, cwd=tmp_path)

    return run


@pytest.fixture
def seven(splits_5k, tmp_path):
    """A picture of a real digit, in a class folder that says what it is."""
    (tmp_path / "in" / "7").mkdir(parents=True)
    image = splits_5k.train.images[splits_5k.train.labels == 7][0]
    Image.fromarray(image).save(tmp_path / "in" / "7" / "a.png")
    return "in"


def size_of(path):
    with Image.open(path) as picture:
        return picture.size


def test_generate_writes_every_format_and_repeats_its_bytes(draw, tmp_path):
    for name in ("a.npz", "b.npz"):
        assert draw("generate", "-n", 70, "-o", name, "--seed", 5).returncode == 0
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    with np.load(tmp_path / "a.npz") as there:
        assert there["images"].shape == (70, 28, 28)
        assert there["labels"].dtype == np.uint8
        images = there["images"]
    assert draw("generate", "-n", 70, "-o", "mnist", "--format", "idx", "--seed", 5, "--invert").returncode == 0
    raw = (tmp_path / "mnist" / "train-images-idx3-ubyte").read_bytes()
    assert struct.unpack(">4i", raw[:16]) == (2051, 60, 28, 28)
    np.testing.assert_array_equal(255 - np.frombuffer(raw[16:], np.uint8).reshape(-1, 28, 28), images[:60])
    done = draw("generate", "-n", 7, "--digit", 3, "-o", "threes[/b]", "--size", 40, "--hands", 2)
    assert done.returncode == 0, done.stderr
    assert "7 digits: threes[/b]\n" in done.stderr  # no markup, though it looks so
    rows = list(csv.DictReader((tmp_path / "threes[/b]" / "labels.csv").read_text().splitlines()))
    assert [(row["label"], row["hand"]) for row in rows] == [("3", "0")] * 4 + [("3", "1")] * 3
    assert size_of(tmp_path / "threes[/b]" / rows[0]["file"]) == (40, 40)


def test_generate_follows_a_list_and_draws_a_sheet(draw, tmp_path):
    (tmp_path / "list.csv").write_text("hand,label\n9,1\n4,0\n9,1\n")
    assert draw("generate", "--labels", "list.csv", "-o", "some.npz").returncode == 0
    with np.load(tmp_path / "some.npz") as there:
        assert there["labels"].tolist() == [1, 0, 1]
        assert there["hands"].tolist() == [9, 4, 9]
    done = draw("generate", "-n", 5, "--grid", "-o", "sheet.png", "--thickness", 3)
    assert done.returncode == 0
    assert size_of(tmp_path / "sheet.png") == (88, 58)
    again = draw("generate", "-n", 5, "--grid", "-o", "sheet.png")
    assert again.returncode == 2
    assert "already exists" in again.stderr


def test_write_makes_notes_outlines_and_boxes(draw, tmp_path):
    assert (
        draw("write", "2026-11-23", "1,024.50", "-o", "note.png", "--boxes", "boxes.json", "--ink", "navy").returncode
        == 0
    )
    boxes = json.loads((tmp_path / "boxes.json").read_text())["note.png"]
    assert (boxes["width"], boxes["height"]) == size_of(tmp_path / "note.png")
    assert "".join(box["text"] for box in boxes["boxes"]) == "2026-11-231,024.50"
    assert "1 line: a[final].svg\n" in draw("write", "42", "-o", "a[final].svg", "--hand", 7).stderr
    assert (tmp_path / "a[final].svg").read_text().startswith("<svg")
    (tmp_path / "numbers.txt").write_text("1\n\n22\n")
    assert draw("write", "--from", "numbers.txt", "-o", "lines").returncode == 0
    assert sorted(path.name for path in (tmp_path / "lines").iterdir()) == ["line-0001.png", "line-0002.png"]


def test_interpolate_between_codes_of_a_model_that_is_not_told_the_digit(seven, tmp_path):
    def drawn(*arguments):
        return digitvae("interpolate", *arguments, "--size", 28, "--model", "map", cwd=tmp_path)

    assert drawn(":-1.2,0.4", f"{seven}/7/a.png", "--steps", 3, "--beyond", 0.25, "-o", "way.npz").returncode == 0
    assert drawn(":-1.2,0.4", "-o", "one.png").returncode == 0
    model, _ = load_model(find_model("map"))
    with Image.open(tmp_path / seven / "7" / "a.png") as picture:
        end = encode_images(model, np.array(picture)[None]).loc[0]
    codes = extrapolate(torch.tensor([-1.2, 0.4]), end, 3, 0.25)
    with np.load(tmp_path / "way.npz") as there:
        np.testing.assert_array_equal(there["images"], (decode_images(model, codes)[:, 0] * 255).round().byte())
        assert there["labels"].shape == (3,)
    one = (decode_images(model, torch.tensor([[-1.2, 0.4]]))[0, 0] * 255).round().byte()
    with Image.open(tmp_path / "one.png") as picture:
        np.testing.assert_array_equal(np.array(picture), one)
    for wrong in (":1", ":1,nan", "7:1,2", "3"):
        refused = drawn(wrong, "-o", "none.png")
        assert refused.returncode == 2
        assert "a colon and 2 numbers" in refused.stderr.replace("\n", " ")


def test_edit_interpolate_and_restore(draw, seven, tmp_path):
    assert "1 digit: edited[final].npz\n" in draw("edit", seven, "--slant", 5, "-o", "edited[final].npz").stderr
    with np.load(tmp_path / "edited[final].npz") as there:
        assert there["labels"].tolist() == [7]
    ends = (f"{seven}/7/a.png", "2:0,0.5,1,-1")
    assert draw("interpolate", *ends, "--steps", 4, "--beyond", 0.2, "--size", 28, "-o", "way.png").returncode == 0
    assert size_of(tmp_path / "way.png") == (4 * 28 + 3 * 2, 28)
    restored = draw("restore", f"{seven}/7/a.png", "--mask", "left", "-n", 3, "--digit", 7, "-o", "whole.npz")
    assert restored.returncode == 0
    assert "as 7, 7, 7" in restored.stderr
    with np.load(tmp_path / "whole.npz") as there, Image.open(tmp_path / seven / "7" / "a.png") as image:
        np.testing.assert_array_equal(
            there["images"][:, :, 14:], np.broadcast_to(np.asarray(image)[:, 14:], (3, 28, 14))
        )


def test_edit_and_generate_say_what_was_reached_and_what_was_not(seven, tmp_path):
    done = digitvae("edit", seven, "--slant", 15, "--thickness", 3, "-o", "near.npz", cwd=tmp_path)
    assert "slant: 15 degrees asked for, 1" in done.stderr
    assert " off" not in done.stderr
    done = digitvae("edit", seven, "--width", 27, "-o", "far.npz", cwd=tmp_path)
    assert "width: 27 pixels asked for" in done.stderr
    assert "1 of 1 more than 0.5 off" in done.stderr
    done = digitvae("generate", "-n", 5, "--digit", 1, "--width", 27, "-o", "wide.npz", cwd=tmp_path)
    assert "5 of 5 more than 0.5 off" in done.stderr


def test_mix_takes_pictures_codes_and_what_a_picture_shows(draw, studio_folder, seven, tmp_path):
    studio = Studio(studio_folder)
    with Image.open(tmp_path / seven / "7" / "a.png") as picture:
        image = np.array(picture)[None]
    assert draw("mix", "--digit-of", 5, "--style-of", f"{seven}/7/a.png", "--digit", 7, "-o", "a.npz").returncode == 0
    assert draw("mix", "--digit-of", 5, "--style-of", "7:0.5,-1,0,2", "-o", "b.npz").returncode == 0
    with np.load(tmp_path / "a.npz") as there:
        np.testing.assert_array_equal(there["images"], mix(studio, np.array([5]), image, np.array([7])))
        assert there["labels"].tolist() == [5]
    style = studio.hands.carried(np.array([[0.5, -1, 0, 2]]), np.array([7]), np.array([5]))
    with np.load(tmp_path / "b.npz") as there:
        np.testing.assert_array_equal(there["images"], studio.draw(style, np.array([5])))


def test_restore_keeps_the_place_of_a_larger_picture_and_names_what_it_draws(seven, tmp_path):
    with Image.open(tmp_path / seven / "7" / "a.png") as picture:
        picture.resize((280, 280), Image.Resampling.NEAREST).save(tmp_path / "large.png")
    for name in (f"{seven}/7/a.png", "large.png"):
        options = ("--mask", "left", "-n", 2, "--digit", 7, "--model", "map", "-o", f"{name[-5]}.npz")
        done = digitvae("restore", name, *options, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
    with np.load(tmp_path / "a.npz") as small, np.load(tmp_path / "e.npz") as large:
        assert small["labels"].tolist() == large["labels"].tolist() == [7, 7]
        np.testing.assert_allclose(large["images"][:, :, 14:].astype(int), small["images"][:, :, 14:], atol=4)


def test_denoise_draws_anew_what_can_be_seen(seven, tmp_path):
    done = digitvae("restore", f"{seven}/7/a.png", "--denoise", "-n", 1, "--digit", 7, "-o", "clean.npz", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    with np.load(tmp_path / "clean.npz") as there, Image.open(tmp_path / seven / "7" / "a.png") as picture:
        apart = np.abs(there["images"][0].astype(int) - np.asarray(picture))
    assert 0 < apart.mean() < 20


def test_a_hand_is_taken_from_examples_and_knobs_are_set(seven, tmp_path):
    for name, options in (("like", ["--like", f"{seven}/7/a.png"]), ("own", ["--hand", "0"])):
        assert digitvae("write", "1234", *options, "-o", f"{name}.png", cwd=tmp_path).returncode == 0
    assert (tmp_path / "like.png").read_bytes() != (tmp_path / "own.png").read_bytes()
    for thickness in (2, 4):
        done = digitvae("generate", "-n", 50, "--thickness", thickness, "-o", f"{thickness}.npz", cwd=tmp_path)
        assert f"thickness: {thickness} pixels asked for, " in done.stderr
        with np.load(tmp_path / f"{thickness}.npz") as there:
            assert np.nanmedian(measure(there["images"]).thickness) == pytest.approx(thickness, abs=0.3)


def test_links_are_never_replaced(draw, tmp_path):
    (tmp_path / "kept.npz").write_bytes(b"mine")
    (tmp_path / "link.npz").symlink_to("kept.npz")
    done = draw("generate", "-n", 2, "-o", "link.npz", "--overwrite")
    assert done.returncode == 2
    assert "never replaced" in done.stderr
    assert (tmp_path / "link.npz").is_symlink()
    assert (tmp_path / "kept.npz").read_bytes() == b"mine"


def test_what_is_no_digit_is_refused_with_how_unlikely_it_is(draw, tmp_path):
    (tmp_path / "in").mkdir()
    dust = np.random.default_rng(0).integers(0, 2, (28, 28)).astype(np.uint8) * 255
    Image.fromarray(dust).save(tmp_path / "in" / "dust.png")
    (tmp_path / "map").mkdir()  # of somebody who calls a model so; the shipped one judges
    (tmp_path / "map" / "config.json").write_text("{}")
    done = draw("write", "123", "--like", "in/dust.png", "-o", "x.png")
    assert done.returncode == 2
    assert re.search(r"gives it -\d+ nats, rarer than all real digits \(the least of these has -279\)", done.stderr)
    assert not (tmp_path / "x.png").exists()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["generate", "-n", "0", "-o", "x.npz"], "must be 1 to"),
        (["generate", "-n", "0", "--shards", "1", "-o", "d"], "must be 1 to"),
        (["generate", "-n", "2000", "--shards", "2", "--temperature", "-1", "-o", "d"], "must be 0 or more"),
        (["generate", "-n", "2000", "--shards", "2", "--seed", "-1", "-o", "d"], "seed must be"),
        (["generate", "-n", "2000", "--shards", "2", "--thickness", "99", "-o", "d"], "thickness must be"),
        (["generate", "-n", "2000", "--shards", "2", "--size", "4", "-o", "d"], "size of digits must be"),
        (["generate", "--digit", "12", "-o", "x.npz"], "A digit is 0 to 9"),
        (["generate", "--temperature", "-1", "-o", "x.npz"], "must be 0 or more"),
        (["generate", "-o", "x.gif"], "does not say its format"),
        (["generate", "-o", ".", "--overwrite"], "has no name of its own"),
        (["generate", "-o", "."], "or replace it with --overwrite"),
        (["dataset", "numbers", "-o", "."], "has no name of its own"),
        (["write", "1", "-o", "."], "already exists: choose another name."),
        (["generate", "-o", "x", "--format", "webp"], "There is no format 'webp'"),
        (["generate", "--grid", "-o", "x.npz"], "is one PNG picture"),
        (["generate", "--thickness", "99", "-o", "x.npz"], "thickness must be 1 to 8 pixels"),
        (["generate", "--size", "4", "-o", "x.npz"], "size of digits must be"),
        (["generate", "--labels", "nowhere.csv", "-o", "x.npz"], "cannot be read"),
        (["write", "12a", "-o", "x.png"], "'a' cannot be written"),
        (["write", "-o", "x.png"], "nothing to write"),
        (["write", "1", "--ink", "bluish", "-o", "x.png"], "is no colour"),
        (["write", "1", "--hand", "-4", "-o", "x.png"], "no hand -4"),
        (["write", "1", "-o", "x.png", "--boxes", "x.png"], "give them two names"),
        (["write", "1", "--hand", "3", "--like", "a.png", "-o", "x.png"], "leave one out"),
        (["write", "1", "-o", "x.gif"], "must end in .png or .svg"),
        (["write", "1", "--dpi", "-3", "-o", "x.png"], "dots per inch"),
        (["write", "1", "--ink", "white", "--paper", "White", "-o", "x.png"], "one colour"),
        (["write", "1", "--hand", "5000000000", "-o", "x.png"], "no hand 5000000000"),
        (["generate", "--grid", "-n", "9999", "--size", "512", "-o", "x.png"], "too large for one picture"),
        (["edit", "nowhere.png", "-o", "x.png"], "nowhere.png"),
        (["interpolate", "3", "--beyond", "0.5", "-o", "x.png"], "give another"),
        (["interpolate", "3", "potato", "-o", "x.png"], "no digit and no code"),
        (["interpolate", "3", "8", "--steps", "1", "-o", "x.png"], "2 to 1,000 steps"),
        (["interpolate", "3", "8", "--steps", "-1", "-o", "x.png"], "2 to 1,000 steps"),
        (["interpolate", "3:" + ",".join(["0.123456789012345"] * 24), "-o", "x.png"], "and 4 numbers"),
        (["mix", "--digit-of", "5", "--style-of", "7:1,2", "-o", "x.png"], "no code"),
        (["edit", "nowhere.png", "-o", "x.gif"], "does not say its format"),
        (["edit", "nowhere.png", "--slant", "99", "-o", "x.npz"], "slant must be"),
        (["write", "1", "--like", "a.png", "b.png", "-o", "x.png"], "a.png"),
        (["restore", "nowhere.png", "-o", "x.png"], "Say what is covered"),
        (["restore", "nowhere.png", "--mask", "middle", "-o", "x.png"], "is no mask"),
        (["restore", "nowhere.png", "--mask", "20,20,20,20", "-o", "x.png"], "not within the 28 x 28"),
    ],
)
def test_bad_input_is_one_sentence_and_leaves_nothing(draw, tmp_path, arguments, sentence):
    done = draw(*arguments)
    assert done.returncode == 2, done.stderr
    assert sentence in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert list(tmp_path.iterdir()) == []
