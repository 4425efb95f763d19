"""Take pictures of the demo page with each kind of input: light, dark, and as a phone shows it.

    python docs/page_pictures.py [--out docs/images] [--only drawing sound]

The models are those of the page's tests, or larger where those are too unsure to be worth a
picture. A kind whose data are not here is left out.
"""

import argparse
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Literal

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

if TYPE_CHECKING:
    from playwright.sync_api import Page

    from toolkit.data import Dataset

Look = tuple[Literal["light", "dark"], int, int]  # colour scheme; width and height in pixels
LOOKS: dict[str, Look] = {
    "light": ("light", 1180, 820),
    "dark": ("dark", 1180, 820),
    "phone": ("light", 390, 844),
}
SIDE = 64  # pixels of what the picture model sees
PIECES = 120  # of each photograph, to learn from
EXAMPLES = {"drawing": 3, "sound": 7}  # that are shown; else the first
SETTLE_MS = 1500  # the answer, and the examples' pictures
EXPLAINED = ("drawing",)
WAIT_MS = 120_000  # for the offline copy, or an explanation, on a busy machine


def main() -> int:
    import pytest
    from playwright.sync_api import sync_playwright

    from edge_targets.bundling import Options, bundle
    from tests.web import kinds, packages
    from tests.web.conftest import running
    from toolkit.browser import FLAGS
    from toolkit.doctor import chromium
    from toolkit.serving import bundle_app

    parser = argparse.ArgumentParser(description="Take pictures of the demo page.")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "images")
    parser.add_argument("--only", choices=kinds.KINDS, nargs="+", default=kinds.KINDS)
    chosen = parser.parse_args()
    program = chromium()
    if not program:
        print("There is no Chromium here.", file=sys.stderr)
        return 1
    chosen.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as name, sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=str(program), args=list(FLAGS))
        for kind in chosen.only:
            folder = Path(name) / kind
            folder.mkdir()
            try:
                package = package_of(kind, folder)
            except pytest.skip.Exception as missing:
                print(f"{kind}: {missing}")
                continue
            bundle(package, folder / "site", packages.KEY, [packages.KEY.public], Options())
            with running(bundle_app(folder / "site")) as url:
                for look, (scheme, width, height) in LOOKS.items():
                    page = browser.new_page(
                        color_scheme=scheme, viewport={"width": width, "height": height}
                    )
                    page.goto(f"{url}/")
                    page.evaluate("window.sanderling.ready")
                    page.get_by_text("Kept offline").wait_for(timeout=WAIT_MS)
                    ask(page, kind, folder)
                    page.wait_for_timeout(SETTLE_MS)
                    page.screenshot(path=chosen.out / f"page-{kind}-{look}.png", full_page=True)
                    page.close()
            print(f"{kind}: {len(LOOKS)} pictures")
        browser.close()
    return 0


def package_of(kind: str, folder: Path) -> Path:
    """What the page shows: a model that has learned enough to be worth a picture."""
    from tests.web import kinds, packages
    from toolkit.networks.ds_cnn import DsCnn
    from toolkit.networks.mlp import Mlp
    from toolkit.networks.small_cnn import SmallCnn

    if kind == "picture":
        network = SmallCnn(channels=(8, 16), hidden=16)
        return kinds.learned("temple-or-dahlia", photographs(folder), network, folder)
    if kind == "sound":
        data = packages.spoken_digits()
        return kinds.learned("spoken-digits", data, DsCnn(channels=32, blocks=2), folder)
    if kind == "series":
        data = packages.machine_temperature()
        return kinds.learned("machine", data, Mlp(hidden=(128, 64)), folder)
    if kind == "table":
        data = kinds.flowers(folder / "flowers.csv")
        return kinds.learned("flowers", data, Mlp(hidden=(128, 64)), folder)
    return kinds.package(kind, folder)


def photographs(folder: Path) -> "Dataset":
    """Pieces of two photographs, large enough for a person to say which; these, as files, too."""
    import numpy as np
    from PIL import Image

    from edge_targets.runtime.events import QUIET
    from tests.web import kinds
    from toolkit.data.sources.image_folder import ImageFolder

    rng = np.random.default_rng(0)
    for name, whole in kinds.photographs().items():
        Image.fromarray(whole).save(folder / f"{name}.png")
        (folder / "photos" / name).mkdir(parents=True)
        height, width, _ = whole.shape
        for number in range(PIECES):
            side = int(rng.integers(height // 2, height))
            top, left = int(rng.integers(height - side)), int(rng.integers(width - side))
            piece = Image.fromarray(whole[top : top + side, left : left + side])
            piece.save(folder / "photos" / name / f"{number:03}.jpg")
    source = ImageFolder(height=SIDE, width=SIDE)
    return source.dataset("photos", str(folder / "photos"), None, QUIET)


def ask(page: "Page", kind: str, folder: Path) -> None:
    """What a visitor would do: bring a photograph or choose an example, and ask why."""
    if kind == "picture":
        page.locator("#input input[type=file]").set_input_files(folder / "temple.png")
    else:
        page.locator("#example-row button").nth(EXAMPLES.get(kind, 0)).click()
    if kind in EXPLAINED:
        page.get_by_role("button", name="Why?").click()
        page.locator(".explanation canvas").first.wait_for(timeout=WAIT_MS)


if __name__ == "__main__":
    sys.exit(main())
