"""The server held against the functions that it serves, and what it refuses."""

from __future__ import annotations

import base64
import io
import json

import numpy as np
import pytest
import torch
from PIL import Image

from digitvae.checkpoint import load_model
from digitvae.errors import RunError
from digitvae.evaluation.density import prepared
from digitvae.evaluation.scoring import in_words, score_images
from digitvae.explorer.explored import EDGE, Explored, plate
from digitvae.explorer.guard import MAX_BODY
from digitvae.generation import decode_images, encode_images, nearest_images
from digitvae.handwriting import page, write
from digitvae.inking import as_png, as_svg, paint
from digitvae.latent import Support
from digitvae.reading import frozen, read_digits
from digitvae.rundir import RunDirectory
from digitvae.studio import Studio
from digitvae.styling import Knobs, edit_images, mix

HOST = "127.0.0.1:8000"
BINARY = {"Content-Type": "application/octet-stream"}


def grey(text: str) -> np.ndarray:
    return np.frombuffer(bytearray(base64.b64decode(text)), np.uint8).reshape(-1, 28, 28)


def sent(places) -> bytes:
    return np.asarray(places, np.float32).tobytes()


def png(image: np.ndarray) -> bytes:
    content = io.BytesIO()
    Image.fromarray(image).save(content, "PNG")
    return content.getvalue()


def decode(client, places, digit: int = 0) -> np.ndarray:
    response = client.post(f"/api/decode?digit={digit}", content=sent(places), headers=BINARY)
    assert response.status_code == 200, response.text
    return np.frombuffer(bytearray(response.content), np.uint8).reshape(-1, 28, 28)


@pytest.fixture(scope="module")
def studio() -> Studio:
    return Studio.load(threads=1)


@pytest.fixture(scope="module")
def seven(digits):
    return digits.validation.images[np.flatnonzero(digits.validation.labels == 7)[0]]


def test_the_page_and_its_files(client):
    assert "<title>digitvae explorer</title>" in client.get("/").text
    script = client.get("/page/core.js")
    assert script.headers["content-type"].startswith("text/javascript")
    assert "default-src 'none'" in script.headers["content-security-policy"]


@pytest.mark.parametrize(
    "path", ["/page/../explored.py", "/page/..%2fguard.py", "/page/none.js", "/etc/passwd", "/docs"]
)
def test_nothing_else_is_to_be_had(client, path):
    response = client.get(path)
    assert (response.status_code, response.json()) == (404, {"error": "There is nothing here."})


def test_about(client, run, digits):
    about = client.get("/api/about").json()
    assert about["name"] == str(run)
    assert (about["latent"], about["map"], about["epochs"], about["points"]) == (2, True, [1, 2, 3], 300)
    assert about["labels"] == digits.validation.labels.tolist()
    assert about["curves"]["epoch"] == [1, 2, 3]
    assert about["seen"] is False
    assert about["curves"]["validation"] == [r["validation"]["loss"] for r in RunDirectory(run).metrics()]


def test_points_are_the_codes(client, explored, digits):
    response = client.get("/api/points")
    places = np.frombuffer(response.content, np.float32).reshape(-1, 2)
    model, _ = load_model(RunDirectory(explored.run.path).best)
    np.testing.assert_allclose(places, encode_images(model, digits.validation.images).loc, atol=1e-5)
    assert response.headers["X-Done"] == "1"


def test_decoded_digits_are_the_decoders(client, explored):
    places = np.array([[0.3, -1.2], [2.5, 0.0], [-40.0, 3.0]], np.float32)
    true = (decode_images(explored.model, torch.from_numpy(places))[:, 0] * 255).round().byte().numpy()
    np.testing.assert_array_equal(decode(client, places), true)


@pytest.mark.parametrize(
    "content",
    [b"", b"1234567", sent([[np.nan, 0]]), sent([[0, np.inf]]), sent([[1e9, 0]]), bytes(8 * 1025)],
)
def test_places_that_are_none_are_refused(client, content):
    response = client.post("/api/decode", content=content, headers=BINARY)
    assert response.status_code == 400
    assert response.json()["error"].endswith(".")


@pytest.mark.parametrize("query", ["digit=10", "digit=-1", "digit=x", "digit=nan"])
def test_digits_that_are_none_are_refused(client, query):
    response = client.post(f"/api/decode?{query}", content=sent([[0, 0]]), headers=BINARY)
    assert response.status_code in (400, 422)
    assert set(response.json()) == {"error"}


def test_what_the_reader_sees(client):
    found = client.post("/api/read", content=sent([[0.5, 0.5]]), headers=BINARY).json()
    probabilities = read_digits(frozen("reader")[0], decode(client, [[0.5, 0.5]]))[0]
    assert found["digit"] == int(probabilities.argmax())
    assert found["probability"] == pytest.approx(float(probabilities.max()), abs=1e-3)


def test_the_nearest_real_digit(client, explored):
    places, validation = explored.places, explored.splits.validation
    for row in (0, 17):
        near = client.post("/api/read", content=sent([places[row] + 1e-6]), headers=BINARY).json()["nearest"]
        assert near["row"] == row
        assert near["label"] == validation.labels[row]
        assert base64.b64decode(near["image"]) == validation.images[row].tobytes()


def test_the_edge_of_the_data(client, explored):
    found = client.get("/api/support").json()
    steps = found["steps"]
    grid = np.frombuffer(base64.b64decode(found["distance"]), np.uint8).reshape(steps, steps)
    axis = np.linspace(-found["reach"], found["reach"], steps)
    support = Support.fit(torch.from_numpy(explored.places))
    rng = np.random.default_rng(0)
    for i, j in rng.integers(0, steps, (200, 2)):
        inside = bool(support.contains(torch.tensor([[axis[j], axis[i]]]))[0])
        assert inside == (grid[i, j] < EDGE) or abs(int(grid[i, j]) - EDGE) <= 1
    assert (grid < EDGE).any()
    assert (grid[[0, -1]] > EDGE).all()


def test_clusters(client, digits):
    clusters = client.get("/api/clusters").json()
    assert 5 <= len(clusters) <= 10
    assert sum(cluster["count"] for cluster in clusters) <= 300
    for cluster in clusters:
        assert 0 < cluster["share"] <= 1
        assert np.linalg.eigvalsh(cluster["covariance"]).min() >= 0


def test_snapshots(client, run, digits, explored):
    response = client.get("/api/snapshots/2")
    model, _ = load_model(RunDirectory(run).snapshot(2))
    n = int(response.headers["X-Points"])
    places = np.frombuffer(response.content[: 8 * n], np.float32).reshape(-1, 2)
    np.testing.assert_allclose(places, encode_images(model, digits.validation.images).loc, atol=1e-5)
    images = np.frombuffer(response.content[8 * n :], np.uint8).reshape(-1, 28, 28)
    codes = torch.from_numpy(plate(explored.extent)).float()
    np.testing.assert_array_equal(images, (decode_images(model, codes)[:, 0] * 255).round().byte())
    assert plate(3.0)[0].tolist() == [-3.0, 3.0]  # as one looks at it: the first is at the top left
    assert client.get("/api/snapshots/4").status_code == 404


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


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Host": "evil.example:8000"}, 403),
        ({"Host": "127.0.0.1:8001"}, 403),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Origin": f"http://{HOST}", "Sec-Fetch-Site": "same-origin"}, 200),
        ({}, 200),
    ],
)
def test_who_may_ask(client, headers, status):
    response = client.post("/api/decode", content=sent([[0, 0]]), headers={**BINARY, **headers})
    assert response.status_code == status
    assert "access-control-allow-origin" not in response.headers
    assert "content-security-policy" in response.headers


def test_a_link_from_elsewhere_opens_the_page(client):
    assert client.get("/", headers={"Sec-Fetch-Site": "cross-site"}).status_code == 200


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


def test_a_studio_has_a_map_for_each_digit(digits, studio, client_for):
    client = client_for(Explored("studio", digits, "mnist-5k"))
    about = client.get("/api/about").json()
    assert about["byDigit"]
    assert about["ownStudio"]
    assert about["seen"]
    plane = client.get("/api/support").json()["plane"]
    code = np.array(plane["origin"]) + np.array([0.5, -1.0]) @ np.array(plane["axes"])
    np.testing.assert_array_equal(decode(client, [[0.5, -1.0]], 4), studio.draw(code[None], np.array([4])))
    found = client.post("/api/draw", content=digits.validation.images[0].tobytes(), headers=BINARY).json()
    assert found["covariance"] is None
    assert found["score"]["by"] == "map"


def test_more_dimensions_are_seen_by_their_principal_components(make_run, digits):
    explored = Explored(str(make_run("latent_dim=5", epochs=1)), digits)
    explored.encode()
    codes = encode_images(explored.model, digits.validation.images).loc.double()
    centred = codes - codes.mean(0)
    values = torch.linalg.svdvals(centred)
    found = np.square(explored.places).sum(0)
    np.testing.assert_allclose(found, values[:2].square(), rtol=1e-3)
    assert explored.about()["principal"]


def test_one_dimension_has_no_map(make_run, digits, client_for):
    client = client_for(Explored(str(make_run("latent_dim=1", epochs=1)), digits))
    assert "no map" in client.get("/api/about").json()["whyNoMap"]
    assert client.post("/api/decode", content=sent([[0, 0]]), headers=BINARY).status_code == 400
    assert client.get("/api/support").status_code == 400
    found = client.post("/api/draw", content=digits.validation.images[0].tobytes(), headers=BINARY).json()
    assert found["place"] is None
    assert found["score"]["estimator"] == "log_prob_quadrature"


def test_a_model_that_is_told_the_digit_and_does_not_draw_says_so(make_run, digits):
    explored = Explored(str(make_run("classes=10", "latent_dim=4", epochs=1)), digits)
    assert "digitvae export" in explored.about()["whyNoMap"]


def test_without_labels(run, digits, client_for):
    from dataclasses import replace

    from digitvae.data import Digits

    bare = replace(digits, validation=Digits(digits.validation.images), train=Digits(digits.train.images))
    client = client_for(Explored(str(run), bare))
    assert client.get("/api/about").json()["labels"] is None
    assert client.get("/api/clusters").json()[0]["digit"] is None
    found = client.post("/api/draw", content=digits.validation.images[0].tobytes(), headers=BINARY).json()
    assert found["nearest"][0]["label"] is None


def test_a_model_that_does_not_exist(digits):
    with pytest.raises(RunError, match="neither a run directory"):
        Explored("no-such-model", digits)


def test_kept_lattice_is_the_likelihood(explored, digits):
    from digitvae.evaluation.density import KeptLattice, log_likelihood

    for binarization in ("none", "dynamic"):
        x = prepared(digits.validation.images[:20], binarization)
        kept, name = KeptLattice(explored.model).log_likelihood(x)
        true, same = log_likelihood(explored.model, x)
        torch.testing.assert_close(kept, true, atol=2e-3, rtol=1e-5)
        assert name == same
