"""Requests that wait together share a batch, and nobody gets what is another's."""

import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_targets.agent.agent import Agent, Prediction
from edge_targets.agent.batching import QUICK_S, Batcher, Batching, Outcome
from edge_targets.runtime.contract import Manifest, Tensor
from edge_targets.runtime.errors import IntegrityError
from tests.edge_targets.serving import Client, agent_of, serving, tiny_package
from tests.edge_targets.tiny import expected, infer_body, manifest, wait_until

Values = tuple[float, ...]


@dataclass
class Doubler:
    """Answers twice what it is given, and remembers in which batches it was given it."""

    manifest: Manifest = field(default_factory=manifest)
    batches: list[int] = field(default_factory=list)

    def predict(
        self, name: str, version: str | None, inputs: Mapping[str, Tensor], counted: bool = True
    ) -> Prediction:
        tensor = inputs["x"]
        values = np.asarray(tensor.data)
        if not np.isfinite(values).all():
            raise IntegrityError("a value is missing")
        self.batches.append(tensor.shape[0])
        return Prediction(self.manifest, {"y": Tensor(tensor.shape, 2 * values)})


@dataclass
class Aside:
    """Other threads that work when they are told to."""

    begun: list[Callable[[], None]] = field(default_factory=list)

    def __call__(self, work: Callable[[], Any], then: Callable[[Any], None]) -> bool:
        self.begun.append(lambda: then(work()))
        return True

    def finish(self) -> None:
        while self.begun:
            self.begun.pop(0)()


def floats(rows: int, first: float) -> Tensor:
    values = np.arange(first, first + rows * 3, dtype=np.float32)
    return Tensor((rows, 3), memoryview(values.tobytes()).cast("f"))


@dataclass
class Bench:
    """A batcher and what it gave to whom."""

    batching: Batching = field(default_factory=Batching)
    doubler: Doubler = field(default_factory=Doubler)
    aside: Aside = field(default_factory=Aside)
    found: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.batcher = Batcher(self.doubler, self.aside, self.batching)
        self.batcher.row_s["tiny"] = QUICK_S / 1000  # a quick model, as if it had been measured

    def ask(self, who: str, tensor: Tensor, **changes: Any) -> None:
        words: dict[str, Any] = {
            "name": "tiny",
            "version": None,
            "inputs": {"x": tensor},
            "counted": True,
            "merges": True,
            **changes,
        }
        self.batcher.add(**words, done=lambda outcome: self.found.update({who: outcome}))

    def values(self, who: str) -> list[float]:
        outcome = self.found[who]
        assert isinstance(outcome, Outcome)
        return list(outcome.outputs["y"].data)


@given(st.lists(st.integers(1, 9), min_size=1, max_size=30), st.integers(1, 32))
def test_everybody_gets_their_own_rows(sizes: list[int], most: int) -> None:
    bench = Bench(Batching(most_rows=most))
    for i, rows in enumerate(sizes):
        bench.ask(str(i), floats(rows, 100.0 * i))

    while bench.batcher.due_s() is not None:
        bench.batcher.flush()
        bench.aside.finish()  # a busy machine makes a quick model look slow

    for i, rows in enumerate(sizes):
        assert bench.found[str(i)].outputs["y"].shape == (rows, 3)
        assert bench.values(str(i)) == [2 * (100.0 * i + k) for k in range(rows * 3)]
    assert sum(bench.doubler.batches) == sum(sizes)
    assert all(size <= most or size in sizes for size in bench.doubler.batches)


def test_those_who_wait_share_one_batch() -> None:
    bench = Bench()
    for i in range(5):
        bench.ask(str(i), floats(1, i))

    bench.batcher.flush()

    assert bench.doubler.batches == [5]
    assert bench.batcher.due_s() is None


@pytest.mark.parametrize(
    "changes",
    [{"version": "1"}, {"name": "other"}, {"counted": False}, {"merges": False}],
)
def test_what_differs_in_more_than_rows_is_not_mixed(changes: dict[str, Any]) -> None:
    bench = Bench()
    bench.batcher.row_s["other"] = 0.0
    bench.ask("a", floats(1, 0))
    bench.ask("b", floats(1, 5), **changes)

    bench.batcher.flush()

    assert bench.doubler.batches == [1, 1]


def test_other_shapes_of_an_item_are_not_mixed() -> None:
    bench = Bench()
    bench.ask("a", floats(2, 0))
    bench.ask("b", replace(floats(2, 0), shape=(1, 6)))
    bench.ask("c", replace(floats(2, 0), shape=(6,)))

    bench.batcher.flush()

    assert bench.doubler.batches == [2, 1, 6]


def test_unequal_and_absent_items_go_alone() -> None:
    bench = Bench()
    bench.ask("a", floats(1, 0))
    bench.ask("b", floats(1, 0), inputs={"x": floats(2, 0), "z": floats(3, 0)})
    bench.ask("c", floats(1, 0), inputs={"x": floats(3, 0), "z": floats(2, 0)})
    bench.ask("d", floats(1, 0), inputs={})
    bench.ask("e", floats(0, 0))

    bench.batcher.flush()

    assert bench.doubler.batches == [1, 2, 3, 0]  # b and c would have made five of each
    assert isinstance(bench.found["d"], KeyError)  # it asked for nothing, and alone
    assert bench.values("a") == [0, 2, 4]


def test_one_bad_request_does_not_fail_its_company() -> None:
    bench = Bench()
    bad = memoryview(np.full(3, np.nan, np.float32).tobytes()).cast("f")
    bench.ask("good", floats(1, 1))
    bench.ask("bad", Tensor((1, 3), bad))

    bench.batcher.flush()

    assert bench.values("good") == [2, 4, 6]
    assert isinstance(bench.found["bad"], IntegrityError)


def test_nobody_waits_for_company_unless_told_to() -> None:
    bench = Bench(Batching(delay_s=1))  # a busy machine may stand still for a while
    bench.ask("a", floats(1, 0))
    bench.batcher.flush()
    assert not bench.found
    due_s = bench.batcher.due_s()
    assert due_s is not None
    assert 0 < due_s <= 1

    bench.ask("b", floats(1, 0))
    time.sleep(due_s)
    bench.batcher.flush()

    assert bench.doubler.batches == [2]


def test_a_full_batch_waits_no_longer() -> None:
    bench = Bench(Batching(most_rows=2, delay_s=60))
    bench.ask("a", floats(1, 0))
    bench.ask("b", floats(1, 0))

    bench.batcher.flush()

    assert bench.doubler.batches == [2]


def test_what_comes_while_a_slow_model_works_is_merged_next() -> None:
    bench = Bench()
    bench.batcher.row_s.clear()  # nothing is known: it goes to another thread
    bench.ask("a", floats(1, 0))
    bench.batcher.flush()
    bench.ask("b", floats(1, 0))
    bench.ask("c", floats(1, 0))
    bench.batcher.flush()
    assert bench.batcher.due_s() is None  # nothing to do until the model is free
    assert not bench.found

    bench.aside.finish()
    bench.batcher.row_s["tiny"] = 0.0
    bench.batcher.flush()

    assert bench.doubler.batches == [1, 2]
    assert set(bench.found) == {"a", "b", "c"}


def test_a_model_at_work_does_not_hold_up_another() -> None:
    bench = Bench()
    bench.batcher.row_s = {"quick": 0.0}
    bench.ask("slow", floats(1, 0))
    bench.ask("quick", floats(1, 0), name="quick")

    bench.batcher.flush()

    assert set(bench.found) == {"quick"}


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[Agent]:
    with agent_of(tmp_path / "device", tiny_package(tmp_path)) as agent:
        yield agent


def test_many_clients_of_a_real_model_get_their_own_answers_while_it_is_swapped(
    agent: Agent, tmp_path: Path
) -> None:
    scales = {"1": 1.0, "2": 2.0}
    wrong: list[Any] = []
    ended = threading.Event()
    versions: set[str] = set()

    def ask(seed: int, url: str) -> None:
        random = np.random.default_rng(seed)
        connection = Client(url).connection()
        while not ended.is_set():
            rows = random.normal(0, 1, (int(random.integers(1, 4)), 3)).astype(np.float32)
            connection.request("POST", "/v2/models/tiny/infer", json.dumps(infer_body(rows)))
            found = json.loads(connection.getresponse().read())
            wanted = expected(rows, scales[found["model_version"]])
            versions.add(found["model_version"])
            given = np.reshape(found["outputs"][0]["data"], wanted.shape)
            if not np.allclose(given, wanted, atol=1e-5):
                wrong.append(found)
        connection.close()

    with serving(agent) as server:
        threads = [threading.Thread(target=ask, args=(seed, server.url)) for seed in range(6)]
        for thread in threads:
            thread.start()
        wait_until(lambda: "1" in versions)
        with agent.installing:
            agent.install(tiny_package(tmp_path, "2", 2.0))
        wait_until(lambda: "2" in versions)
        ended.set()
        for thread in threads:
            thread.join()

    assert not wrong
    assert versions == {"1", "2"}
