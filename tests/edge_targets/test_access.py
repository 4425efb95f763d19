"""Who may speak to an agent, and where it refuses to listen at all."""

import shutil
import socket
import ssl
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from edge_targets.agent.access import Listening
from edge_targets.agent.agent import Agent
from edge_targets.agent.server import Server
from edge_targets.runtime.errors import DeviceError
from tests.edge_targets.serving import agent_of, serving, until_closed

TOKEN = "a-token-of-twenty-and-more"
LIVE = b"GET /v2/health/live HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"


@pytest.fixture(scope="module")
def agent(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Agent]:
    with agent_of(tmp_path_factory.mktemp("access") / "device") as agent:
        yield agent


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    if not shutil.which("openssl"):
        pytest.skip("openssl is not installed")
    folder = tmp_path_factory.mktemp("certificate")
    names = str(folder / "cert.pem"), str(folder / "key.pem")
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"),
            *("-nodes", "-days", "2", "-subj", "/CN=localhost", "-addext"),
            *("subjectAltName=DNS:localhost", "-out", names[0], "-keyout", names[1]),
        ],
        check=True,
        capture_output=True,
    )
    return names


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "pi.local"])
@pytest.mark.parametrize("more", [{}, {"token": TOKEN}, {"certificate": "c", "key": "k"}])
def test_it_does_not_listen_to_strangers_without_a_token_and_tls(
    host: str, more: dict[str, Any]
) -> None:
    with pytest.raises(DeviceError, match="could use this device") as caught:
        Listening(host, **more).check()

    assert "--insecure" in caught.value.hint


@pytest.mark.parametrize(
    "listening",
    [
        Listening("127.0.0.1"),
        Listening("::1"),
        Listening("localhost"),
        Listening("0.0.0.0", token=TOKEN, certificate="c", key="k"),
        Listening("0.0.0.0", insecure=True),
    ],
)
def test_it_listens_where_strangers_cannot_come_or_are_asked_who_they_are(
    listening: Listening,
) -> None:
    listening.check()


@pytest.mark.parametrize(
    ("listening", "words"),
    [
        (Listening(""), "no address"),
        (Listening(token="short"), "token"),
        (Listening(token="a token with é " * 3), "token"),
        (Listening(token="a token\r\nwith lines " * 3), "token"),
        (Listening(certificate="c"), "key"),
        (Listening(certificate="/nowhere", key="/nowhere"), "cannot be used"),
        (Listening("256.0.0.1", insecure=True), "Cannot listen"),
        (Listening(port=-1), "Cannot listen"),
        (Listening(socket="/nowhere/at/all.sock"), "Cannot listen"),
        (Listening(socket="/tmp/" + "long" * 50), "Cannot listen"),
    ],
)
def test_an_address_that_cannot_be_is_explained(
    agent: Agent, listening: Listening, words: str
) -> None:
    with pytest.raises(DeviceError, match=words):
        Server(agent, listening)


def test_the_token_is_not_shown() -> None:
    assert TOKEN not in repr(Listening(token=TOKEN))


def ask(server: Server, *headers: str) -> bytes:
    with socket.create_connection(server.address[:2], timeout=20) as link:
        link.sendall(LIVE + "".join(f"{line}\r\n" for line in headers).encode() + b"\r\n")
        return until_closed(link)


def test_over_tcp_the_token_is_asked_for(agent: Agent) -> None:
    with serving(agent, Listening(token=TOKEN)) as server:
        good = ask(server, f"Authorization: Bearer {TOKEN}")
        refused = [
            ask(server),
            ask(server, "Authorization: Bearer wrong"),
            ask(server, f"Authorization: Bearer {TOKEN}x"),
            ask(server, f"Authorization: Basic {TOKEN}"),
            ask(server, f"Authorization: Bearer {TOKEN}", f"Authorization: Bearer {TOKEN}"),
            ask(server, "Authorization: Bearer \u00e9"),
        ]

    assert good.startswith(b"HTTP/1.1 200 ")
    for answer in refused:
        assert answer.startswith(b"HTTP/1.1 401 ")
        assert b"WWW-Authenticate: Bearer" in answer
        assert TOKEN.encode() not in answer


def test_the_unix_socket_is_guarded_by_its_file_instead(agent: Agent, tmp_path: Path) -> None:
    path = tmp_path / "agent.sock"

    with serving(agent, Listening(socket=str(path), token=TOKEN)) as server:
        with socket.socket(socket.AF_UNIX) as link:
            link.connect(str(path))
            link.sendall(LIVE + b"\r\n")
            answer = until_closed(link)
        mode = stat.S_IMODE(path.stat().st_mode)
        over_tcp = ask(server)

    assert answer.startswith(b"HTTP/1.1 200 ")
    assert mode == 0o660
    assert over_tcp.startswith(b"HTTP/1.1 401 ")
    assert not path.exists()


def test_a_socket_that_a_killed_agent_left_is_replaced_and_nothing_else_is(
    agent: Agent, tmp_path: Path
) -> None:
    left, file = tmp_path / "left.sock", tmp_path / "file"
    with socket.socket(socket.AF_UNIX) as killed:
        killed.bind(str(left))
    file.write_text("mine")

    with serving(agent, Listening(socket=str(left))):
        pass
    with pytest.raises(DeviceError, match="no socket"):
        Server(agent, Listening(socket=str(file)))

    assert file.read_text() == "mine"


def test_tls_carries_requests_of_any_size(agent: Agent, certificate: tuple[str, str]) -> None:
    context = ssl.create_default_context(cafile=certificate[0])
    body = b"{" + b" " * 200_000 + b"}"  # more than a TLS record; there is no such model
    request = (
        f"POST /v2/models/tiny/infer HTTP/1.1\r\nHost: localhost\r\n"
        f"Authorization: Bearer {TOKEN}\r\nContent-Length: {len(body)}\r\n\r\n"
    ).encode() + body
    last = LIVE + f"Authorization: Bearer {TOKEN}\r\n\r\n".encode()

    with serving(agent, Listening("0.0.0.0", 0, "", *certificate, TOKEN)) as server:
        assert server.url.startswith("https://")
        raw = socket.create_connection(("127.0.0.1", server.address[1]), timeout=20)
        with context.wrap_socket(raw, server_hostname="localhost") as link:
            link.sendall(request + request + last)  # three in a row
            found = until_closed(link)
        plain = ask_plainly(server.address[1])

    assert found.count(b"HTTP/1.1 503 ") == 2  # no model is served
    assert found.count(b"HTTP/1.1 200 ") == 1
    assert b"HTTP/1.1 200" not in plain


def ask_plainly(port: int) -> bytes:
    with socket.create_connection(("127.0.0.1", port), timeout=20) as link:
        link.sendall(LIVE + b"\r\n")
        try:
            return until_closed(link)
        except ConnectionError:
            return b""


def test_who_never_ends_the_tls_greeting_does_not_stop_others(
    agent: Agent, certificate: tuple[str, str]
) -> None:
    context = ssl.create_default_context(cafile=certificate[0])

    with serving(agent, Listening("127.0.0.1", 0, "", *certificate)) as server:
        held = [socket.create_connection(server.address[:2]) for _ in range(20)]
        for link in held:
            link.sendall(b"\x16\x03\x01")
        raw = socket.create_connection(server.address[:2], timeout=20)
        with context.wrap_socket(raw, server_hostname="localhost") as link:
            link.sendall(LIVE + b"\r\n")
            found = until_closed(link)
        for one in held:
            one.close()

    assert found.startswith(b"HTTP/1.1 200 ")
