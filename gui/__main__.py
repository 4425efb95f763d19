"""Run as `python -m gui`; `sanderling gui` does."""

import argparse
from pathlib import Path
from typing import get_args

from gui.app import main
from gui.theme import ThemeName


def nearest_workspace() -> Path:
    """The nearest folder with `sanderling.toml`, else the current one, to be made into one."""
    here = Path.cwd()
    for folder in (here, *here.parents):
        if (folder / "sanderling.toml").is_file():
            return folder
    return here


def run() -> int:
    parser = argparse.ArgumentParser(prog="python -m gui", description="Open the window.")
    parser.add_argument("--workspace", type=Path, help="default: the nearest at or above here")
    parser.add_argument("--theme", choices=get_args(ThemeName), default="system")
    chosen = parser.parse_args()
    return main(chosen.workspace or nearest_workspace(), chosen.theme)


if __name__ == "__main__":
    raise SystemExit(run())
