"""What an agent answers, read with care: any program may listen at an address."""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from edge_targets.places.target import Bench, Condition, Place, Served, Status
from edge_targets.runtime.errors import DeviceError
from edge_targets.runtime.exchange import RefusedError

STATES = ("ready", "empty")  # of an agent that answers
ADDRESS = re.compile(r"https?://\S+?(?=:? )")


@contextmanager
def named(place: Place) -> Iterator[None]:
    """Errors name the device: the port of this machine that leads to it says nothing."""
    try:
        yield
    except DeviceError as error:
        told = str(error)
        if not (found := ADDRESS.match(told)):
            raise
        rest, hint = told[found.end() :], error.hint
        network = place.address.startswith("http")
        if not network and not isinstance(error, RefusedError):
            rest = f": its agent{rest}"
            hint = f"See `sanderling device status {place.name}`; a deployment starts it."
        error.args = (f"{place.name}{f' ({found[0]})' if network else ''}{rest}",)
        error.hint = hint
        raise


def read_status(url: str, found: Mapping[str, Any]) -> Status:
    """What an agent answered; a `DeviceError` when no agent answers so."""
    state, model, version = found.get("state"), found.get("model"), found.get("version")
    samples = whole(found.get("samples"))
    if state not in STATES or samples is None:
        raise no_agent(url)
    if not isinstance(model, str) or not isinstance(version, str):
        raise no_agent(url)
    models = found.get("models")
    return Status(
        state,
        url,
        model,
        version,
        samples,
        whole(found.get("pending")),
        tuple(read_served(one) for one in models if isinstance(one, dict))
        if isinstance(models, list)
        else (),
        read_condition(found),
        read_update(found.get("last_update")),
        last_look=read_look(found.get("last_look")),
    )


def read_served(found: Mapping[str, Any]) -> Served:
    probation = found.get("probation")
    left = number(probation.get("left_s")) if isinstance(probation, dict) else None
    name, version, form, previous = (
        text(found.get(key)) for key in ("name", "version", "format", "previous")
    )
    return Served(name, version, form, previous, left)


def read_condition(found: Mapping[str, Any]) -> Condition:
    health, throttled = found.get("health"), found.get("throttled")
    health = health if isinstance(health, dict) else {}
    now = throttled.get("now") if isinstance(throttled, dict) else None
    return Condition(
        number(health.get("temperature_c")),
        tuple(map(text, now)) if isinstance(now, list) else (),
        number(health.get("load")),
        whole(health.get("memory_available_bytes")),
        whole(health.get("disk_free_bytes")),
        number(found.get("uptime_s")),
    )


def read_update(found: Any) -> str:
    """What came of the last update, in a sentence."""
    if not isinstance(found, dict) or not found.get("result"):
        return ""
    result = text(found["result"]).replace("_", " ")
    what = " ".join(filter(None, (text(found.get("model")), text(found.get("version")))))
    why = f": {text(found.get('why'))}" if found.get("why") else ""
    at = text(found.get("at")).replace("T", " ").replace("+00:00", " UTC")
    return f"{what} {result} at {at}{why}".strip()


def read_look(found: Any) -> str:
    """What the last look at the repository gave, in a sentence."""
    if not isinstance(found, dict) or not found.get("state"):
        return ""
    told = {"current": "nothing newer", "found": "something newer"}
    if found["state"] == "failed":
        return f"failed: {text(found.get('error'))} {text(found.get('hint'))}".strip()
    return told.get(text(found["state"]), text(found["state"]))


def read_bench(url: str, found: Mapping[str, Any]) -> Bench:
    p50, p90, p99 = (number(found.get(name)) for name in ("p50_ms", "p90_ms", "p99_ms"))
    threads, runs = whole(found.get("threads")), number(found.get("runs"))
    if p50 is None or p90 is None or threads is None or runs is None:
        raise no_agent(url)
    rss, throttled = number(found.get("rss_bytes")), number(found.get("throttled"))
    return Bench(
        p50,
        p90,
        threads,
        int(runs),
        p99,
        None if rss is None else int(rss),
        number(found.get("temperature_before_c")),
        number(found.get("temperature_c")),
        None if throttled is None else bool(throttled),
        number(found.get("energy_mj")),
    )


def read_rolled_back(url: str, found: Mapping[str, Any]) -> Served:
    name, version = found.get("name"), found.get("version")
    if not isinstance(name, str) or not isinstance(version, str):
        raise no_agent(url)
    return Served(name, version)


def read_lines(url: str, found: Mapping[str, Any]) -> tuple[str, ...]:
    lines = found.get("lines")
    if not isinstance(lines, list):
        raise no_agent(url)
    return tuple(map(text, lines))


def no_agent(url: str) -> DeviceError:
    return DeviceError(f"{url} is not a Sanderling agent.", "Check the address.")


def whole(value: Any) -> int | None:
    """A count from outside; None for what is none."""
    good = isinstance(value, int) and not isinstance(value, bool) and value >= 0
    return value if good else None


def number(value: Any) -> float | None:
    good = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if good else None


def text(value: Any) -> str:
    """What can be shown: one line, without what a terminal would obey."""
    shown = "".join(character if character.isprintable() else " " for character in str(value))
    return shown[:2000] if value is not None else ""
