"""A client that others wrote: tritonclient's, over HTTP."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from edge_targets.agent.agent import Agent
from tests.edge_targets.serving import (
    DTYPES,
    agent_of,
    echo_package,
    serving,
    tiny_package,
)
from tests.edge_targets.tiny import INPUTS, expected

triton = pytest.importorskip("tritonclient.http")
NAMES = dict(zip(DTYPES, ("BOOL", "INT8", "UINT8", "INT32", "INT64", "FP32", "FP64"), strict=True))


@pytest.fixture(scope="module")
def agent(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Agent]:
    folder = tmp_path_factory.mktemp("triton")
    with agent_of(folder / "device", tiny_package(folder), echo_package(folder)) as agent:
        yield agent


@pytest.fixture(scope="module")
def client(agent: Agent) -> Iterator[Any]:
    with serving(agent) as server:
        client = triton.InferenceServerClient(server.url.removeprefix("http://"))
        yield client
        client.close()


def values(dtype: str, rows: int) -> np.ndarray:
    random = np.random.default_rng(5)
    if dtype == "bool":
        return random.integers(0, 2, (rows, 2)).astype(bool)
    if dtype.startswith("float"):
        return random.normal(0, 1e3, (rows, 2)).astype(dtype)
    limits = np.iinfo(dtype)
    return random.integers(limits.min, limits.max, (rows, 2), dtype, endpoint=True)


def test_the_server_and_its_models_describe_themselves(
    client: Any,
) -> None:
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("tiny")
    assert client.is_model_ready("tiny", "1")
    assert not client.is_model_ready("tiny", "2")
    assert not client.is_model_ready("other")
    assert "binary_tensor_data" in client.get_server_metadata()["extensions"]
    assert client.get_model_metadata("tiny")["inputs"] == [
        {"name": "x", "datatype": "FP32", "shape": [-1, 3]}
    ]
    index = client.get_model_repository_index()
    assert [(one["name"], one["version"], one["state"]) for one in index] == [
        ("echo", "1", "READY"),
        ("tiny", "1", "READY"),
    ]


@pytest.mark.parametrize("sends_binary", [True, False])
@pytest.mark.parametrize("takes_binary", [True, False])
def test_predictions_are_those_of_the_model_in_json_and_in_bytes(
    client: Any, sends_binary: bool, takes_binary: bool
) -> None:
    given = triton.InferInput("x", list(INPUTS.shape), "FP32")
    given.set_data_from_numpy(INPUTS, binary_data=sends_binary)
    wanted = triton.InferRequestedOutput("probabilities", binary_data=takes_binary)

    found = client.infer("tiny", [given], outputs=[wanted], request_id="7")

    assert np.allclose(found.as_numpy("probabilities"), expected(INPUTS), atol=1e-6)
    answer = found.get_response()
    assert (answer["model_version"], answer["id"]) == ("1", "7")
    assert ("parameters" in answer["outputs"][0]) == takes_binary


@pytest.mark.parametrize("takes_binary", [True, False])
@pytest.mark.parametrize("sends_binary", [True, False])
def test_every_datatype_comes_back_as_it_was_sent(
    client: Any, sends_binary: bool, takes_binary: bool
) -> None:
    given = {dtype: values(dtype, 3) for dtype in DTYPES}
    inputs = []
    for dtype, data in given.items():
        entry = triton.InferInput(f"x_{dtype}", list(data.shape), NAMES[dtype])
        entry.set_data_from_numpy(data, binary_data=sends_binary)
        inputs.append(entry)
    wanted = [
        triton.InferRequestedOutput(f"y_{dtype}", binary_data=takes_binary) for dtype in DTYPES
    ]

    found = client.infer("echo", inputs, outputs=wanted)

    for dtype, data in given.items():
        assert np.array_equal(found.as_numpy(f"y_{dtype}"), data), dtype


def test_outputs_that_nobody_named_come_all_and_in_bytes(
    client: Any,
) -> None:
    inputs = []
    for dtype in reversed(DTYPES):  # JSON and bytes mixed, in another order than the model's
        data = values(dtype, 1)
        entry = triton.InferInput(f"x_{dtype}", [1, 2], NAMES[dtype])
        entry.set_data_from_numpy(data, binary_data=dtype != "int32")
        inputs.append(entry)

    found = client.infer("echo", inputs)

    assert len(found.get_response()["outputs"]) == len(DTYPES)
    for dtype in DTYPES:
        assert np.array_equal(found.as_numpy(f"y_{dtype}"), values(dtype, 1))


@pytest.mark.parametrize("datatype", ["FP16", "BF16", "BYTES", "UINT16"])
def test_datatypes_that_are_not_known_are_refused_by_name(client: Any, datatype: str) -> None:
    import ml_dtypes  # of onnx

    kinds = {"FP16": "f2", "BF16": ml_dtypes.bfloat16, "BYTES": np.object_, "UINT16": "u2"}
    given = triton.InferInput("x", [1, 3], datatype)
    given.set_data_from_numpy(np.ones((1, 3)).astype(kinds[datatype]))

    with pytest.raises(triton.InferenceServerException) as caught:
        client.infer("tiny", [given])

    assert datatype in str(caught.value)
    assert "FP32" in str(caught.value)


def test_what_would_change_the_answer_is_not_ignored(
    client: Any,
) -> None:
    given = triton.InferInput("x", list(INPUTS.shape), "FP32")
    given.set_data_from_numpy(INPUTS)
    wanted = triton.InferRequestedOutput("probabilities", class_count=1)

    with pytest.raises(triton.InferenceServerException, match="classification"):
        client.infer("tiny", [given], outputs=[wanted])
    with pytest.raises(triton.InferenceServerException, match="Compressed"):
        client.infer("tiny", [given], request_compression_algorithm="gzip")
