"""What a device has said before its power failed, and what it therefore must be afterwards."""

import json
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from edge_targets.agent.updater import MOST_STARTS


@dataclass
class Account:
    """What the device has said, and what it therefore may and may not be after the next cut.

    Attributes:
        version, pointer: of the model `tiny`, as the device told last.
        may: versions that may be served instead, because something is under way.
        under_way: the step that has begun and not ended.
        starts: of the device since `pointer` was told, at least; they are counted there too.
        records: of telemetry, acknowledged to be kept.
        faults: everything the device lost or mixed up.
        cut_during: how many cuts hit which step.
        done: how many steps of a kind came to their end.
    """

    version: str | None = None
    pointer: dict[str, Any] | None = None
    may: set[str | None] = field(default_factory=set)
    under_way: str = ""
    starts: int = 0
    records: set[str] = field(default_factory=set)
    faults: list[str] = field(default_factory=list)
    cut_during: Counter[str] = field(default_factory=Counter)
    cuts: int = 0
    done: Counter[str] = field(default_factory=Counter)

    def hear(self, line: str) -> str:
        """Take one line into account; which event it was."""
        if not line.startswith("@"):
            return ""
        said = json.loads(line[1:])
        event: str = said["event"]
        getattr(self, f"_{event}")(said)
        return event

    def _died(self, said: dict[str, Any]) -> None:
        self.faults.append(f"the agent died: {said['why']}")

    def _state(self, said: dict[str, Any]) -> None:
        """The device has started."""
        served = said["served"].get("tiny")
        allowed = {self.version} | self.may
        on_probation = self.under_way or (self.pointer and self.pointer["probation"])
        if on_probation and self.pointer and self.starts > MOST_STARTS:
            allowed.add(self.pointer["fallback"])
        if served not in allowed:
            self.faults.append(f"{served} is served; {allowed} could be ({self.under_way})")
        if said["wrong"]:
            self.faults.append(f"{said['wrong']} answer as another version would")
        if served == self.version and not self.under_way and self.pointer:
            now = said["pointers"]["tiny"]
            for fact in ("fallback", "probation", "refused"):
                if now[fact] != self.pointer[fact]:
                    self.faults.append(f"{fact} is {now[fact]} and was {self.pointer[fact]}")
        if lost := self.records - set(said["spool"]):
            self.faults.append(f"{len(lost)} acknowledged records are gone: {sorted(lost)[:3]}")
        self.records &= set(said["spool"])
        self._now(said)

    def _begin(self, said: dict[str, Any]) -> None:
        self.under_way = said["step"]
        if said["step"] == "forget":
            self.records -= set(said["ids"])
        elif said.get("name") == "tiny":
            after = said.get("version") if said["step"] == "install" else None
            if said["step"] == "roll back" and self.pointer:
                after = self.pointer["fallback"]
            self.may = {after} - {None, "spoilt"}

    def _end(self, said: dict[str, Any]) -> None:
        self.done[said["step"]] += 1
        self.under_way = ""
        if said["step"] == "record":
            self.records |= set(said["ids"])
        elif "served" in said:
            if said["wrong"]:
                self.faults.append(f"{said['wrong']} answer as another version would")
            self._now(said)

    def _now(self, said: dict[str, Any]) -> None:
        self.version = said["served"].get("tiny")
        self.pointer = said["pointers"].get("tiny")
        self.starts = self.pointer["starts"] if self.pointer else 0
        self.may = set()
        self.under_way = ""

    def cut(self, phase: str) -> None:
        self.cuts += 1
        self.starts += 1  # at least one more by the time the device answers again
        self.cut_during[self.under_way or phase] += 1
