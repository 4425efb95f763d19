"""Whatever is sent, the agent answers or hangs up, stays whole, and serves the next one.

By hand, against an agent in a process of its own, a hundred thousand: see `fuzzing.py`.
"""

import tracemalloc
from collections import Counter
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_targets.agent.server import Server
from tests.edge_targets.fuzzing import LIVE, request, smuggled, talk, tiny
from tests.edge_targets.serving import Client, agent_of, serving, tiny_package
from tests.edge_targets.tiny import answers, wait_until

SEEDS = 3000


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("fuzz")
    with agent_of(folder / "device", tiny_package(folder)) as agent, serving(agent) as server:
        yield server


def test_thousands_of_bad_ideas_are_answered_or_hung_up_on(server: Server) -> None:
    port = server.address[1]
    seen: Counter[int] = Counter()

    for seed in range(SEEDS):
        found = talk(port, request(seed))
        seen.update(found)
        assert 500 not in found, seed

    assert seen[200] > SEEDS / 20  # some of them were good: the road was not closed early
    assert seen[400] > SEEDS / 5
    assert answers(server.url)
    wait_until(lambda: not server.connections)
    assert server.in_flight == 0
    assert server.slow == 0


@given(st.binary(max_size=200), st.binary(max_size=200))
def test_no_bytes_around_a_request_break_the_next(
    server: Server, before: bytes, after: bytes
) -> None:
    assert 500 not in talk(server.address[1], before + LIVE + after)
    assert talk(server.address[1], LIVE) == [200]


@given(st.randoms(use_true_random=False))
def test_a_request_inside_of_another_s_body_is_never_answered(chance: object) -> None:
    from edge_targets.agent.http1 import END, Problem, parse_head

    data = smuggled(chance)  # type: ignore[arg-type]

    with pytest.raises(Problem) as caught:
        parse_head(data.partition(END)[0])

    assert caught.value.status in (400, 411)  # and the connection closes after it


def test_a_flood_of_tiny_requests_leaves_no_memory_behind(server: Server) -> None:
    port = server.address[1]
    tiny(port, 2000)
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]

    tiny(port, 10_000)

    grown = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    assert grown < 1 << 20
    assert Client(server.url).send("GET", "/v2/health/live")[0] == 200
