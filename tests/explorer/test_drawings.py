"""Drawings, styles and written numbers as the server answers them, held against the functions that it serves."""

from __future__ import annotations

import base64
import io
import json
from concurrent.futures import Future

import numpy as np
import pytest
import torch
from PIL import Image

from digitvae.evaluation.density import KeptLattice, log_likelihood, prepared
from digitvae.evaluation.scoring import in_words, score_images
from digitvae.explorer.answering import Desk
from digitvae.explorer.explored import Explored
from digitvae.explorer.guard import MAX_BODY
from digitvae.generation import decode_images, encode_images, nearest_images
from digitvae.handwriting import page, write
from digitvae.inking import as_png, as_svg, paint
from digitvae.styling import Knobs, edit_images, mix

BINARY = {"Content-Type": "application/octet-stream"}


def grey(text: str) -> np.ndarray:
    return np.frombuffer(bytearray(base64.b64decode(text)), np.uint8).reshape(-1, 28, 28)


def png(image: np.ndarray) -> bytes:
    content = io.BytesIO()
    Image.fromarray(image).save(content, "PNG")
    return content.getvalue()


@pytest.fixture(scope="module")
def seven(digits):
    return digits.validation.images[np.flatnonzero(digits.validation.labels == 7)[0]]


def test_a_drawing(client, explored, digits, seven, studio):
    found = client.post("/api/draw", content=png(seven), headers={"Content-Type": "image/png"}).json()
    posterior = encode_images(explored.model, seven[None])
    np.testing.assert_array_equal(grey(found["fitted"])[0], seven)
    np.testing.assert_allclose(found["place"], posterior.loc[0], atol=1e-5)
    np.testing.assert_allclose(found["covariance"], np.diag(posterior.log_var[0].exp()), rtol=1e-4)
    np.testing.assert_array_equal(
        grey(found["reconstruction"])[0], (decode_images(explored.model, posterior.loc)[0, 0] * 255).round().byte()
    )
    assert found["label"] == int(np.argmax(found["probabilities"])) == 7
    where, distance = nearest_images(seven[None], digits.train.images, 6)
    np.testing.assert_array_equal(
        np.concatenate([grey(n["image"]) for n in found["nearest"]]), digits.train.images[where[0]]
    )
    np.testing.assert_allclose([n["distance"] for n in found["nearest"]], distance[0], atol=0.006)
    assert [n["row"] for n in found["nearest"]] == where[0].tolist()
    same = mix(studio, np.arange(10), np.repeat(seven[None], 10, 0), np.full(10, 7))
    same[7] = seven
    np.testing.assert_array_equal(grey(found["hand"]), same)


def test_the_score_of_a_drawing(client, desk, explored, seven):
    found = client.post("/api/draw", content=png(seven), headers={"Content-Type": "image/png"}).json()["score"]
    reference = desk.judge.result().reference
    scores = score_images(explored.model, seven[None], reference)
    assert found["logProb"] == pytest.approx(float(scores.log_prob[0]), abs=0.02)
    assert found["percentile"] == pytest.approx(float(scores.percentile[0]), abs=0.5)
    assert found["words"] == in_words(found["percentile"])
    assert found["estimator"] == "log_prob_quadrature"
    assert not found["carried"]


def test_a_large_picture_is_fitted(client, seven):
    large = 255 - np.asarray(Image.fromarray(seven).resize((224, 224), Image.Resampling.BICUBIC))
    found = client.post("/api/draw", content=png(large), headers={"Content-Type": "image/png"}).json()
    assert found["label"] == 7
    assert np.abs(grey(found["fitted"])[0].astype(int) - seven).mean() < 25


def test_the_user_knows_better(client, seven):
    found = client.post("/api/draw?digit=1", content=seven.tobytes(), headers=BINARY).json()
    assert found["label"] == 1
    assert int(np.argmax(found["probabilities"])) == 7


def two_digits(seven: np.ndarray) -> np.ndarray:
    return np.kron(np.hstack([seven, seven]), np.ones((4, 4), np.uint8))


def nan_picture() -> bytes:
    content = io.BytesIO()
    Image.fromarray(np.full((60, 60), np.nan, np.float32)).save(content, "TIFF")
    return content.getvalue()


def enormous() -> bytes:
    content = io.BytesIO()
    Image.new("1", (8000, 2100)).save(content, "PNG")
    return content.getvalue()


@pytest.mark.parametrize(
    ("content", "word"),
    [
        (b"", "not a picture"),
        (b"<svg/>", "not a picture"),
        (b"\x89PNG\r\n\x1a\n" + bytes(60), "picture"),
        (lambda seven: png(seven)[:90], "damaged"),
        (lambda seven: nan_picture(), "number"),
        (lambda seven: enormous(), "million pixels"),
        (lambda seven: png(np.zeros((80, 80), np.uint8)), "blank"),
        (lambda seven: png(two_digits(seven)), "several digits"),
    ],
)
def test_what_is_no_picture_of_a_digit_is_refused(client, seven, content, word):
    body = content(seven) if callable(content) else content
    response = client.post("/api/draw", content=body, headers={"Content-Type": "image/png"})
    assert response.status_code == 400
    assert word in response.json()["error"]


def test_grey_levels_of_another_size_are_refused(client):
    response = client.post("/api/draw", content=bytes(100), headers=BINARY)
    assert (response.status_code, set(response.json())) == (400, {"error"})


def test_too_large_a_body_is_refused_whether_or_not_it_says_so(client):
    def parts():
        for _ in range(MAX_BODY // 2**20 + 1):
            yield bytes(2**20)

    for body in (bytes(MAX_BODY + 1), parts()):
        response = client.post("/api/draw", content=body, headers={"Content-Type": "image/png"})
        assert response.status_code == 413
        assert "8 MB" in response.json()["error"]


def test_styles_are_there_before_the_points(run, digits, monkeypatch):
    explored = Explored(str(run), digits, "mnist-5k")
    future: Future[Explored] = Future()
    future.set_result(explored)
    desk, ready = Desk(future), []

    def encode() -> None:
        ready.append(desk.stylist.done())
        explored.stopped.set()

    monkeypatch.setattr(explored, "encode", encode)
    desk.prepare()
    desk.close()
    assert ready == [True]


def styled(client, **wish):
    return client.post("/api/style", content=json.dumps(wish))


def test_a_style_with_knobs(client, studio):
    found = styled(client, digit=7, hand=42, knobs={"slant": 20, "width": 16}).json()
    base = studio.draw(studio.hand(42), np.arange(10))
    np.testing.assert_array_equal(grey(found["row"]), base)
    edited = edit_images(studio, Knobs.load(studio), base[[7]], np.array([7]), {"slant": 20.0, "width": 16.0})
    np.testing.assert_array_equal(grey(found["image"]), edited.images)
    assert found["after"]["slant"] == pytest.approx(20, abs=2)
    assert found["after"]["width"] == pytest.approx(16, abs=1)


def test_a_style_with_directions(client, desk, studio):
    found = styled(client, digit=3, hand=5, rest=[1.5, 0, -0.5]).json()
    image = studio.draw(np.array([found["code"]]), np.array([3]))
    np.testing.assert_array_equal(grey(found["image"]), image)
    assert np.abs(image.astype(int) - grey(found["base"])).max() > 60
    stylist = desk.stylist.result()
    directions = stylist.directions(studio.hand(5)[3], 3)
    np.testing.assert_allclose(directions @ directions.T, np.eye(6), atol=1e-8)
    np.testing.assert_allclose(directions @ stylist.knobs.slopes[3].T, 0, atol=1e-8)


def test_the_digit_of_one_in_the_style_of_another(client, seven, studio):
    image = base64.b64encode(seven.tobytes()).decode()
    found = styled(client, digit=4, label=7, image=image).json()
    np.testing.assert_array_equal(grey(found["image"]), mix(studio, np.array([4]), seven[None], np.array([7])))
    np.testing.assert_array_equal(grey(styled(client, digit=7, label=7, image=image).json()["image"])[0], seven)


@pytest.mark.parametrize(
    "wish",
    [
        "",
        "[]",
        "{}",
        '{"digit": 10}',
        '{"digit": true}',
        '{"digit": 1, "hand": -1}',
        '{"digit": 1, "hand": 1.5}',
        '{"digit": 1, "knobs": {"slant": NaN}}',
        '{"digit": 1, "knobs": {"slant": Infinity}}',
        pytest.param('{"digit": 1, "knobs": {"slant": 1' + 310 * "0" + "}}", id="a number too large"),
        pytest.param("[" * 100_000, id="brackets in brackets"),
        '{"digit": 1, "knobs": {"slant": 80}}',
        '{"digit": 1, "knobs": [3]}',
        '{"digit": 1, "rest": [NaN]}',
        '{"digit": 1, "rest": [9]}',
        '{"digit": 1, "rest": [0, 0, 0, 0, 0, 0, 0]}',
        '{"digit": 1, "image": "!"}',
        '{"digit": 1, "image": "AAAA"}',
        '{"digit": 1, "image": "' + base64.b64encode(bytes(784)).decode() + '"}',
    ],
)
def test_wishes_that_cannot_be_met_are_refused(client, wish):
    response = client.post("/api/style", content=wish)
    assert response.status_code == 400
    assert set(response.json()) == {"error"}


def test_a_written_number(client, studio):
    line = page(list(write(studio, ["1,024.50"], [7], height=48, seed=3)))
    values = {"text": "1,024.50", "hand": 7, "height": 48, "seed": 3, "ink": "#000080", "paper": "#ffffee"}
    picture = client.get("/api/write", params=values)
    assert picture.content == as_png(paint(line.ink, "#000080", "#ffffee"))
    assert picture.headers["content-type"] == "image/png"
    outline = client.get("/api/write", params={**values, "format": "svg"})
    assert outline.content == as_svg(line.ink, "#000080", "#ffffee").encode()


@pytest.mark.parametrize(
    "change",
    [
        {"text": ""},
        {"text": "abc"},
        {"text": "1" * 41},
        {"hand": -1},
        {"hand": "x"},
        {"seed": -1},
        {"height": 401},
        {"height": 7},
        {"ink": "nocolour"},
        {"format": "pdf"},
    ],
)
def test_what_cannot_be_written_is_refused(client, change):
    response = client.get("/api/write", params={"text": "12", **change})
    assert response.status_code in (400, 422)
    assert set(response.json()) == {"error"}


def test_kept_lattice_is_the_likelihood(explored, digits):
    for binarization in ("none", "dynamic"):
        x = prepared(digits.validation.images[:20], binarization)
        kept, name = KeptLattice(explored.model).log_likelihood(x)
        true, same = log_likelihood(explored.model, x)
        torch.testing.assert_close(kept, true, atol=2e-3, rtol=1e-5)
        assert name == same
