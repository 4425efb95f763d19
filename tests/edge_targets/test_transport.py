"""Whatever is at the other end, the error is one of ours."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from edge_targets.agent.home import child_environment
from edge_targets.runtime.errors import DeviceError, IntegrityError, StorageError
from edge_targets.transport import Local, RefusedError, get_json, post_json, put_package
from tests.edge_targets.tiny import free_port, wait_until


@contextmanager
def saying(answer: bytes) -> Iterator[str]:
    """A listener that says the same to everybody."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            try:
                while True:
                    connection, _ = server.accept()
                    with connection:
                        connection.settimeout(5)
                        connection.recv(65536)
                        connection.sendall(answer)
            except OSError:
                return

        thread = threading.Thread(target=serve)
        thread.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
        server.shutdown(socket.SHUT_RDWR)
    thread.join()


def http(body: bytes, status: str = "200 OK") -> bytes:
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


def test_an_object_is_given_back() -> None:
    with saying(http(b'{"a": 1}')) as url:
        assert get_json(url) == {"a": 1}
        assert post_json(url, {"b": 2}) == {"a": 1}


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"HTTP/1.1 two hundred\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * 500 + b"\r\n",
        http(b"[]"),
        http(b"[" * 100_000),
        http(b"\xff"),
        http(b"x" * (5 << 20)),
        http(b"<html>", "302 Found\r\nLocation: file:///etc/passwd"),
    ],
)
def test_strange_answers_are_device_errors(answer: bytes) -> None:
    with saying(answer) as url, pytest.raises(DeviceError) as caught:
        get_json(url)

    assert url in str(caught.value)
    assert caught.value.hint


def test_a_refusal_keeps_its_words_and_its_kind() -> None:
    body = b'{"error": "no room", "hint": "tidy up", "kind": "storage"}'
    with saying(http(body, "507 Full")) as url, pytest.raises(StorageError, match="no room") as it:
        get_json(url)
    assert it.value.hint == "tidy up"

    with saying(http(b'{"error": "busy"}', "503 Busy")) as url, pytest.raises(RefusedError) as said:
        get_json(url)
    assert said.value.status == 503
    assert said.value.hint


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd",
        "ftp://host/",
        "host:80",
        "",
        "http://",
        "http://:80",
        "http://host:port",
        "http://host:99999",
        "http://user:secret@host",
        "http://host/?x=1",
        "http://ho st/",
        "http://ho\x7fst/",
        "http://host/\r\nX: y",
        "http://höst/",
        "http://[::1",
    ],
)
def test_what_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(DeviceError) as caught:
        get_json(url)

    assert caught.value.hint


def test_an_address_where_nobody_listens_says_so() -> None:
    url = f"http://127.0.0.1:{free_port()}"

    with pytest.raises(DeviceError, match=f"{url} does not answer"):
        get_json(url)
    with pytest.raises(DeviceError, match="does not answer: connection refused"):
        get_json(url)
    with pytest.raises(DeviceError, match="does not answer: no host of that name is known"):
        get_json("http://name.invalid:80")
    with saying(b"SSH-2.0-none\r\n") as plain, pytest.raises(DeviceError) as caught:
        get_json(plain.replace("http:", "https:"))
    assert str(caught.value).endswith("does not answer: wrong version number.")


def test_a_package_that_is_not_there_is_not_sent(tmp_path: Path) -> None:
    with pytest.raises(IntegrityError, match="cannot be read"):
        put_package("http://127.0.0.1:1/v1/package", tmp_path / "none.sndl")


def test_a_local_folder_takes_files_and_starts_programs(tmp_path: Path) -> None:
    local = Local(tmp_path / "device")

    local.put("hello", b"world")
    pid = local.run(["sh", "-c", "echo out; cat hello > copy"], "log", child_environment())

    assert pid > 0
    assert local.get("hello") == b"world"
    wait_until(lambda: (tmp_path / "device/copy").exists())
    wait_until(lambda: local.get("copy") == b"world")
    assert local.get("log") == b"out\n"
    with pytest.raises(DeviceError):
        local.get("none")
