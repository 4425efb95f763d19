"""How the agent's program is started, and where it says what happened."""

import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge_targets.agent import journal
from edge_targets.agent.__main__ import listening, main, parser
from edge_targets.agent.home import child_environment
from edge_targets.runtime.errors import DataError


@pytest.fixture
def quiet() -> Iterator[None]:
    """The log of this process is as before afterwards."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    raises = logging.raiseExceptions
    yield
    for handler in set(root.handlers) - set(handlers):
        root.removeHandler(handler)
        handler.close()
    root.setLevel(level)
    logging.raiseExceptions = raises
    journal.recent.clear()


def test_every_option_says_where_to_listen(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("0123456789abcdef\n")
    words = ["--root", "r", "--host", "0.0.0.0", "--port", "7734", "--socket", "/run/agent.sock"]
    words += ["--tls", "cert.pem", "key.pem", "--token-file", str(tmp_path / "token")]

    found = listening(parser().parse_args(words))

    assert (found.host, found.port, found.socket) == ("0.0.0.0", 7734, "/run/agent.sock")
    assert (found.certificate, found.key) == ("cert.pem", "key.pem")
    assert found.token == "0123456789abcdef"
    assert not found.insecure


@pytest.mark.parametrize("content", [None, b"", b" \n", b"\xff\xfe"])
def test_a_token_file_without_a_token_is_refused(tmp_path: Path, content: bytes | None) -> None:
    file = tmp_path / "token"
    if content is not None:
        file.write_bytes(content)

    with pytest.raises(DataError, match="token") as caught:
        listening(parser().parse_args(["--root", "r", "--token-file", str(file)]))

    assert caught.value.hint


def test_an_agent_that_anybody_could_use_does_not_start(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], quiet: None
) -> None:
    status = main(["--root", str(tmp_path / "device"), "--host", "0.0.0.0"])

    assert status == 1
    assert "--insecure" in capsys.readouterr().err


def test_under_systemd_every_line_has_its_level(tmp_path: Path) -> None:
    code = (
        "import logging\nfrom pathlib import Path\nfrom edge_targets.agent import journal\n"
        f"journal.begin(Path({str(tmp_path / 'agent.log')!r}))\n"
        "logging.getLogger('a').warning('one\\ntwo')\nlogging.getLogger('a').error('three')\n"
        "logging.getLogger('a').debug('four')\n"
    )

    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**child_environment(), "JOURNAL_STREAM": "8:1234"},
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.stderr.splitlines() == ["<4>WARNING a: one", "<4>two", "<3>ERROR a: three"]
    assert not (tmp_path / "agent.log").exists()


def test_elsewhere_the_log_is_a_file_and_its_last_lines_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, quiet: None
) -> None:
    monkeypatch.delenv("JOURNAL_STREAM", raising=False)
    file = tmp_path / "agent.log"
    file.write_text("of an earlier run\n")

    journal.begin(file)
    for number in range(5):
        logging.getLogger("a").warning("line %d", number)

    found = journal.tail(file, 2)
    assert [line.split("a: ")[1] for line in found] == ["line 3", "line 4"]
    assert journal.tail(file, 100)[0] == "of an earlier run"
    assert journal.tail(file, 0) == journal.tail(file, -1) == []


def test_without_a_file_the_lines_of_this_run_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, quiet: None
) -> None:
    monkeypatch.setenv("JOURNAL_STREAM", "8:1234")
    journal.begin(tmp_path / "agent.log")

    for number in range(journal.MOST_LINES + 5):
        logging.getLogger("a").warning("line %d", number)

    found = journal.tail(tmp_path / "agent.log", 10**9)
    assert len(found) == journal.MOST_LINES
    assert found[-1].endswith(f"line {journal.MOST_LINES + 4}")


def test_a_log_that_cannot_be_written_is_no_reason_not_to_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, quiet: None
) -> None:
    monkeypatch.delenv("JOURNAL_STREAM", raising=False)
    (tmp_path / "agent.log").mkdir()

    journal.begin(tmp_path / "agent.log")

    assert "cannot be written" in journal.tail(tmp_path / "agent.log", 1)[0]


def test_a_folder_that_cannot_be_made_is_two_lines(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    words = [sys.executable, "-m", "edge_targets.agent", "--root", str(tmp_path / "file" / "x")]

    done = subprocess.run(
        words, env=child_environment(), capture_output=True, text=True, check=False
    )

    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 2
    assert os.fspath(tmp_path) in done.stderr
