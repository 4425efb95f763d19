"""The workspace: what is stored comes back as it was, or it is said what is damaged."""

import hashlib
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_targets.runtime.errors import (
    DataError,
    RecipeError,
    StorageError,
    UnknownNameError,
)
from toolkit.workspace import Entry, NotFoundError, Workspace, check_name


def put(workspace: Workspace, name: str = "one", data: bytes = b"abc", **facts: object) -> Entry:
    return workspace.put("models", name, {"weights": data}, facts, "train", {"epochs": 3})


def files_of(workspace: Workspace) -> set[str]:
    return {str(p.relative_to(workspace.root)) for p in workspace.root.rglob("*") if p.is_file()}


def test_a_new_workspace_has_settings_that_can_be_read(workspace: Workspace) -> None:
    assert workspace.settings.collector == "http://127.0.0.1:7733"
    assert Workspace(workspace.root).settings == workspace.settings


def test_making_a_workspace_again_leaves_it_as_it_is(workspace: Workspace) -> None:
    settings = workspace.root / "sanderling.toml"
    settings.write_text('collector = "http://10.0.0.1:80"\n')
    entry = put(workspace)

    again = Workspace.create(workspace.root)

    assert again.settings.collector == "http://10.0.0.1:80"
    assert again.get("models", "one") == entry


def test_what_was_put_comes_back_with_all_that_is_known_of_it(workspace: Workspace) -> None:
    entry = put(workspace, accuracy=0.98)

    found = workspace.get("models", "one")

    assert found == entry
    assert found.facts == {"accuracy": 0.98}
    assert (found.verb, found.parameters) == ("train", {"epochs": 3})
    assert workspace.read(found, "weights") == b"abc"


def test_equal_bytes_are_stored_once_and_are_read_only(workspace: Workspace) -> None:
    one, other = put(workspace, "one"), put(workspace, "other")

    # sha256 of "abc": FIPS 180-2, appendix B.1
    digest = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert one.files == other.files == {"weights": digest}
    assert [p.name for p in (workspace.root / "objects").rglob("*") if p.is_file()] == [digest]
    assert workspace.file(one, "weights").stat().st_mode & 0o222 == 0


def test_a_name_given_again_is_replaced_and_the_older_thing_stays(workspace: Workspace) -> None:
    old = put(workspace, data=b"old")

    new = put(workspace, data=b"new")

    assert workspace.get("models", "one") == new
    assert workspace.read(workspace.entry(old.digest), "weights") == b"old"


@given(data=st.binary(max_size=2000))
def test_any_bytes_come_back(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    workspace = Workspace.create(tmp_path_factory.mktemp("any"))

    assert workspace.read(put(workspace, data=data), "weights") == data


@pytest.mark.parametrize(
    "name", ["../x", "A", "", ".", "..", "-a", "a/b", "a b", "ä", "a\n", "a\0", "a" * 81]
)
def test_what_is_no_name_is_refused_before_anything_is_written(
    workspace: Workspace, name: str
) -> None:
    before = files_of(workspace)

    with pytest.raises(RecipeError, match="is not a name") as caught:
        put(workspace, name)

    assert "small letters" in caught.value.hint
    assert files_of(workspace) == before


@given(name=st.from_regex(r"[a-z0-9][a-z0-9._-]{0,79}", fullmatch=True))
def test_every_other_name_is_taken(name: str) -> None:
    assert check_name(name) == name


def test_an_unknown_name_is_answered_with_the_nearest(workspace: Workspace) -> None:
    put(workspace, "digits-int8")

    with pytest.raises(UnknownNameError) as caught:
        workspace.get("models", "digit-int8")

    assert str(caught.value) == "There is no model named 'digit-int8'."
    assert caught.value.hint == "Did you mean 'digits-int8'?"


@pytest.mark.parametrize("name", ["../../sanderling.toml", "../models/one", "/etc/passwd"])
def test_a_name_cannot_climb_out_when_it_is_looked_up(workspace: Workspace, name: str) -> None:
    put(workspace)

    with pytest.raises(UnknownNameError):
        workspace.get("models", name)
    with pytest.raises(UnknownNameError):
        workspace.find_any(f"models/{name}")


def test_a_name_is_found_whatever_it_names(workspace: Workspace) -> None:
    model = put(workspace)
    data = workspace.put("datasets", "rows", {}, {}, "data add")

    assert workspace.find_any("one") == model
    assert workspace.find_any("rows") == data
    assert workspace.find_any("datasets/rows") == data


def test_a_name_of_two_things_is_asked_about(workspace: Workspace) -> None:
    put(workspace)
    workspace.put("datasets", "one", {}, {}, "data add")

    with pytest.raises(RecipeError, match="names a dataset and a model") as caught:
        workspace.find_any("one")

    assert "models/one" in caught.value.hint
    assert "datasets/one" in caught.value.hint


def test_lineage_names_everything_once_with_its_depth(workspace: Workspace) -> None:
    data = workspace.put("datasets", "rows", {}, {}, "data add")
    model = workspace.put("models", "m", {}, {}, "train", parents=(data,))
    small = workspace.put("models", "s", {}, {}, "compress", parents=(model, data))

    found = [(depth, entry.name) for depth, entry in workspace.lineage(small)]

    assert found == [(0, "s"), (1, "m"), (2, "rows")]


def test_lineage_stays_when_a_name_is_given_to_something_else(workspace: Workspace) -> None:
    data = workspace.put("datasets", "rows", {}, {"rows": 1}, "data add")
    model = workspace.put("models", "m", {}, {}, "train", parents=(data,))
    workspace.put("datasets", "rows", {}, {"rows": 2}, "data add")

    assert [entry.facts for _, entry in workspace.lineage(model)] == [{}, {"rows": 1}]


def test_unknown_fields_of_an_entry_survive(workspace: Workspace) -> None:
    text = replace(put(workspace), extra={"approved_by": "Ada"}).dump()
    digest = hashlib.sha256(text.encode()).hexdigest()
    (workspace.root / "entries" / f"{digest}.json").write_text(text)
    (workspace.root / "names" / "models" / "one").write_text(digest)

    found = workspace.get("models", "one")

    assert found.extra == {"approved_by": "Ada"}
    assert found.digest == digest
    assert found.dump() == text


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("collector = ", "Invalid value"),
        ('colector = "http://a"', "no field 'colector'"),
        ('collector = "ftp://a"', "collector"),
        ("collector = 7", "collector"),
        ("schema = 2", "schema"),
        ("collector = \xff", "cannot be used"),
    ],
)
def test_broken_settings_are_refused_with_the_file_and_the_field(
    workspace: Workspace, text: str, said: str
) -> None:
    file = workspace.root / "sanderling.toml"
    file.write_bytes(text.encode("latin-1"))

    with pytest.raises(RecipeError) as caught:
        Workspace(workspace.root)

    assert str(file) in str(caught.value)
    assert said in str(caught.value)
    assert caught.value.hint


def test_a_misspelt_setting_is_answered_with_the_nearest(workspace: Workspace) -> None:
    (workspace.root / "sanderling.toml").write_text('colector = "http://a"')

    with pytest.raises(RecipeError) as caught:
        Workspace(workspace.root)

    assert caught.value.hint == "Did you mean 'collector'?"


def test_a_folder_without_settings_is_no_workspace(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError) as caught:
        Workspace(tmp_path)

    assert f"sanderling init {tmp_path}" in caught.value.hint


def test_a_file_is_no_workspace(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("text")

    with pytest.raises(NotFoundError):
        Workspace(file)
    with pytest.raises(DataError):
        Workspace.create(file)


def test_the_nearest_workspace_above_is_found(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    inner = workspace.root / "some" / "folder"
    inner.mkdir(parents=True)
    monkeypatch.chdir(inner)

    assert Workspace.find(None).root == workspace.root
    assert Workspace.find(Path("../..")).root == workspace.root


def test_where_no_workspace_is_above_it_is_said_how_to_make_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    with pytest.raises(NotFoundError) as caught:
        Workspace.find(None)

    assert "sanderling init" in caught.value.hint


def test_a_folder_nobody_may_write_to_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")

    with pytest.raises(StorageError) as caught:
        Workspace.create(tmp_path / "file" / "workspace")

    assert caught.value.hint
