"""A target where our agent runs: asked over its own HTTP, wherever that listens."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edge_targets.package import verify
from edge_targets.places.answers import (
    named,
    no_agent,
    read_bench,
    read_lines,
    read_rolled_back,
    read_status,
    whole,
)
from edge_targets.places.target import Bench, Deployment, Place, Served, Status, Target
from edge_targets.runtime.errors import DeviceError, EdgeError, UnsupportedError
from edge_targets.runtime.events import Job
from edge_targets.transport import check_address, get_json, post_json, put_package

ROLLBACK_S = 60.0  # the version before is loaded again
FLUSH_S = 60.0  # a day of windows, in batches, to a collector nearby


class AgentTarget(Target):
    """A target where our agent runs; `http://…` is the address of one that listens already."""

    def check_address(self, address: str) -> str:
        if not address.startswith(("http://", "https://")):
            raise DeviceError(
                f"{address!r} is not the address of a {self.title}.",
                "Start the agent there (python -m edge_targets.agent --root FOLDER --host 0.0.0.0) "
                "and give the http://… that its agent.json names.",
            )
        check_address(address)
        return address

    def find(self, place: Place) -> str | None:
        """The base address of the place's agent; None when it is known not to run."""
        return AgentTarget.check_address(self, place.address).rstrip("/")

    def ready(self, place: Place, job: Job) -> str:
        """The address of an agent that answers, started when that is possible."""
        job.step("reach device")
        url = self.running(place)
        get_json(f"{url}/v2/health/live")
        return url

    def deploy(self, package: Path, place: Place, job: Job) -> Deployment:
        job.step("check package")
        self.fits(verify(package, place.trusted), package.stat().st_size)
        with named(place):
            url = self.ready(place, job)
            answer = put_package(f"{url}/v1/package", package, job)
        try:
            version, difference = str(answer["version"]), float(answer["golden_difference"])
        except (KeyError, TypeError, ValueError) as error:
            raise no_agent(url) from error
        return Deployment(url, version, difference)

    def bench(self, package: Path, place: Place, threads: int, job: Job) -> Bench:
        job.step("check package")
        self.fits(verify(package, place.trusted), package.stat().st_size)
        with named(place):
            url = self.ready(place, job)
            return read_bench(url, put_package(f"{url}/v1/bench/{threads}", package, job))

    def status(self, place: Place) -> Status:
        url: str | None = ""
        try:
            url = self.find(place)
            return read_status(url, get_json(f"{url}/v1/status")) if url else Status("stopped")
        except EdgeError as error:
            return Status("unreachable", url or "", reason=str(error))

    def rollback(self, place: Place, model: str) -> Served:
        with named(place):
            url = self.running(place)
            answer = post_json(f"{url}/v1/rollback", {"model": model}, ROLLBACK_S)
            return read_rolled_back(url, answer)

    def drop(self, place: Place, model: str) -> None:
        with named(place):
            post_json(f"{self.running(place)}/v1/remove", {"model": model}, ROLLBACK_S)

    def logs(self, place: Place, lines: int) -> tuple[str, ...]:
        with named(place):
            url = self.running(place)
            return read_lines(url, get_json(f"{url}/v1/logs", query={"lines": str(lines)}))

    def withdraw(self, place: Place, job: Job) -> None:
        raise UnsupportedError(
            f"Nothing can be uninstalled from {place.name} over HTTP.",
            "End its agent there and delete its folder; then forget it without --uninstall.",
        )

    def configure(self, place: Place, changes: Mapping[str, Any], root: bytes, job: Job) -> None:
        raise UnsupportedError(
            f"The settings of {place.name} cannot be changed over HTTP.",
            "Add it by user@host, or change settings.json in the agent's folder and restart it.",
        )

    def running(self, place: Place) -> str:
        """The address of the place's agent.

        Raises:
            DeviceError: it is known not to run.
        """
        if url := self.find(place):
            return url
        raise DeviceError(f"{place.name} is stopped.", "Deploy a package to start it.")

    def stop(self, place: Place) -> None:
        if url := self.find(place):
            post_json(f"{url}/v1/stop")

    def flush(self, place: Place) -> int:
        url = self.running(place)
        pending = whole(post_json(f"{url}/v1/flush", timeout_s=FLUSH_S).get("pending"))
        if pending is None:
            raise no_agent(url)
        return pending
