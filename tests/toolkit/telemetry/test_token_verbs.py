"""The verbs of tokens, as the command line and the window call them."""

from pathlib import Path

import pytest

from edge_targets.runtime.errors import UnknownNameError
from toolkit.telemetry.tokens import token_for
from toolkit.verbs.tokens import token_list, token_remove
from toolkit.workspace import Workspace


def test_tokens_are_listed_and_taken_back(tmp_path: Path) -> None:
    shelves = Workspace.create(tmp_path)
    assert token_list(workspace=tmp_path).tokens == ()
    for name in ("digits-browser", "wine-browser"):
        shelves.put("packages", name, {}, {"served_as": name.removesuffix("-browser")}, "package")
        token_for(shelves, name)

    before = token_list(workspace=tmp_path).tokens
    after = token_remove("digits-browser", workspace=tmp_path).tokens

    assert [(row.package, row.model) for row in before] == [
        ("digits-browser", "digits"),
        ("wine-browser", "wine"),
    ]
    assert after == before[1:]
    with pytest.raises(UnknownNameError, match="digits-browser"):
        token_remove("digits-browser", workspace=tmp_path)
