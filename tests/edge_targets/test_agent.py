"""A real agent on loopback: what it answers, and what it refuses."""

import http.client
import json
import socket
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pytest

from edge_targets.agent.home import Settings
from edge_targets.catalog.simulator import Simulator
from edge_targets.package import pack, public_key
from edge_targets.places.target import Place
from edge_targets.runtime.events import Job
from tests.edge_targets.tiny import INPUTS, KEY, expected, infer_body, manifest, members

INFER = "/v2/models/tiny/infer"
JSON = {"Content-Type": "application/json"}


@dataclass
class Client:
    """Sends what it is told to, byte by byte; keeps one connection where the agent lets it."""

    url: str

    def send(
        self,
        method: str,
        path: str,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
        raw: bytes | None = None,
    ) -> tuple[int, Any]:
        parts = urlsplit(self.url)
        connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=20)
        data = raw if raw is not None else None if body is None else json.dumps(body).encode()
        try:
            connection.request(method, path, data, JSON if headers is None else dict(headers))
            with connection.getresponse() as answer:
                return answer.status, json.loads(answer.read())
        finally:
            connection.close()

    def infer(self, body: Any, path: str = INFER) -> tuple[int, Any]:
        return self.send("POST", path, body)

    def talk(self, text: bytes) -> bytes:
        """The raw answer to raw bytes, until the agent closes."""
        parts = urlsplit(self.url)
        with socket.create_connection((parts.hostname, parts.port), timeout=20) as connection:
            connection.sendall(text)
            found = b""
            while chunk := connection.recv(65536):
                found += chunk
        return found


@pytest.fixture(scope="module")
def agent(tmp_path_factory: pytest.TempPathFactory, roots: list[Path]) -> Iterator[Client]:
    """One agent with the tiny model, for all tests that leave it as it is."""
    folder = tmp_path_factory.mktemp("agent")
    root = folder / "device"
    roots.append(root)
    root.mkdir()
    Settings(window_s=3600).save(root)
    place = Place("pi-shared", str(root), "", (public_key(KEY),))
    pack(manifest(), members(), KEY, folder / "tiny.sndl")
    yield Client(Simulator().deploy(folder / "tiny.sndl", place, Job()).url)
    Simulator().stop(place)


def test_the_server_says_what_it_is(agent: Client) -> None:
    assert agent.send("GET", "/v2/health/live") == (200, {"live": True})
    assert agent.send("GET", "/v2/health/ready") == (200, {"ready": True})
    assert agent.send("GET", "/v2/models/tiny/ready") == (200, {"name": "tiny", "ready": True})
    status, server = agent.send("GET", "/v2")
    assert status == 200
    assert set(server) == {"name", "version", "extensions"}


@pytest.mark.parametrize("path", ["/v2/models/tiny", "/v2/models/tiny/versions/1"])
def test_the_model_says_what_it_takes(agent: Client, path: str) -> None:
    status, found = agent.send("GET", path)

    assert status == 200
    assert found["name"] == "tiny"
    assert found["versions"] == ["1"]
    assert found["inputs"] == [{"name": "x", "datatype": "FP32", "shape": [-1, 3]}]
    assert found["outputs"] == [{"name": "probabilities", "datatype": "FP32", "shape": [-1, 2]}]
    assert found["parameters"]["labels"] == ["no", "yes"]


@pytest.mark.parametrize("path", [INFER, "/v2/models/tiny/versions/1/infer"])
def test_predictions_are_those_of_the_model(agent: Client, path: str) -> None:
    status, found = agent.infer({"id": "42", **infer_body()}, path)

    assert status == 200
    assert (found["model_name"], found["model_version"], found["id"]) == ("tiny", "1", "42")
    [output] = found["outputs"]
    assert (output["name"], output["datatype"], output["shape"]) == (
        "probabilities",
        "FP32",
        [2, 2],
    )
    assert np.allclose(np.reshape(output["data"], (2, 2)), expected(INPUTS), atol=1e-6)


def test_nested_data_and_chosen_outputs_give_the_same_answer(agent: Client) -> None:
    body = infer_body()
    nested = infer_body()
    nested["inputs"][0]["data"] = INPUTS.tolist()
    nested["outputs"] = [{"name": "probabilities"}]

    assert agent.infer(nested) == agent.infer(body)
    assert "id" not in agent.infer(body)[1]


def test_whole_numbers_and_missing_values_are_taken_as_floats(agent: Client) -> None:
    body = infer_body(INPUTS[:1])
    body["inputs"][0]["data"] = [1, 2, 3]
    missing = infer_body(INPUTS[:1])
    missing["inputs"][0]["data"] = [1, None, 3]

    status, found = agent.infer(body)
    lost_status, lost = agent.infer(missing)

    assert status == lost_status == 200
    assert np.allclose(found["outputs"][0]["data"], expected(INPUTS[:1])[0], atol=1e-6)
    assert lost["outputs"][0]["data"] == [None, None]  # what is not a number is no JSON


def change(**changes: Any) -> dict[str, Any]:
    body = infer_body()
    body["inputs"][0] |= changes
    return body


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ([], "not a JSON object"),
        ({}, "takes x"),
        ({"inputs": 3}, "not a list"),
        ({"inputs": [3]}, "without a name"),
        ({"inputs": [{"name": 3}]}, "without a name"),
        ({"id": 3, **infer_body()}, "not a string"),
        (change(name="y"), "unknown"),
        ({"inputs": infer_body()["inputs"] * 2}, "twice"),
        (change(datatype="FP64"), "FP32"),
        (change(datatype=None), "FP32"),
        (change(shape=[2]), "does not hold"),
        (change(shape=[3, 2]), "takes"),
        (change(shape=[-2, -3]), "sizes"),
        (change(shape=[2.0, 3]), "sizes"),
        (change(shape=[True, 6]), "sizes"),
        (change(shape="2,3"), "sizes"),
        (change(shape=[1] * 9), "sizes"),
        (change(shape=[0, 3], data=[]), "takes"),
        (change(shape=[10**9, 10**9]), "does not hold"),
        (change(data=None), "not a list"),
        (change(data=[1, 2]), "does not hold"),
        (change(data=[[1, 2, 3], [4, 5]]), "nested"),
        (change(data=[[1, 2, 3], 4]), "nested"),
        (change(data=[[[1], [2], [3]], [[4], [5], [6]]]), "list"),
        (change(data=["1", 2, 3, 4, 5, 6]), "str"),
        (change(data=[True, 2, 3, 4, 5, 6]), "bool"),
        (change(data=[{}, 2, 3, 4, 5, 6]), "dict"),
        (change(data=[1e39, 2, 3, 4, 5, 6]), "does not fit"),
        (change(data=[10**400, 2, 3, 4, 5, 6]), "does not fit"),
        ({**infer_body(), "outputs": [{"name": "nope"}]}, "nope"),
        ({**infer_body(), "outputs": {}}, "not a list"),
        ({**infer_body(), "parameters": 3}, "no object"),
        ({**infer_body(), "parameters": {"counted": 1}}, "true or false"),
    ],
)
def test_a_request_that_is_wrong_is_told_why(agent: Client, body: Any, words: str) -> None:
    status, found = agent.infer(body)

    assert status == 400
    assert words in found["error"]


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"{",
        b"\xff\xfe",
        b"[" * 200_000,
        b'{"inputs":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b"1" * 10_000,
        b'{"a":' * 50_000,
    ],
)
def test_what_is_not_json_is_refused(agent: Client, raw: bytes) -> None:
    status, found = agent.send("POST", INFER, raw=raw)

    assert status == 400
    assert "JSON" in found["error"]
    assert agent.infer(infer_body())[0] == 200


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v2/models", 404),
        ("GET", "/v2/models/other", 404),
        ("GET", "/v2/models/tiny/versions/9", 404),
        ("GET", "/v2/models/tiny/nothing", 404),
        ("POST", "/v2/models/other/infer", 404),
        ("GET", "/../../etc/passwd", 404),
        ("GET", "/v2/models/%2e%2e%2fetc", 404),
        ("GET", INFER, 405),
        ("POST", "/v2/health/live", 405),
        ("GET", "/v1/package", 405),
        ("DELETE", "/v2/models/tiny", 501),
    ],
)
def test_addresses_and_methods_that_are_not_there(
    agent: Client, method: str, path: str, status: int
) -> None:
    body = infer_body() if path.endswith("infer") and method == "POST" else None

    found, answer = agent.send(method, path, body)

    assert found == status
    assert answer["error"]


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Content-Type": "text/plain"}, 415),
        ({}, 200),
        ({**JSON, "Origin": "https://evil.example"}, 403),
        ({**JSON, "Origin": "null"}, 403),
        ({**JSON, "Host": "evil.example"}, 403),
        ({**JSON, "Host": "127.0.0.1.evil.example:80"}, 403),
        ({**JSON, "Host": ""}, 403),
        ({**JSON, "Host": "127.0.0.1@evil.example"}, 403),
        ({"Content-Type": "application/json; charset=utf-8"}, 200),
        ({**JSON, "Host": "localhost:7734"}, 200),
        ({**JSON, "Host": "192.168.1.20:7734", "Origin": "http://192.168.1.20:7734"}, 200),
        ({**JSON, "Host": "[::1]:7734"}, 200),
    ],
)
def test_pages_of_other_sites_cannot_use_a_visitor_s_device(
    agent: Client, headers: dict[str, str], status: int
) -> None:
    raw = json.dumps(infer_body()).encode()

    assert agent.send("POST", INFER, headers=headers, raw=raw)[0] == status


def test_a_stop_from_another_site_is_refused(agent: Client) -> None:
    for headers in ({"Content-Type": "text/plain"}, {**JSON, "Origin": "http://evil.example"}):
        assert agent.send("POST", "/v1/stop", {}, headers)[0] in (403, 415)

    assert agent.infer(infer_body())[0] == 200


def head(length: str, more: str = "") -> bytes:
    return (
        f"POST {INFER} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        f"{length}{more}\r\n"
    ).encode()


@pytest.mark.parametrize(
    ("text", "status"),
    [
        (head(""), b"411"),
        (head("Transfer-Encoding: chunked\r\n") + b"0\r\n\r\n", b"411"),
        (head("Content-Length: 2\r\n", "Transfer-Encoding: chunked\r\n") + b"{}", b"411"),
        (head("Content-Length: 99999999\r\n"), b"413"),
        (head("Content-Length: 16777217\r\n") + b"x" * 100_000, b"413"),
        (head("Content-Length: -1\r\n"), b"400"),
        (head("Content-Length: 1e3\r\n"), b"400"),
        (head("Content-Length: 2\r\nContent-Length: 3\r\n") + b"{} ", b"400"),
        (head("Content-Length: " + "9" * 40 + "\r\n"), b"400"),
        (b"GET /v2 HTTP/1.1\r\n\r\n", b"403"),
        (b"GET /v2 HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n\r\n", b"403"),
        (b"nonsense\r\n\r\n", b"400"),
        (b"GET /v2 HTTP/9.9\r\nHost: localhost\r\n\r\n", b"505"),
        (b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\n\r\n", b"414"),
        (b"GET /v2 HTTP/1.1\r\n" + b"a: b\r\n" * 200 + b"\r\n", b"431"),
    ],
)
def test_a_request_that_breaks_the_rules_is_answered_and_cut_off(
    agent: Client, text: bytes, status: bytes
) -> None:
    answer = agent.talk(text)

    assert answer.split(b" ")[1] == status
    assert "error" in json.loads(answer.partition(b"\r\n\r\n")[2])
    assert answer.count(b"HTTP/1.") == 1


def test_one_connection_serves_many_requests(agent: Client) -> None:
    parts = urlsplit(agent.url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=20)
    connection.connect()
    first = connection.sock

    for _ in range(5):
        connection.request("POST", INFER, json.dumps(infer_body()), JSON)
        assert connection.getresponse().read()

    assert connection.sock is first
    connection.close()


def test_more_connections_than_it_takes_are_told_so(agent: Client) -> None:
    parts = urlsplit(agent.url)
    held = [socket.create_connection((parts.hostname, parts.port)) for _ in range(160)]

    first = held[-1].recv(100)

    assert first.startswith(b"HTTP/1.1 503")
    for connection in held:
        connection.close()
    for _ in range(200):
        try:
            if agent.send("GET", "/v2/health/live")[0] == 200:
                break
        except (ConnectionError, ValueError):
            continue
    else:
        pytest.fail("it does not recover")


def test_the_status_tells_what_was_predicted(agent: Client) -> None:
    _, before = agent.send("GET", "/v1/status")
    agent.infer(infer_body())
    _, after = agent.send("GET", "/v1/status")

    assert after["samples"] == before["samples"] + 2
    assert (after["device"], after["state"], after["model"]) == ("pi-shared", "ready", "tiny")
    assert after["uptime_s"] >= before["uptime_s"]
    assert after["health"]["disk_free_bytes"] > 0


def test_what_asks_for_proof_is_answered_and_not_counted(agent: Client) -> None:
    _, before = agent.send("GET", "/v1/status")
    _, counted = agent.infer(infer_body())

    status, answer = agent.infer({**infer_body(), "parameters": {"counted": False}})

    assert status == 200
    assert answer["outputs"] == counted["outputs"]
    _, after = agent.send("GET", "/v1/status")
    assert after["samples"] - before["samples"] == len(INPUTS)


@pytest.mark.parametrize("body", [b"", b"no package", bytes(1000)])
def test_an_upload_that_is_no_package_is_refused(agent: Client, body: bytes) -> None:
    headers = {"Content-Type": "application/octet-stream"}

    status, found = agent.send("POST", "/v1/package", headers=headers, raw=body)

    assert status == 400
    assert found["kind"] == "integrity"
    assert "not a package" in found["error"]
    assert found["hint"]
    assert agent.infer(infer_body())[0] == 200


def test_an_upload_that_is_too_large_is_refused_before_it_is_sent(agent: Client) -> None:
    text = (
        b"POST /v1/package HTTP/1.1\r\nHost: localhost\r\n"
        b"Content-Type: application/octet-stream\r\nContent-Length: 536870913\r\n\r\n"
    )

    assert agent.talk(text).split(b" ")[1] == b"413"
