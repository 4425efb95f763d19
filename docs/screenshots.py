"""Take pictures of every page, light and dark, in the real window on a real workspace.

    python docs/screenshots.py WORKSPACE [--out docs/images] [--live] [--file MODEL]

Draws under Xvfb where it is installed, else with Qt's offscreen platform. With `--live` the
pages first do their work (train, compress, build, search, diagnose), and what they make stays in
the workspace. `--file` is a model file of another framework for the page Models.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
WIDTH, HEIGHT = 1280, 820
PICTURES = (
    "overview", "train", "models", "models-graph", "models-compare", "compress",
    "compress-search", "compress-diagnose", "build", "deploy", "devices", "flash", "monitor",
    "browser",  # the last: its server runs until the window closes
)  # fmt: skip
LIMIT_S = 900  # the longest job of --live
TRIALS = 16  # of the search: enough for a front
PAINT_S = 0.4  # what a page needs to be drawn after its last answer


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Take pictures of every page.")
    parser.add_argument("workspace", type=Path)
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "images")
    parser.add_argument("--live", action="store_true", help="let the pages do their work first")
    parser.add_argument("--file", default="", help="a model file to look into")
    parser.add_argument("--only", choices=PICTURES, nargs="+", default=PICTURES)
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args()


@contextmanager
def display() -> Any:
    """The name of a fresh X display; None where there is no Xvfb."""
    if not shutil.which("Xvfb"):
        yield None
        return
    reader, writer = os.pipe()
    words = ["Xvfb", "-displayfd", str(writer), "-screen", "0", f"{WIDTH + 80}x{HEIGHT + 80}x24"]
    server = subprocess.Popen(words, pass_fds=[writer], stderr=subprocess.DEVNULL)
    os.close(writer)
    try:
        with os.fdopen(reader) as told:
            number = told.readline().strip()
        yield f":{number}" if number else None
    finally:
        server.terminate()
        server.wait()


def outside() -> int:
    words = [sys.executable, __file__, *sys.argv[1:], "--inside"]
    paths = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    common = {**os.environ, "PYTHONPATH": paths}
    with display() as name:
        if name:
            under_x = {**common, "DISPLAY": name, "QT_QPA_PLATFORM": "xcb"}
            if subprocess.run(words, env=under_x, check=False).returncode == 0:
                return 0
            print("Qt does not run under Xvfb here: drawing offscreen.", file=sys.stderr)
    return subprocess.run(words, env={**common, "QT_QPA_PLATFORM": "offscreen"}).returncode


def inside(chosen: argparse.Namespace) -> int:
    from PySide6.QtCore import QSettings, QSize

    from gui import theme
    from gui.app import application
    from gui.runner import Runner
    from gui.session import Session
    from gui.widgets.service import Service
    from gui.window import Window

    app = application()
    theme.apply(app, "light")
    with tempfile.NamedTemporaryFile(suffix=".ini") as file:
        settings = QSettings(file.name, QSettings.Format.IniFormat)
        window = Window(Session(chosen.workspace), settings, "light")
        window.resize(QSize(WIDTH, HEIGHT))
        window.show()

        def busy() -> bool:
            services = window.findChildren(Service)
            lasting = {service.runner for service in services if service.url}  # until the end
            return any(
                runner.running for runner in window.findChildren(Runner) if runner not in lasting
            )

        def settle() -> None:
            until = time.monotonic() + LIMIT_S
            while time.monotonic() < until:
                quiet = time.monotonic() + PAINT_S
                while time.monotonic() < quiet:
                    app.processEvents()
                    time.sleep(0.01)
                if not busy():
                    return

        chosen.out.mkdir(parents=True, exist_ok=True)
        settle()
        for name in chosen.only:
            page: Any = window.visit(name.partition("-")[0])
            settle()
            for step in steps(name, page, chosen):
                step()
                settle()
            for look in ("light", "dark"):
                window.set_theme(look)
                settle()
                path = chosen.out / f"{name}-{look}.png"
                window.grab().save(str(path))
                print(path)
        window.close()
    return 0


def steps(name: str, page: Any, chosen: argparse.Namespace) -> list[Callable[[], object]]:
    """What a person would do on a page before it is worth a picture."""
    live: bool = chosen.live
    if name.startswith("models"):
        return model_steps(name, page, chosen.file)
    if name == "build":
        verified = (page.verify.trigger, lambda: page.report.parts.setCurrentIndex(1))
        files = page.session.names("artifacts")
        return (
            list(verified) if live else [lambda: page.files.table.select(files[-1])] * bool(files)
        )
    if name == "overview":
        found = page.session.names("packages") or page.session.names("models")
        return [lambda: page.table.select(found[-1])] if found else []
    if name == "monitor":
        return [page.watch] if page.session.names("packages") else []
    if name == "compress-search":
        few = (lambda: page.search.trials.setValue(TRIALS), page.search.main.trigger)
        return [lambda: page.segments.setCurrentIndex(1), *(few if live else ())]
    if name == "compress-diagnose":
        return [lambda: page.segments.setCurrentIndex(2), *([page.diagnose.main.trigger] * live)]
    if name == "devices":
        return [page.panel.ask_log]
    if name == "browser":
        return [page.main.trigger, page.serve.toggle] if page.package.chosen else []
    if name == "compress" and live:
        return [page.recipe.main.trigger]
    return [page.start.trigger] if name == "train" and live else []


def model_steps(name: str, page: Any, file: str) -> list[Callable[[], object]]:
    """Look into the file; walk into the graph; compare a model with one made of it."""
    models, data = page.session.names("models"), page.session.names("datasets")
    if name == "models":
        return [lambda: page.importing.file.drop.take(file)] if file else []
    if not models:
        return [lambda: page.segments.setCurrentIndex(1 if name == "models-graph" else 2)]
    if name == "models-graph":
        return [
            lambda: page.segments.setCurrentIndex(1),
            lambda: page.model.choose(models[-1]),
            lambda: page.graph.view.choose(4),
        ]
    pairs = [(a, b) for a in models for b in models if a != b and b.startswith(a)]
    first, second = (pairs or [(models[0], models[-1])])[0]
    return [
        lambda: page.segments.setCurrentIndex(2),
        lambda: page.compare.first.choice.choose(first),
        lambda: page.compare.second.choice.choose(second),
        lambda: page.compare.data.choose(data[0] if data else ""),
        page.compare.main.trigger,
        lambda: page.compare.result.layers.view.selectRow(1),
    ]


if __name__ == "__main__":
    given = parse()
    raise SystemExit(inside(given) if given.inside else outside())
