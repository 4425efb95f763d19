"""Both browsers behind one small face, so that a test can be made for each of them.

with browsers() as launch:
    browser = launch("firefox", profile)
    tab = browser.tab()
    tab.open(url)
    assert tab.evaluate("words => window.sanderling.predict(words)", words)["label"] == "3"
    assert tab.complaints == []
"""

import json
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import pytest

from tests.web.firefox import Firefox
from tests.web.scripts import CALL
from toolkit import doctor
from toolkit.browser import FLAGS

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext, ConsoleMessage, Playwright, Request

BROWSERS = ("chromium", "firefox")
Launch = Callable[..., "Driven"]

SILENT = (  # what Chromium asks of its maker by itself
    "--gaia-url=http://127.0.0.1:1",
    "--gcm-checkin-url=http://127.0.0.1:1",
    "--gcm-mcs-endpoint=127.0.0.1:1",
)

REFUSED = b"HTTP/1.1 502 Elsewhere\r\ncontent-length: 2\r\nconnection: close\r\n\r\nno"

# the policy's own event also tells of what the console does not
POLICY = "addEventListener('securitypolicyviolation', e => console.error(`csp: ${e.blockedURI}`))"


class Tab(Protocol):
    """An open page; `requests` and `complaints` are all that went on in the browser since."""

    def open(self, url: str) -> None: ...

    def evaluate(self, expression: str, argument: object = None) -> Any:
        """What an expression comes to, or a function of `argument`; awaited, as JSON."""

    @property
    def requests(self) -> list[str]: ...

    @property
    def complaints(self) -> list[str]: ...

    def close(self) -> None: ...


class Driven(Protocol):
    """A running browser."""

    version: str

    def tab(self) -> Tab: ...

    def close(self) -> None:
        """End it before its block does; its profile stays."""


class ChromiumTab:
    def __init__(self, context: "BrowserContext", requests: list[str], told: list[str]) -> None:
        self._requests, self._told = requests, told
        self._since = len(requests), len(told)
        self.page = context.new_page()

    def open(self, url: str) -> None:
        self.page.goto(url)

    def evaluate(self, expression: str, argument: object = None) -> Any:
        found = self.page.evaluate(CALL % expression, json.dumps(argument))
        return None if found is None else json.loads(found)

    @property
    def requests(self) -> list[str]:
        return self._requests[self._since[0] :]

    @property
    def complaints(self) -> list[str]:
        self.page.evaluate("0")  # what was told before its answer has come by then
        return self._told[self._since[1] :]

    def close(self) -> None:
        self.page.close()


class Chromium:
    """One with a profile of its own, so that it can be closed and opened again."""

    def __init__(self, playwright: "Playwright", profile: Path, flags: tuple[str, ...]) -> None:
        program = doctor.chromium()
        if not program:
            pytest.skip("there is no Chromium here")
        self.context = playwright.chromium.launch_persistent_context(
            profile, executable_path=str(program), args=[*FLAGS, *SILENT, *flags]
        )
        self._requests: list[str] = []
        self._told: list[str] = []
        self.context.on("request", self._requested)
        self.context.on("console", self._said)
        self.context.on("weberror", lambda error: self._told.append(str(error.error)))
        self.context.add_init_script(POLICY)
        browser = self.context.browser
        self.version = f"Chromium {browser.version if browser else ''}".strip()

    def tab(self) -> ChromiumTab:
        return ChromiumTab(self.context, self._requests, self._told)

    def close(self) -> None:
        self.context.close()

    def _requested(self, request: "Request") -> None:
        self._requests.append(request.url)

    def _said(self, line: "ConsoleMessage") -> None:
        self._told.append(f"{line.type}: {line.text}")


@contextmanager
def browsers() -> Iterator[Launch]:
    """Gives `launch(name, profile, flags=(), preferences={})`; whatever still runs ends here.

    Flags are Chromium's, preferences Firefox's. One such block at a time: Playwright takes no
    second one in a thread.
    """
    with ExitStack() as stack:
        drivers: list[Playwright] = []

        def launch(
            name: str,
            profile: Path,
            flags: tuple[str, ...] = (),
            preferences: Mapping[str, bool | int | str] = {},
        ) -> Driven:
            if name == "firefox":
                firefox = Firefox(profile, preferences)
                stack.callback(firefox.close)
                return firefox
            reason = "Playwright is not installed"
            sync_api = pytest.importorskip("playwright.sync_api", reason=reason)
            if not drivers:
                drivers.append(stack.enter_context(sync_api.sync_playwright()))
            chromium = Chromium(drivers[0], profile, flags)
            stack.callback(chromium.close)
            return chromium

        yield launch


class Elsewhere:
    """A proxy for all that is not this machine: nothing gets through, everything is told."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    @property
    def flags(self) -> tuple[str, ...]:
        return (f"--proxy-server=http://127.0.0.1:{self.port}",)

    @property
    def preferences(self) -> Mapping[str, bool | int | str]:
        return {
            "network.proxy.type": 1,
            "network.proxy.http": "127.0.0.1",
            "network.proxy.http_port": self.port,
            "network.proxy.ssl": "127.0.0.1",
            "network.proxy.ssl_port": self.port,
        }

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()

    def _listen(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:  # closed
                return
            with connection, suppress(OSError):  # whoever asked has gone, or says nothing
                connection.settimeout(5)
                line = connection.recv(4096).partition(b"\r\n")[0]
                self.asked.append(line.decode(errors="replace"))
                connection.sendall(REFUSED)
