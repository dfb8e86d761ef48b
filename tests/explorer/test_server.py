"""The server held against the functions that it serves: the page, the map, models of every kind, and who may ask."""

from __future__ import annotations

import base64
import threading
from concurrent.futures import Future
from dataclasses import replace

import numpy as np
import pytest
import torch
from fastapi.testclient import TestClient

from digitvae.checkpoint import load_model
from digitvae.data import Digits
from digitvae.errors import RunError
from digitvae.explorer.answering import Desk, create_app
from digitvae.explorer.explored import EDGE, Explored, plate
from digitvae.explorer.serving import names
from digitvae.generation import decode_images, encode_images
from digitvae.latent import Support
from digitvae.reading import frozen, read_digits
from digitvae.rundir import RunDirectory

HOST = "127.0.0.1:8000"
BINARY = {"Content-Type": "application/octet-stream"}


def sent(places) -> bytes:
    return np.asarray(places, np.float32).tobytes()


def decode(client, places, digit: int = 0) -> np.ndarray:
    response = client.post(f"/api/decode?digit={digit}", content=sent(places), headers=BINARY)
    assert response.status_code == 200, response.text
    return np.frombuffer(bytearray(response.content), np.uint8).reshape(-1, 28, 28)


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
    assert about["dataDir"] is None
    assert about["curves"]["validation"] == [r["validation"]["loss"] for r in RunDirectory(run).metrics()]
    named = Explored(str(run), digits, "mnist", run.parent).about()
    assert (named["dataOption"], named["dataDir"]) == ("mnist", str(run.parent))


def test_points_are_the_codes(client, explored, digits):
    response = client.get("/api/points")
    places = np.frombuffer(response.content, np.float32).reshape(-1, 2)
    model, _ = load_model(RunDirectory(explored.run.path).best)
    np.testing.assert_allclose(places, encode_images(model, digits.validation.images).loc, atol=1e-5)
    assert response.headers["X-Done"] == "1"


def test_points_are_not_said_to_be_all_before_the_last_has_come():
    class Encoding:
        """The last points come while those before them are being sent."""

        encoded, stopped = threading.Event(), threading.Event()

        @property
        def places(self):
            self.encoded.set()
            return np.zeros((3, 2), np.float32)

    explored: Future = Future()
    explored.set_result(Encoding())
    desk = Desk(explored)
    client = TestClient(create_app(desk, frozenset({HOST})), base_url=f"http://{HOST}")
    assert [client.get("/api/points").headers["X-Done"] for _ in range(2)] == ["0", "1"]
    desk.close()


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


@pytest.mark.parametrize(("port", "status"), [(80, 200), (8000, 403)])
def test_port_80_is_asked_without_its_number(desk, port, status):
    client = TestClient(create_app(desk, names(port)), base_url="http://127.0.0.1")
    assert client.get("/api/about", headers={"Origin": "http://127.0.0.1"}).status_code == status


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
    bare = replace(digits, validation=Digits(digits.validation.images), train=Digits(digits.train.images))
    client = client_for(Explored(str(run), bare))
    assert client.get("/api/about").json()["labels"] is None
    assert client.get("/api/clusters").json()[0]["digit"] is None
    found = client.post("/api/draw", content=digits.validation.images[0].tobytes(), headers=BINARY).json()
    assert found["nearest"][0]["label"] is None


def test_a_model_that_does_not_exist(digits):
    with pytest.raises(RunError, match="neither a run directory"):
        Explored("no-such-model", digits)
