"""Heads and tensors as they come: what is understood, and what is refused instead of guessed."""

import json
import math
import struct
from contextlib import suppress
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_targets.agent.http1 import MAX_HEADERS, MAX_LINE, Head, Problem, parse_head
from edge_targets.agent.protocol import (
    MOST_LAYOUTS,
    Plan,
    Request,
    answer,
    read_request,
)
from edge_targets.runtime.contract import Abstention, Tensor
from edge_targets.runtime.errors import DataError
from tests.edge_targets.tiny import manifest

PLAN = Plan.of(manifest())


def head(*lines: str) -> Head:
    return parse_head("\r\n".join(lines).encode("latin-1"))


def body(raw: bytes, **changes: Any) -> tuple[bytes, int]:
    """A binary request and the length of its JSON."""
    entry = {"name": "x", "shape": [1, 3], "datatype": "FP32"}
    entry |= {"parameters": {"binary_data_size": len(raw)}} | changes
    text = json.dumps({"inputs": [entry]}).encode()
    return text + raw, len(text)


FLOATS = struct.pack("<3f", 1, 2, 3)


def test_a_head_is_read() -> None:
    found = head("POST /a?b HTTP/1.1", "Host: pi", "X-a:1", "x-A:\t2 ", "Content-Length: 07")

    assert (found.method, found.target, found.length) == ("POST", "/a?b", 7)
    assert found.headers["x-a"] == ("1", "2")
    assert found.keeps
    assert not found.waits


@pytest.mark.parametrize(
    ("lines", "keeps"),
    [
        (("GET / HTTP/1.1", "Connection: close"), False),
        (("GET / HTTP/1.1", "Connection: x, Close"), False),
        (("GET / HTTP/1.1", "Connection: keep-alive"), True),
        (("GET / HTTP/1.0",), False),
    ],
)
def test_who_wants_the_connection_closed_is_understood(lines: tuple[str, ...], keeps: bool) -> None:
    assert head(*lines).keeps == keeps


@pytest.mark.parametrize(
    ("lines", "status"),
    [
        (("",), 400),
        (("GET /",), 400),
        (("GET  / HTTP/1.1",), 400),
        (("get / HTTP/1.1",), 400),
        (("GET / HTTP/1.1 ",), 400),
        (("GET /\x00 HTTP/1.1",), 400),
        (("GET /é HTTP/1.1",), 400),
        (("GET http://pi/ HTTP/1.1",), 400),
        (("GET * HTTP/1.1",), 400),
        (("GET / HTTP/2.0",), 505),
        (("GET /" + "a" * MAX_LINE + " HTTP/1.1",), 414),
        (("GET / HTTP/1.1", *["a: b"] * (MAX_HEADERS + 1)), 431),
        (("GET / HTTP/1.1", "Host : pi"), 400),
        (("GET / HTTP/1.1", " folded: yes"), 400),
        (("GET / HTTP/1.1", "a: b", "\tfolded"), 400),
        (("GET / HTTP/1.1", ": nameless"), 400),
        (("GET / HTTP/1.1", "no colon"), 400),
        (("GET / HTTP/1.1", "a: b\nContent-Length: 3"), 400),
        (("GET / HTTP/1.1", "a: b\rContent-Length: 3"), 400),
        (("GET / HTTP/1.1", "a: \x00"), 400),
        (("POST / HTTP/1.1", "Content-Length: 3", "Content-Length: 3"), 400),
        (("POST / HTTP/1.1", "Content-Length: 3, 3"), 400),
        (("POST / HTTP/1.1", "Content-Length: +3"), 400),
        (("POST / HTTP/1.1", "Content-Length: 0x3"), 400),
        (("POST / HTTP/1.1", "Content-Length: \u00b2"), 400),
        (("POST / HTTP/1.1", "Content-Length:"), 400),
        (("POST / HTTP/1.1", "Transfer-Encoding: chunked"), 411),
        (("POST / HTTP/1.1", "Transfer-Encoding: identity", "Content-Length: 3"), 411),
        (("POST / HTTP/1.1", "transfer-encoding:\tchunked"), 411),
    ],
)
def test_what_two_readers_could_understand_in_two_ways_is_refused(
    lines: tuple[str, ...], status: int
) -> None:
    with pytest.raises(Problem) as caught:
        head(*lines)

    assert caught.value.status == status


@given(st.binary(max_size=300))
def test_no_bytes_are_too_strange_for_the_reader(data: bytes) -> None:
    with suppress(Problem):
        assert parse_head(data).target.startswith("/")


def test_a_secret_in_a_head_is_not_shown() -> None:
    assert "swordfish" not in repr(head("GET / HTTP/1.1", "Authorization: Bearer swordfish"))


def test_raw_tensors_are_read_from_behind_the_json() -> None:
    found = read_request(*body(FLOATS), PLAN)

    assert found.inputs["x"].shape == (1, 3)
    assert list(found.inputs["x"].data) == [1, 2, 3]


@pytest.mark.parametrize(
    ("changes", "raw", "words"),
    [
        ({"parameters": {"binary_data_size": 13}}, FLOATS, "more than the body"),
        ({"parameters": {"binary_data_size": -1}}, FLOATS, "no number of bytes"),
        ({"parameters": {"binary_data_size": True}}, FLOATS, "no number of bytes"),
        ({"parameters": {"binary_data_size": "12"}}, FLOATS, "no number of bytes"),
        ({"parameters": {"binary_data_size": 8}}, FLOATS, "12 bytes, not 8"),
        ({}, FLOATS + b"\0", "12 bytes, not 13"),
        ({"shape": [2, 3]}, FLOATS, "24 bytes, not 12"),
        ({"shape": [-1, 3]}, FLOATS, "sizes"),
        ({"shape": [2**62, 2**62]}, FLOATS, "bytes, not 12"),
        ({"data": [1, 2, 3]}, FLOATS, "send one of them"),
        ({"parameters": {}, "data": [1, 2, 3]}, FLOATS, "belong to no input"),
        ({"parameters": 3}, FLOATS, "no object"),
        ({"parameters": {"shared_memory_region": "a"}}, FLOATS, "shared_memory_region"),
    ],
)
def test_raw_tensors_that_do_not_fit_are_refused(
    changes: dict[str, Any], raw: bytes, words: str
) -> None:
    with pytest.raises(DataError, match=words):
        read_request(*body(raw, **changes), PLAN)


def test_json_that_claims_more_than_was_sent_is_refused() -> None:
    text, length = body(FLOATS)

    with pytest.raises(DataError, match="the body has"):
        read_request(text, len(text) + 1, PLAN)
    with pytest.raises(DataError, match="JSON"):
        read_request(text, length - 1, PLAN)
    with pytest.raises(DataError, match="JSON"):
        read_request(text, 0, PLAN)


@pytest.mark.parametrize("text", [b'{"a":[' + b"{}," * 2000, b'{"a":[' + b"[]," * 300_000])
def test_json_of_many_small_parts_is_refused_before_they_are_made(text: bytes) -> None:
    with pytest.raises(DataError, match="too many parts"):
        read_request(text, None, PLAN)


FINITE = st.floats(width=32, allow_nan=False)


@given(st.lists(st.tuples(FINITE, FINITE, FINITE), min_size=1, max_size=5))
def test_json_and_bytes_say_the_same(rows: list[tuple[float, ...]]) -> None:
    flat = [value for row in rows for value in row]
    shape = [len(rows), 3]
    raw = np.asarray(flat, "<f4").tobytes()
    text = json.dumps(
        {"inputs": [{"name": "x", "shape": shape, "datatype": "FP32", "data": rows}]}
    ).encode()

    as_json = read_request(text, None, PLAN).inputs["x"]
    as_bytes = read_request(*body(raw, shape=shape), PLAN).inputs["x"]

    assert as_json.shape == as_bytes.shape == (len(rows), 3)
    assert as_json.data.tobytes() == as_bytes.data.tobytes() == raw


@given(st.lists(st.floats(width=32), min_size=2, max_size=2), st.booleans())
def test_an_answer_says_what_was_computed(values: list[float], binary: bool) -> None:
    outputs = {"probabilities": Tensor((1, 2), np.asarray(values, np.float32))}

    found = answer(PLAN, Request({}, {}, binary), outputs)

    read = json.loads(found.pieces[0])["outputs"][0]
    if binary:
        assert read["parameters"] == {"binary_data_size": 8}
        assert f"Inference-Header-Content-Length: {len(found.pieces[0])}" in found.headers
        assert np.array_equal(np.frombuffer(found.pieces[1], "<f4"), values, equal_nan=True)
    else:
        wanted = [value if math.isfinite(value) else None for value in values]
        assert read["data"] == wanted


def test_json_that_is_repeated_is_read_once_and_still_means_the_same() -> None:
    plan = Plan.of(manifest())
    other = struct.pack("<3f", 4, 5, 6)

    first = read_request(*body(FLOATS), plan)
    second = read_request(*body(other), plan)

    assert len(plan.layouts) == 1
    assert list(first.inputs["x"].data) == [1, 2, 3]
    assert list(second.inputs["x"].data) == [4, 5, 6]
    text, length = body(FLOATS)
    with pytest.raises(DataError, match="more than the body"):
        read_request(text[:-1], length, plan)
    with pytest.raises(DataError, match="belong to no input"):
        read_request(text + b"\0", length, plan)


def test_what_is_kept_of_requests_is_bounded() -> None:
    plan = Plan.of(manifest())

    for rows in range(1, 500):
        read_request(*body(FLOATS * rows, shape=[rows, 3]), plan)

    assert len(plan.layouts) <= MOST_LAYOUTS


def test_an_answer_names_the_items_that_the_model_abstains_from() -> None:
    told = manifest()
    labelled = replace(told.signature, labels=("no", "yes"))
    doubting = replace(told, signature=labelled, abstention=Abstention(0.9, 0.05, 0.95, 0.8, 100))
    name = labelled.outputs[0].name
    shares = {name: Tensor((3, 2), [0.6, 0.4, 0.95, 0.05, 0.2, 0.8])}

    found = json.loads(b"".join(answer(Plan.of(doubting), Request({}, {}), shares).pieces))
    silent = json.loads(b"".join(answer(Plan.of(told), Request({}, {}), shares).pieces))

    assert found["parameters"] == {"abstained": "0,2"}
    assert "parameters" not in silent
