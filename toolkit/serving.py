"""Serve over HTTP until the job is cancelled: a browser bundle, or any other application."""

import contextlib
import socket
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge_targets.runtime.errors import DataError, DeviceError
from edge_targets.runtime.events import QUIET, Job

if TYPE_CHECKING:
    from starlette.applications import Starlette
    from starlette.routing import BaseRoute

LOOPBACK = "127.0.0.1"
MAX_PORT = 65535
POLL_S = 0.1  # how late a cancelled job may notice; a person calls less than that at once
DRAIN_S = 3  # requests still running get so long when the server stops

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; connect-src 'self'; "
    "worker-src 'self'; style-src 'self'; img-src 'self' data:; manifest-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""As in the page's own <meta>, plus `frame-ancestors`, which browsers obey in a header only."""

HEADERS = {
    "content-security-policy": CONTENT_SECURITY_POLICY,
    # together these three isolate the page from every other origin
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-embedder-policy": "require-corp",
    "cross-origin-resource-policy": "same-origin",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    # a redeployed model must be seen at once; entity tags keep the repeat visit cheap
    "cache-control": "no-cache",
}

MEDIA_TYPES = {
    # said here, because `mimetypes` answers differently from one system to the next and
    # browsers refuse a module or a wasm stream of the wrong type
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".mjs": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".wasm": "application/wasm",
    ".zip": "application/zip",
    ".svg": "image/svg+xml",
    ".md": "text/markdown; charset=utf-8",
    ".txt": "text/plain; charset=utf-8",
}


def run_app(
    app: Any,
    host: str = LOOPBACK,
    port: int = 0,
    job: Job = QUIET,
    ready: Callable[[str], object] = lambda _url: None,
) -> None:
    """Run an ASGI application until the job is cancelled.

    Args:
        app: the application.
        host: the address to listen on; loopback unless told.
        port: 0 takes a free one.
        job: where cancelling comes from.
        ready: called once with the real address, such as `http://127.0.0.1:8080`.

    Raises:
        Cancelled: always, in the end: whoever serves stops only when told to.
        DeviceError: the address is taken or is not this machine's.
    """
    import uvicorn

    with contextlib.closing(_listen(host, port)) as listener:
        config = uvicorn.Config(
            app,
            log_config=None,  # logging belongs to the program, not to a library
            access_log=False,
            ws="none",
            timeout_graceful_shutdown=DRAIN_S,
        )
        server = uvicorn.Server(config)
        # in a thread, so that uvicorn leaves Ctrl-C to the program
        thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
        thread.start()
        try:
            while not server.started and thread.is_alive():
                thread.join(POLL_S)
            if server.started:
                ready(_address(listener))
            while thread.is_alive() and not job.cancelled:
                thread.join(POLL_S)
        finally:
            server.should_exit = True
            thread.join()
    job.step("stopped")
    raise DeviceError(f"The server at {host}:{port} ended by itself.", "See the log for why.")


def _listen(host: str, port: int) -> socket.socket:
    if not host:  # the system would take it for every network
        raise DeviceError("There is no address to listen on.", "Say --host 0.0.0.0 for all.")
    if not 0 <= port <= MAX_PORT:
        raise DeviceError(f"{port} is no port.", f"Use 1 to {MAX_PORT}, or 0 for any free one.")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except (OSError, TypeError, ValueError) as error:  # the latter two: a host that is no name
        listener.close()
        raise DeviceError(
            f"Cannot listen on {host}:{port}: {error}.",
            "Stop the program that uses this port, or choose another with --port or --host.",
        ) from error
    return listener


def _address(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


class Headers:
    """ASGI middleware: sets our headers on every answer, errors included."""

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        async def send_with_headers(message: Any) -> None:
            if message["type"] == "http.response.start":
                ours = [(name.encode(), value.encode()) for name, value in HEADERS.items()]
                kept = [pair for pair in message["headers"] if pair[0].decode() not in HEADERS]
                message = {**message, "headers": [*kept, *ours]}
            await send(message)

        await self.app(scope, receive, send_with_headers)


def bundle_app(folder: Path, extra_routes: Sequence["BaseRoute"] = ()) -> "Starlette":
    """Starlette's application: the files of a bundle, and `extra_routes` before them.

    Raises:
        DataError: the folder is not a bundle.
    """
    try:
        found = (folder / "bundle.json").is_file() and any(folder.iterdir())
    except OSError as error:
        raise DataError(
            f"{folder} cannot be read: {error.strerror or error}.", "Check who may read it."
        ) from error
    if not found:
        raise DataError(
            f"{folder} is not a browser bundle.",
            f"Make one with `sanderling bundle PACKAGE {folder}`.",
        )
    return files_app(folder, extra_routes)


def files_app(folder: Path, extra_routes: Sequence["BaseRoute"] = ()) -> "Starlette":
    """Starlette's application: the files of a folder, each of its right type."""
    from starlette.applications import Starlette
    from starlette.middleware import Middleware
    from starlette.responses import FileResponse, Response
    from starlette.routing import Mount
    from starlette.staticfiles import StaticFiles

    class TypedFiles(StaticFiles):
        def file_response(self, *args: Any, **kwargs: Any) -> Response:
            response = super().file_response(*args, **kwargs)
            if isinstance(response, FileResponse):
                suffix = Path(response.path).suffix.lower()
                response.headers["content-type"] = MEDIA_TYPES.get(
                    suffix, "application/octet-stream"
                )
            return response

    files = Mount("/", TypedFiles(directory=folder, html=True))
    return Starlette(routes=[*extra_routes, files], middleware=[Middleware(Headers)])


def serve(
    folder: Path,
    host: str = LOOPBACK,
    port: int = 8080,
    extra_routes: Sequence["BaseRoute"] = (),
    job: Job = QUIET,
) -> None:
    """Serve a bundle until cancelled; the address is reported through the job.

    Raises:
        Cancelled: always, in the end.
        DataError: the folder is not a bundle.
        DeviceError: the address cannot be listened on.
    """
    app = bundle_app(folder, extra_routes)
    run_app(app, host, port, job, lambda url: job.step(f"serving {folder} at {url}/"))
