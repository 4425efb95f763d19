"""A real sshd at the other end: in, out, over and back, and whatever goes wrong on the way."""

import hashlib
import os
import shutil
import signal
import socket
import subprocess
import threading
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from edge_targets.runtime.errors import Cancelled, DeviceError
from edge_targets.runtime.events import Event, Job
from edge_targets.transport import get_json
from edge_targets.transport.borders import SshAddress, ssh_address
from edge_targets.transport.files import Patience
from edge_targets.transport.hostkeys import FILE, HostKeys
from edge_targets.transport.login import KEY, Connections, own_key
from edge_targets.transport.ssh import Ssh
from tests.edge_targets.sshd import Sshd, password_server, sshd_in
from tests.edge_targets.test_transport import http, saying
from tests.edge_targets.tiny import free_port, wait_until

SHORT = Patience(connect_s=10, silence_s=20, alive_s=0.5)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    with sshd_in(tmp_path_factory.mktemp("ssh") / "sshd") as server:
        yield server


@pytest.fixture
def keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for our key; nobody's own keys are offered."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    return tmp_path / "keys"


@pytest.fixture
def ssh(server: Sshd, keys: Path) -> Iterator[Ssh]:
    server.trust(keys)
    connections = Connections()
    yield connections.get(server.address, keys)
    connections.close(server.address, keys)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("pi@host", "ssh://pi@host"),
        ("ssh://pi@host:22", "ssh://pi@host"),
        ("pi@192.168.1.20:2222", "ssh://pi@192.168.1.20:2222"),
        ("ssh://pi@[fe80::1%eth0]:2222/", "ssh://pi@[fe80::1%eth0]:2222"),
    ],
)
def test_an_address_is_kept_in_one_form(text: str, found: str) -> None:
    assert str(ssh_address(text)) == found
    assert ssh_address(found) == ssh_address(text)


@pytest.mark.parametrize(
    "text",
    [
        "", "host", "pi@", "@host", "pi@host:0", "pi@host:99999", "pi@ho st", "pi@host/x",
        "-oProxyCommand=x@host", "pi@-oProxyCommand=x", "pi:secret@host", "pi@a@b", "pi@host\n",
    ],
)  # fmt: skip
def test_what_is_no_address_of_a_board_is_refused(text: str) -> None:
    with pytest.raises(DeviceError) as caught:
        ssh_address(text)

    assert caught.value.hint


def test_words_arrive_as_they_are(ssh: Ssh) -> None:
    odd = ["a b", "$(touch /nowhere/x)", "'; echo no", "*", "", "ü", "--", "\n"]

    out = ssh.check(["printf", "%s|", *odd])

    assert out == "".join(f"{word}|" for word in odd)


def test_a_program_gets_its_input_and_tells_how_it_ended(ssh: Ssh) -> None:
    heard: list[str] = []

    done = ssh.run(["sh", "-c", "cat; echo oops >&2; exit 3"], b"one\ntwo\n", heard=heard.append)

    assert (done.code, done.out, done.err.strip(), done.said) == (3, "one\ntwo\n", "oops", "oops")
    assert heard == ["one", "two"]
    with pytest.raises(DeviceError, match="oops"):
        ssh.check(["sh", "-c", "echo oops >&2; exit 3"])


def test_our_key_is_made_once_and_only_we_may_read_it(keys: Path) -> None:
    first = own_key(keys).export_public_key()

    assert own_key(keys).export_public_key() == first
    assert (keys / KEY).stat().st_mode & 0o777 == 0o600
    (keys / KEY).chmod(0o644)
    with pytest.raises(DeviceError, match="read by others") as caught:
        own_key(keys)
    assert "chmod 600" in caught.value.hint


def test_the_host_is_pinned_in_the_way_of_openssh(ssh: Ssh, keys: Path, server: Sshd) -> None:
    if not shutil.which("ssh"):
        pytest.skip("openssh-client is not installed")
    options = ["-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=yes", "-i", str(keys / KEY)]
    options += ["-o", f"UserKnownHostsFile={keys / FILE}", "-p", str(server.port)]

    done = subprocess.run(
        ["ssh", *options, f"{server.address.user}@127.0.0.1", "echo", "in"],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.stdout == "in\n", done.stderr


def test_a_changed_host_key_is_refused_with_both_named(tmp_path: Path, keys: Path) -> None:
    with sshd_in(tmp_path / "other") as server:
        server.trust(keys)
        connections = Connections()
        before = connections.get(server.address, keys).check(["echo", "hello"])
        connections.close(server.address, keys)
        server.stop()
        server.new_host_key()
        server.start()

        with pytest.raises(DeviceError, match="another host key") as caught:
            connections.get(server.address, keys)
        HostKeys(keys / FILE).forget("127.0.0.1", server.port)
        after = connections.get(server.address, keys).check(["echo", "hello"])
        connections.close(server.address, keys)

    assert before == after == "hello\n"
    assert str(caught.value).count("SHA256:") == 2
    assert "ssh-keygen -R" in caught.value.hint


def test_a_password_is_needed_once(tmp_path: Path, keys: Path) -> None:
    home = tmp_path / "pi"
    home.mkdir()
    (home / ".ssh").mkdir()
    (home / ".ssh/authorized_keys").write_text("ssh-ed25519 AAAA somebody")  # no line end
    connections = Connections()
    with password_server(home, "raspberry") as address:
        for password, words in (("", "no password"), ("wrong", "was refused")):
            with pytest.raises(DeviceError, match=words) as caught:
                connections.get(address, keys, password)
            assert caught.value.hint
        for password in ("raspberry", ""):
            assert connections.get(address, keys, password).check(["echo", "in"]) == "in\n"
            connections.close(address, keys)

    lines = (home / ".ssh/authorized_keys").read_text().splitlines()
    assert lines == [
        "ssh-ed25519 AAAA somebody",
        own_key(keys).export_public_key().decode().strip(),
    ]
    assert "raspberry" not in (keys / FILE).read_text()


def test_a_file_arrives_whole_with_its_progress(ssh: Ssh, tmp_path: Path) -> None:
    file, there, events = tmp_path / "file", tmp_path / "far/away/file", list[Event]()
    file.write_bytes(os.urandom(3 << 20))

    ssh.put(file, str(there), Job(events.append), "send it")

    assert there.read_bytes() == file.read_bytes()
    assert events[-1] == Event("send it", 3 << 20, 3 << 20)
    assert [path.name for path in there.parent.iterdir()] == ["file"]
    assert ssh.sha256(str(there)) == hashlib.sha256(file.read_bytes()).hexdigest()
    assert ssh.get(str(there)) == file.read_bytes()
    assert ssh.get(str(tmp_path / "none")) is None
    with pytest.raises(DeviceError, match="too long"):
        ssh.get(str(there), limit=1000)


def test_half_a_file_is_gone_on_with_and_a_damaged_half_is_not_believed(
    ssh: Ssh, tmp_path: Path
) -> None:
    file, there = tmp_path / "file", tmp_path / "there"
    data = os.urandom(2 << 20)
    file.write_bytes(data)
    part = tmp_path / f"there.{hashlib.sha256(data).hexdigest()[:16]}.part"

    # a damaged half is found out at the end, and all of it sent again: it starts twice
    for half, again in ((data[: 1 << 20], 0), (b"x" * (1 << 20), 1), (b"x" * (3 << 20), 0)):
        part.write_bytes(half)
        told: list[int] = []
        ssh.put(file, str(there), Job(lambda event, told=told: told.append(event.done)))  # type: ignore[misc]
        assert sum(later < sooner for sooner, later in pairwise(told)) == again
        assert there.read_bytes() == data
        assert not part.exists()
        there.unlink()


def test_a_lost_connection_leaves_a_half_that_the_next_one_completes(
    server: Sshd, keys: Path, tmp_path: Path
) -> None:
    server.trust(keys)
    connections, file, there = Connections(), tmp_path / "file", tmp_path / "there"
    file.write_bytes(os.urandom(64 << 20))
    ssh = connections.get(server.address, keys)

    def cut(event: Event) -> None:
        if 0 < event.done < event.total and server.process:
            server.stop()

    try:
        with pytest.raises(DeviceError, match="does not answer") as caught:
            ssh.put(file, str(there), Job(cut))
    finally:
        server.stop()
        server.start()
    [part] = tmp_path.glob("there.*.part")
    kept = part.stat().st_size
    seen: list[Event] = []
    connections.get(server.address, keys).put(file, str(there), Job(seen.append))
    connections.close(server.address, keys)

    assert caught.value.hint
    assert 0 < kept < 64 << 20
    assert there.read_bytes() == file.read_bytes()


def test_a_cancelled_job_ends_a_program_and_a_transfer(ssh: Ssh, tmp_path: Path) -> None:
    job, heard = Job(), list[str]()
    script = "echo $$; while echo; do sleep 0.1; done"

    def cancel(line: str) -> None:
        heard.append(line)
        job.cancel()

    with pytest.raises(Cancelled):
        ssh.run(["sh", "-c", script], job=job, heard=cancel)
    with pytest.raises(Cancelled):
        ssh.put(Path(__file__), str(tmp_path / "never"), job)

    wait_until(lambda: not Path(f"/proc/{heard[0]}").exists())
    assert not (tmp_path / "never").exists()
    assert ssh.check(["echo", "still here"]) == "still here\n"


def test_silence_and_too_much_said_are_told(server: Sshd, keys: Path) -> None:
    server.trust(keys)
    connections = Connections()
    ssh = connections.get(server.address, keys)

    with pytest.raises(DeviceError, match="said nothing for 1 s"):
        ssh.run(["sleep", "30"], silence_s=1)
    with pytest.raises(DeviceError, match="said too much"):
        ssh.run(["cat", "/dev/zero"])

    assert ssh.check(["echo", "fine"]) == "fine\n"
    connections.close(server.address, keys)


def test_a_stalled_sshd_ends_in_a_clear_error_and_is_reopened(server: Sshd, keys: Path) -> None:
    server.trust(keys)
    connections = Connections()
    first = connections.get(server.address, keys, patience=SHORT)
    pid = int(first.check(["sh", "-c", "ps -o ppid= -p $$"]))
    os.kill(pid, signal.SIGSTOP)
    try:
        with pytest.raises(DeviceError, match="does not answer"):
            first.run(["echo"], silence_s=60)
    finally:
        os.kill(pid, signal.SIGCONT)

    second = connections.get(server.address, keys)

    assert second is not first
    assert second.check(["echo", "again"]) == "again\n"
    connections.close(server.address, keys)


def test_a_port_there_is_reached_from_here(ssh: Ssh, tmp_path: Path) -> None:
    with saying(http(b'{"from": "the board"}')) as url:
        port = int(url.rpartition(":")[2])

        forwarded = ssh.forward(port)

        assert forwarded != url
        assert ssh.forward(port) == forwarded
        assert get_json(forwarded) == {"from": "the board"}
    with pytest.raises(DeviceError):
        get_json(ssh.forward(free_port()))


def test_a_unix_socket_there_is_reached_from_here(ssh: Ssh, tmp_path: Path) -> None:
    path = tmp_path / "agent.sock"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(http(b'{"from": "the socket"}'))

        thread = threading.Thread(target=serve)
        thread.start()
        assert get_json(ssh.forward(str(path))) == {"from": "the socket"}
        thread.join()


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.0 400 no\r\n\r\n", b"SSH-2.0-x\r\n" + b"\0" * 64])
def test_what_is_no_sshd_is_told(answer: bytes, keys: Path) -> None:
    with saying(answer) as url, pytest.raises(DeviceError) as caught:
        Connections().get(SshAddress("pi", "127.0.0.1", int(url.rpartition(":")[2])), keys)

    assert "ssh://pi@127.0.0.1" in str(caught.value)
    assert caught.value.hint


def test_a_host_that_never_says_a_word_is_given_up(keys: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = SshAddress("pi", "127.0.0.1", silent.getsockname()[1])
        with pytest.raises(DeviceError, match="does not answer"):
            Connections().get(address, keys, patience=Patience(connect_s=0.5))
    with pytest.raises(DeviceError, match="does not answer"):
        Connections().get(SshAddress("pi", "127.0.0.1", free_port()), keys)
    with pytest.raises(DeviceError, match="does not answer"):
        Connections().get(SshAddress("pi", "name.invalid"), keys)
