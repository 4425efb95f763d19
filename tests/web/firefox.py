"""Firefox, driven over WebDriver BiDi (https://w3c.github.io/webdriver-bidi): Playwright cannot.

One message a time over one WebSocket; what Firefox tells in between (requests, console lines,
policy reports) is kept until it is asked for.
"""

import json
import os
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.web.scripts import CALL

PROGRAMS = ("firefox-esr", "firefox")
START_S, ANSWER_S, END_S = 60, 120, 30  # on a busy machine
PREFERENCES: Mapping[str, bool | int | str] = {
    # what Firefox asks of other hosts by itself, beyond what it leaves off when it is driven
    "app.normandy.enabled": False,
    "browser.region.network.url": "",
    "browser.safebrowsing.provider.mozilla.updateURL": "",
    "dom.push.connection.enabled": False,
    "extensions.systemAddon.update.url": "",
    "media.gmp-manager.chromium-update-url": "",
    "media.gmp-manager.updateEnabled": False,
    "media.gmp-manager.url": "",
    "network.captive-portal-service.enabled": False,
    "network.connectivity-service.enabled": False,
    "network.http.speculative-parallel-limit": 0,  # it connects while it ends, and asks nothing
    "network.trr.mode": 5,
    "services.settings.server": "data:,#remote-settings-dummy/v1",
    "toolkit.telemetry.enabled": False,
}
EVENTS = ("log.entryAdded", "network.beforeRequestSent")
Tell = Callable[..., dict[str, Any]]


class FirefoxTab:
    """An open page; `requests` and `complaints` are all that went on in the browser since."""

    def __init__(self, tell: Tell, events: list[dict[str, Any]]) -> None:
        self._tell = tell
        self._events = events
        self._since = len(events)
        self._context = tell("browsingContext.create", type="tab")["context"]

    def open(self, url: str) -> None:
        self._tell("browsingContext.navigate", context=self._context, url=url, wait="complete")

    def evaluate(self, expression: str, argument: object = None) -> Any:
        """What an expression comes to, or a function of `argument`; awaited, as JSON.

        Raises:
            RuntimeError: it threw; says what.
        """
        found = self._tell(
            "script.callFunction",
            functionDeclaration=CALL % expression,
            arguments=[{"type": "string", "value": json.dumps(argument)}],
            target={"context": self._context},
            awaitPromise=True,
        )
        if found["type"] == "exception":
            raise RuntimeError(found["exceptionDetails"]["text"])
        return json.loads(found["result"].get("value", "null"))

    @property
    def requests(self) -> list[str]:
        return [event["request"]["url"] for event in self._told("network.beforeRequestSent")]

    @property
    def complaints(self) -> list[str]:
        return [f"{event['level']}: {event['text']}" for event in self._told("log.entryAdded")]

    def close(self) -> None:
        self._tell("browsingContext.close", context=self._context)

    def _told(self, method: str) -> list[dict[str, Any]]:
        self._tell("session.status")  # what was told before its answer has come by then
        return [
            event["params"] for event in self._events[self._since :] if event["method"] == method
        ]


class Firefox:
    """A running Firefox; what it stored stays in its profile when it is closed."""

    def __init__(self, profile: Path, preferences: Mapping[str, bool | int | str] = {}) -> None:
        connect = pytest.importorskip("websockets.sync.client").connect
        self._events: list[dict[str, Any]] = []
        self._asked = 0
        with ExitStack() as stack:
            address = stack.enter_context(running(profile, {**PREFERENCES, **preferences}))
            self._socket = stack.enter_context(
                connect(f"{address}/session", max_size=None, proxy=None, compression=None)
            )
            facts = self._tell("session.new", capabilities={})["capabilities"]
            stack.callback(self._tell, "browser.close")  # in order, so that its stores are written
            self.version = f"Firefox {facts['browserVersion']}"
            self._tell("session.subscribe", events=EVENTS)
            self._open = stack.pop_all()

    def close(self) -> None:
        self._open.close()

    def tab(self) -> FirefoxTab:
        return FirefoxTab(self._tell, self._events)

    def _tell(self, method: str, **words: Any) -> dict[str, Any]:
        self._asked += 1
        self._socket.send(json.dumps({"id": self._asked, "method": method, "params": words}))
        while True:
            told = json.loads(self._socket.recv(timeout=ANSWER_S))
            if told["type"] == "event":
                self._events.append(told)
            elif told["type"] == "error":
                raise RuntimeError(f"{method}: {told['message']}")
            elif told["id"] == self._asked:
                return dict(told["result"])


@contextmanager
def running(profile: Path, preferences: Mapping[str, bool | int | str]) -> Iterator[str]:
    """A headless Firefox with this profile, at the address where it takes commands."""
    program = next(filter(None, map(shutil.which, PROGRAMS)), None)
    if not program:
        pytest.skip("there is no Firefox here")
    profile.mkdir(parents=True, exist_ok=True)
    lines = [f"user_pref({json.dumps(k)}, {json.dumps(v)});\n" for k, v in preferences.items()]
    (profile / "user.js").write_text("".join(lines))
    words = [program, "--headless", "--no-remote", "--remote-debugging-port=0"]
    with (
        (profile / "said.txt").open("wb") as said,  # a file: nobody would empty a pipe
        subprocess.Popen(
            [*words, "--profile", str(profile)],
            env={**os.environ, "MOZ_REMOTE_SETTINGS_DEVTOOLS": "1"},  # so that it may be told where
            stdout=said,
            stderr=said,
        ) as child,
    ):
        try:
            yield listening(child, profile / "said.txt")
            child.wait(END_S)  # it was told to
        finally:
            child.kill()


def listening(child: subprocess.Popen[bytes], said: Path) -> str:
    until = time.monotonic() + START_S
    while child.poll() is None and time.monotonic() < until:
        if found := re.search(r"WebDriver BiDi listening on (ws://\S+)", said.read_text()):
            return found[1]
        time.sleep(0.05)
    raise RuntimeError(f"Firefox did not start: {said.read_text()[-500:]}")
