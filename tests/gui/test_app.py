"""How the window is started."""

from pathlib import Path

import pytest
from PySide6.QtCore import QSettings

from gui.__main__ import nearest_workspace
from gui.app import remembered_theme


def test_the_window_opens_on_the_nearest_workspace(
    workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inner = workspace / "deep" / "down"
    inner.mkdir(parents=True)
    monkeypatch.chdir(inner)

    assert nearest_workspace() == workspace


def test_without_a_workspace_it_opens_on_the_current_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    assert nearest_workspace() == tmp_path


@pytest.mark.parametrize(("kept", "theme"), [("dark", "dark"), ("purple", "system"), (3, "system")])
def test_the_theme_last_used_comes_back_where_it_makes_sense(
    settings: QSettings, kept: object, theme: str
) -> None:
    assert remembered_theme(settings) == "system"

    settings.setValue("theme", kept)

    assert remembered_theme(settings) == theme
