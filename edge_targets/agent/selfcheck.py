"""Whether we still answer: one golden prediction of each model, through the server's own queue."""

import logging
import threading
import time
from typing import Any

from edge_targets.agent.agent import Agent
from edge_targets.agent.served import EmptyError
from edge_targets.agent.server import Server
from edge_targets.agent.trial import single_items
from edge_targets.runtime.contract import Manifest
from edge_targets.runtime.errors import EdgeError, UnknownNameError

log = logging.getLogger(__name__)


class SelfCheck:
    """Asks as a client would, behind all that wait: a loop, queue or model that hangs is seen."""

    def __init__(self, agent: Agent, server: Server) -> None:
        self.agent = agent
        self.server = server

    def __call__(self, limit_s: float) -> bool:
        """Whether the server, and each of its models, answers in that time."""
        until = time.monotonic() + limit_s
        awake = threading.Event()
        self.server.post(awake.set)
        return awake.wait(limit_s) and all(
            self.answers(manifest, until) for manifest in self.agent.models()
        )

    def answers(self, manifest: Manifest, until: float) -> bool:
        """Whether one golden item comes back; how right it is, the probation looks at."""
        try:
            live = self.agent.served.find(manifest.name)
        except (EmptyError, UnknownNameError):  # removed just now
            return True
        inputs = next(single_items(live.predictor.golden.inputs))
        if any(spec.shape[:1] != (-1,) for spec in manifest.signature.inputs):
            inputs = dict(live.predictor.golden.inputs)  # its batches have one size only
        found: list[Any] = []
        answered = threading.Event()

        def done(outcome: Any) -> None:
            found.append(outcome)
            answered.set()

        queue = self.server.batcher.add
        self.server.post(lambda: queue(manifest.name, None, inputs, False, False, done))
        if not answered.wait(max(0.0, until - time.monotonic())):
            log.error("%s does not answer", manifest.name)
            return False
        if isinstance(found[0], Exception) and not isinstance(found[0], EdgeError):
            log.error("%s failed: %s", manifest.name, found[0])
            return False
        return True
