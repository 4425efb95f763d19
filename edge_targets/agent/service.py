"""What the routes work with, and how an inference goes through the batcher."""

import threading
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from edge_targets.agent.agent import Agent, BusyError, EmptyError
from edge_targets.agent.batching import Batcher, Batching, Outcome
from edge_targets.agent.http1 import Head, Problem
from edge_targets.agent.incoming import Incoming
from edge_targets.agent.protocol import HEADER, Plan, answer, read_request
from edge_targets.runtime.contract import Manifest
from edge_targets.runtime.errors import EdgeError, StorageError, UnknownNameError

MAX_INFERENCE_HEADER = 64 << 10  # bytes of JSON before raw tensors

STATUSES: tuple[tuple[type[EdgeError], int], ...] = (
    (EmptyError, 503),
    (BusyError, 503),
    (UnknownNameError, 404),
    (StorageError, 507),
    (EdgeError, 400),
)


def problem_of(error: BaseException) -> Problem:
    """How an error is answered; one that is no `EdgeError` is our bug."""
    if isinstance(error, Problem):
        return error
    for family, status in STATUSES:
        if isinstance(error, family):
            return Problem(status, str(error), error.hint, error.kind)
    return Problem(500, "The agent failed at this request.", "See agent.log on the device.", "bug")


class Service:
    """What routes work with."""

    def __init__(
        self, agent: Agent, stopped: threading.Event, aside: Any, batching: Batching
    ) -> None:
        self.agent = agent
        self.stopped = stopped
        self.incoming = Incoming(agent.home.incoming)
        self.batcher = Batcher(agent, aside, batching)
        self.plans: dict[str, Plan] = {}

    def plan(self, manifest: Manifest) -> Plan:
        known = self.plans.get(manifest.name)
        if known is None or known.manifest is not manifest:
            served = {each.name for each in self.agent.models()}
            self.plans = {name: plan for name, plan in self.plans.items() if name in served}
            known = self.plans[manifest.name] = Plan.of(manifest)
        return known

    def infer(
        self,
        words: tuple[str, ...],
        head: Head,
        body: bytes | bytearray,
        done: Callable[[Any], None],
    ) -> None:
        """Queue an inference; `done` gets its answer, or the exception."""
        name, version = words[0], words[1] or None
        plan = self.plan(self.agent.manifest(name, version))
        request = read_request(body, inference_header(head), plan)

        def predicted(outcome: Any) -> None:
            if not isinstance(outcome, Outcome):
                done(outcome)
                return
            then = self.plan(outcome.manifest)
            if not request.outputs.keys() <= then.outputs.keys():  # replaced in between
                done(Problem(503, f"{name} was replaced just now.", "Read its metadata again."))
                return
            try:
                found: Any = answer(then, request, outcome.outputs)
            except Exception as error:  # noqa: BLE001 - who asked is told
                found = error
            done(found)

        self.batcher.add(name, version, request.inputs, request.counted, plan.merges, predicted)


@lru_cache(maxsize=64)
def inference_header(head: Head) -> int | None:
    """Bytes of JSON at the beginning of the body; None when all of it is JSON."""
    given = head.headers.get(HEADER.lower())
    if given is None:
        return None
    [text, *more] = given
    if more or not (text.isascii() and text.isdigit() and int(text[:9]) <= MAX_INFERENCE_HEADER):
        raise Problem(400, f"{HEADER} is no number up to {MAX_INFERENCE_HEADER}.")
    return int(text)
