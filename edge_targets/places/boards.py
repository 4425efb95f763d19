"""Boards that are reached over SSH: made devices, asked, changed and let go.

The agent listens at the board's own loopback; we reach it through a port that SSH forwards. An
`http://…` address of an agent that listens for others works as everywhere.
"""

import base64
import json
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

from edge_targets.agent.home import Settings
from edge_targets.enrolment.carry import FOLDER, as_root, carry, install, upkeep
from edge_targets.enrolment.payload import write_payload
from edge_targets.enrolment.plan import PORT
from edge_targets.enrolment.probe import PYTHON, check, probe
from edge_targets.places.agents import AgentTarget
from edge_targets.places.target import Place, Status
from edge_targets.runtime.errors import DeviceError, EdgeError
from edge_targets.runtime.events import QUIET, Job
from edge_targets.transport import get_json
from edge_targets.transport.borders import ssh_address
from edge_targets.transport.hostkeys import FILE
from edge_targets.transport.login import CONNECTIONS, KEY, own_key
from edge_targets.transport.ssh import Ssh

SSH = "ssh://"
LOG = """
said=$(journalctl --quiet --unit=sanderling --lines="$1" --no-pager --output=short-iso 2>/dev/null)
test -n "$said" && printf '%s\\n' "$said" || tail -n "$1" "$2/agent.log"
"""  # a journal without a word of ours is that of a board whose agent our keeper runs


class Board(AgentTarget):
    """A board with a Linux of its own.

    Attributes:
        port: that the agent listens at, on the board's loopback.
        python: of the board.
        root: the folder that is / to the installer; another one only in tests.
        service: what keeps the agent running; empty has the board tell.
        cache: where wheels are kept; the user's own cache unless set.
    """

    port: ClassVar[int] = PORT
    python: ClassVar[str] = PYTHON
    root: ClassVar[str] = "/"
    service: ClassVar[str] = ""
    cache: ClassVar[Path | None] = None

    def check_address(self, address: str) -> str:
        if address.startswith(("http://", "https://")):
            return super().check_address(address)
        try:
            return str(ssh_address(address))
        except DeviceError as error:
            raise DeviceError(
                f"{address!r} is not the address of a {self.title}.",
                "Give user and host, such as pi@raspberrypi.local or ssh://pi@192.168.1.20:22; or "
                "the http://… of an agent that runs.",
            ) from error

    def enrols(self, address: str) -> bool:
        return address.startswith(SSH)

    def enrol(self, place: Place, password: str, job: Job) -> None:
        """Bring everything the board needs, and have it tried and installed there."""
        if not self.enrols(place.address):
            return
        ssh = self.connection(place, password, job)
        found = probe(ssh, job, self.python, self.software)
        check(found, self.title, self.runtime)
        root = as_root(ssh, password)
        device = Settings(device=place.name, target=self.name, collector=place.collector)
        if self.facts.soft_c:
            device = replace(device, soft_c=self.facts.soft_c)
        with tempfile.TemporaryDirectory() as folder:
            payload = Path(folder)
            plan = write_payload(
                payload, device, place.trusted, self, found.python, self.formats, job,
                cache=self.cache, port=self.port,
            )  # fmt: skip
            carry(ssh, payload, plan, found.environment == plan.environment, job)
        install(root, self.python, self.options(), job)

    def withdraw(self, place: Place, job: Job) -> None:
        """Send what telemetry waits, then take everything off the board."""
        if not self.enrols(place.address):
            super().withdraw(place, job)
            return
        with suppress(EdgeError):
            self.flush(place)
        self.maintain(place, "--uninstall", b"", job)
        self.connection(place).run(["rm", "-rf", "--", FOLDER])
        CONNECTIONS.close(ssh_address(place.address), keys_of(place))

    def find(self, place: Place) -> str | None:
        if not self.enrols(place.address):
            return super().find(place)
        return self.connection(place).forward(self.port)

    def ready(self, place: Place, job: Job) -> str:
        """The address of the agent there, enrolled or started when it does not answer."""
        if not self.enrols(place.address):
            return super().ready(place, job)
        job.step("reach device")
        ssh = self.connection(place, "", job)
        url = ssh.forward(self.port)
        try:
            get_json(f"{url}/v2/health/live")
        except DeviceError:
            if self.installed(ssh):
                self.maintain(place, "--start", b"", job)
            else:
                self.enrol(place, place.password, job)
        return url

    def status(self, place: Place) -> Status:
        found = super().status(place)
        if found.state != "unreachable" or not self.enrols(place.address):
            return found
        with suppress(EdgeError):
            known = self.installed(self.connection(place))
            told = "its agent does not answer" if known else "no agent is installed there"
            return Status("stopped", reason=f"{place.name}: {told}.")
        return found

    def stop(self, place: Place) -> None:
        """End the agent until the board starts again, or something is deployed."""
        if self.enrols(place.address):
            self.maintain(place, "--stop", b"", QUIET)
        else:
            super().stop(place)

    def logs(self, place: Place, lines: int) -> tuple[str, ...]:
        """What the agent says; what the board kept of it where it does not answer."""
        try:
            return super().logs(place, lines)
        except DeviceError:
            if not self.enrols(place.address):
                raise
            root = as_root(self.connection(place), place.password)
            words = [
                "sh",
                "-c",
                LOG,
                "sh",
                str(lines),
                f"{self.root.rstrip('/')}/var/lib/sanderling",
            ]
            return tuple(root.run(words).out.splitlines())

    def configure(self, place: Place, changes: Mapping[str, Any], root: bytes, job: Job) -> None:
        if not self.enrols(place.address):
            super().configure(place, changes, root, job)
            return
        asked = {"settings": dict(changes), "root": base64.b64encode(root).decode()}
        self.maintain(place, "--configure", json.dumps(asked).encode(), job)

    def shell_words(self, place: Place) -> tuple[str, ...]:
        if not self.enrols(place.address):
            return super().shell_words(place)
        address, keys = ssh_address(place.address), keys_of(place)
        own_key(keys)
        known = f'UserKnownHostsFile="{keys / FILE}"'
        options = ("StrictHostKeyChecking=yes", known, "IdentitiesOnly=yes")
        words = ("ssh", "-p", str(address.port), "-i", str(keys / KEY))
        flags = tuple(word for option in options for word in ("-o", option))
        return (*words, *flags, f"{address.user}@{address.host}")

    def connection(self, place: Place, password: str = "", job: Job = QUIET) -> Ssh:
        return CONNECTIONS.get(ssh_address(place.address), keys_of(place), password, job)

    def installed(self, ssh: Ssh) -> bool:
        return ssh.run(["test", "-e", f"{self.software}/current/.complete"]).code == 0

    def maintain(self, place: Place, verb: str, data: bytes, job: Job) -> None:
        """Have the installer on the board do something.

        Raises:
            DeviceError: none is installed.
        """
        ssh = self.connection(place, "", job)
        if not self.installed(ssh):
            raise DeviceError(
                f"{place.name} has no agent of ours.", "Add it again: sanderling device add."
            )
        words = [verb, *self.options()]
        root = as_root(ssh, place.password)
        upkeep(root, self.python, self.software, words, data, job)

    @property
    def software(self) -> str:
        return f"{self.root.rstrip('/')}/opt/sanderling"

    @property
    def name(self) -> str:
        """In the catalog: a member has the name of its module."""
        return type(self).__module__.rpartition(".")[2]

    def options(self) -> list[str]:
        words = ["--root", self.root] if self.root != "/" else []
        return [*words, "--service", self.service] if self.service else words


def keys_of(place: Place) -> Path:
    """The folder with our key.

    Raises:
        DeviceError: nobody named one.
    """
    if place.keys is None:
        raise DeviceError(
            f"There is no folder for the key of {place.name}.", "Use a workspace's device."
        )
    return place.keys
