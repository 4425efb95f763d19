"""A target where our agent runs: asked over its own HTTP, wherever that listens."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edge_targets.package import verify
from edge_targets.places.target import Bench, Deployment, Place, Status, Target
from edge_targets.runtime.errors import DeviceError, EdgeError
from edge_targets.runtime.events import Job
from edge_targets.transport import check_address, get_json, post_json, put_package

STATES = ("ready", "empty")  # of an agent that answers
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
        url = self.find(place)
        if url is None:
            raise DeviceError(f"{place.name} is stopped.", "Deploy a package to start it.")
        get_json(f"{url}/v2/health/live")
        return url

    def deploy(self, package: Path, place: Place, job: Job) -> Deployment:
        job.step("check package")
        self.fits(verify(package, place.trusted), package.stat().st_size)
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
        url = self.ready(place, job)
        answer = put_package(f"{url}/v1/bench/{threads}", package, job)
        try:
            p50, p90 = float(answer["p50_ms"]), float(answer["p90_ms"])
            return Bench(p50, p90, int(answer["threads"]), int(answer["runs"]))
        except (KeyError, TypeError, ValueError) as error:
            raise no_agent(url) from error

    def status(self, place: Place) -> Status:
        url: str | None = ""
        try:
            url = self.find(place)
            return read_status(url, get_json(f"{url}/v1/status")) if url else Status("stopped")
        except EdgeError:
            return Status("unreachable", url or "")

    def stop(self, place: Place) -> None:
        if url := self.find(place):
            post_json(f"{url}/v1/stop")

    def flush(self, place: Place) -> int:
        url = self.find(place)
        if url is None:
            raise DeviceError(f"{place.name} is stopped.", "Deploy a package to start it.")
        pending = whole(post_json(f"{url}/v1/flush", timeout_s=FLUSH_S).get("pending"))
        if pending is None:
            raise no_agent(url)
        return pending


def read_status(url: str, found: Mapping[str, Any]) -> Status:
    """What an agent answered; a `DeviceError` when no agent answers so."""
    state, model, version = found.get("state"), found.get("model"), found.get("version")
    samples = whole(found.get("samples"))
    if state not in STATES or samples is None:
        raise no_agent(url)
    if not isinstance(model, str) or not isinstance(version, str):
        raise no_agent(url)
    return Status(state, url, model, version, samples, whole(found.get("pending")))


def no_agent(url: str) -> DeviceError:
    return DeviceError(f"{url} is not a Sanderling agent.", "Check the address.")


def whole(value: Any) -> int | None:
    """A count from outside; None for what is none."""
    good = isinstance(value, int) and not isinstance(value, bool) and value >= 0
    return value if good else None
