"""Hosts that are stricter, plainer or slower than ours."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

TRUSTED_TYPES = "require-trusted-types-for 'script'"
REPORTS = "/reports"
POLICY = "content-security-policy"


class Strict:
    """ASGI: our own server with Trusted Types demanded, and a post box for policy reports."""

    def __init__(self, app: Any) -> None:
        self.app = app
        self.reports: list[str] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http" and scope["path"] == REPORTS:
            self.reports.append((await receive())["body"].decode())
            await send({"type": "http.response.start", "status": 204, "headers": []})
            await send({"type": "http.response.body", "body": b""})
            return

        async def sterner(message: Any) -> None:
            if message["type"] == "http.response.start":
                headers = {key.decode(): value.decode() for key, value in message["headers"]}
                policy = headers[POLICY]
                rules = [policy] if TRUSTED_TYPES in policy else [policy, TRUSTED_TYPES]
                headers[POLICY] = "; ".join([*rules, f"report-uri {REPORTS}"])
                pairs = [(key.encode(), value.encode()) for key, value in headers.items()]
                message = {**message, "headers": pairs}
            await send(message)

        await self.app(scope, receive, sterner)


@contextmanager
def plain_host(folder: Path) -> Iterator[str]:
    """`python -m http.server` in a folder, at the address that it says: no headers, no types."""
    words = [sys.executable, "-u", "-m", "http.server", "0", "--bind", "127.0.0.1"]
    with subprocess.Popen(
        [*words, "--directory", str(folder)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as child:
        try:
            assert child.stdout
            said = child.stdout.readline()  # Serving HTTP on 127.0.0.1 port 40123 (http://…) ...
            yield f"http://127.0.0.1:{said.split(' port ')[1].split()[0]}"
        finally:
            child.terminate()
