"""Findings on standard output, a JSON object a line."""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from edge_targets.streams.samples import Finding
from edge_targets.streams.sinks.base import Send, Sink


@dataclass(frozen=True)
class Print(Sink):
    """For trying out, and for the program behind a pipe."""

    @contextmanager
    def open(self) -> Iterator[Send]:
        def send(finding: Finding) -> None:
            sys.stdout.write(json.dumps(finding.to_json()) + "\n")
            sys.stdout.flush()

        yield send
