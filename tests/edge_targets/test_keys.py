"""The signing key is made once, is its owner's alone, and is told by its id."""

import stat
from pathlib import Path

import pytest

from edge_targets.package import SigningKey, signing_key
from edge_targets.runtime.errors import IntegrityError, StorageError
from tests.rights import nobody


def test_a_key_is_made_once_and_is_its_owner_s_alone(tmp_path: Path) -> None:
    path = tmp_path / "key.pem"

    made, loaded = signing_key(path), signing_key(path)

    assert made == loaded
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert "PRIVATE KEY" in path.read_text()
    assert [file.name for file in tmp_path.iterdir()] == ["key.pem"]
    assert made.seed.hex() not in repr(made)


def test_a_key_that_others_may_read_is_not_used(tmp_path: Path) -> None:
    path = tmp_path / "key.pem"
    signing_key(path)
    path.chmod(0o640)

    with pytest.raises(IntegrityError, match="read by others") as caught:
        signing_key(path)

    assert f"chmod 600 {path}" in caught.value.hint


@pytest.mark.parametrize("text", [b"", b"nothing", b"-----BEGIN PRIVATE KEY-----\nAAAA\n"])
def test_a_key_file_without_a_key_is_refused(tmp_path: Path, text: bytes) -> None:
    path = tmp_path / "key.pem"
    path.write_bytes(text)
    path.chmod(0o600)

    with pytest.raises(IntegrityError, match="not a private key"):
        signing_key(path)


def test_a_key_that_cannot_be_read_is_an_error_of_two_lines(tmp_path: Path) -> None:
    path = tmp_path / "key.pem"
    signing_key(path)
    (tmp_path / "file").touch()
    (tmp_path / "folder.pem").mkdir()

    for closed in (tmp_path / "file" / "key.pem", tmp_path / "folder.pem"):
        with pytest.raises(StorageError, match="cannot be read") as caught:
            signing_key(closed)
        assert caught.value.hint
    with nobody(), pytest.raises(StorageError, match="cannot be read"):
        signing_key(path)


def test_the_key_id_is_the_beginning_of_the_hash_of_the_public_key() -> None:
    # RFC 8032, 7.1, test 1; the id by `xxd -r -p | sha256sum` of its public key
    seed = bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")
    key = SigningKey.from_seed(seed)

    assert key.public == "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="
    assert key.key_id == "21fe31dfa154a261"
