"""Tokens of bundles: one a package and model, kept for its owner alone, taken back at once."""

import stat
import threading
from pathlib import Path

import pytest

from edge_targets.runtime.errors import IntegrityError, UnknownNameError
from toolkit.telemetry.tokens import file_of, remove, token_for, tokens, valid
from toolkit.workspace import Workspace


def pack(shelves: Workspace, name: str, model: str) -> None:
    shelves.put("packages", name, {}, {"served_as": model}, "package")


@pytest.fixture
def shelves(tmp_path: Path) -> Workspace:
    made = Workspace.create(tmp_path / "ws")
    pack(made, "digits-browser", "digits")
    pack(made, "wine-browser", "wine")
    return made


def test_a_package_keeps_its_token(shelves: Workspace) -> None:
    first = token_for(shelves, "digits-browser")

    assert token_for(shelves, "digits-browser") == first
    assert token_for(shelves, "wine-browser") != first
    assert len(first) >= 32


def test_a_package_that_serves_another_model_gets_a_token_more(shelves: Workspace) -> None:
    before = token_for(shelves, "digits-browser")
    pack(shelves, "digits-browser", "letters")

    after = token_for(shelves, "digits-browser")

    assert after != before
    found = [valid(file_of(shelves), word) for word in (before, after)]
    assert [token.model for token in found if token] == ["digits", "letters"]


def test_a_token_of_no_package_is_not_made(shelves: Workspace) -> None:
    with pytest.raises(UnknownNameError, match="digit-browser") as failed:
        token_for(shelves, "digit-browser")

    assert "digits-browser" in failed.value.hint


def test_only_their_owner_may_read_them(shelves: Workspace) -> None:
    token_for(shelves, "digits-browser")

    assert stat.S_IMODE(file_of(shelves).stat().st_mode) == 0o600
    assert stat.S_IMODE(file_of(shelves).parent.stat().st_mode) == 0o700


def test_a_word_is_good_when_it_is_exactly_a_token(shelves: Workspace) -> None:
    word = token_for(shelves, "digits-browser")
    file = file_of(shelves)

    assert valid(file, word) == tokens(shelves)[0]
    for wrong in ("", word[:-1], word + "x", word.swapcase(), "é", "\0"):
        assert valid(file, wrong) is None
    assert valid(file.with_name("none.json"), word) is None


def test_what_is_taken_back_is_good_no_longer(shelves: Workspace) -> None:
    word, other = token_for(shelves, "digits-browser"), token_for(shelves, "wine-browser")

    [gone] = remove(shelves, "digits-browser")

    assert gone.word == word
    assert valid(file_of(shelves), word) is None
    assert valid(file_of(shelves), other)
    assert token_for(shelves, "digits-browser") != word
    with pytest.raises(UnknownNameError, match="package with a token"):
        remove(shelves, "nothing")


def test_tokens_made_at_once_are_all_kept(shelves: Workspace) -> None:
    names = [f"digits-{number}" for number in range(8)]
    for name in names:
        pack(shelves, name, "digits")

    made = [threading.Thread(target=token_for, args=(shelves, name)) for name in names]
    for thread in made:
        thread.start()
    for thread in made:
        thread.join()

    assert sorted(token.package for token in tokens(shelves)) == names


def test_a_field_of_a_newer_version_survives(shelves: Workspace) -> None:
    token_for(shelves, "digits-browser")
    file = file_of(shelves)
    file.write_text(file.read_text().replace('"schema"', '"until": "2030", "schema"'))

    token_for(shelves, "wine-browser")

    assert '"until": "2030"' in file.read_text()


def test_a_damaged_file_is_named_and_not_overwritten(shelves: Workspace) -> None:
    file = file_of(shelves)
    token_for(shelves, "digits-browser")
    file.write_text("{")

    with pytest.raises(IntegrityError):
        token_for(shelves, "wine-browser")

    assert file.read_text() == "{"
