"""Take pictures of the demo page with each kind of input: light, dark, and as a phone shows it.

    python docs/page_pictures.py [--out docs/images] [--only drawing sound]

The models are those of the page's tests; a kind whose data are not here is left out.
"""

import argparse
import sys
import tempfile
from pathlib import Path
from typing import Literal

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

LOOKS: dict[
    str, tuple[Literal["light", "dark"], int, int]
] = {  # colour scheme, width and height in pixels
    "light": ("light", 1180, 820),
    "dark": ("dark", 1180, 820),
    "phone": ("light", 390, 844),
}
SETTLE_MS = 1500  # the answer, and the examples' pictures


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
    with tempfile.TemporaryDirectory() as name, sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=str(program), args=list(FLAGS))
        for kind in chosen.only:
            folder = Path(name) / kind
            folder.mkdir()
            try:
                package = kinds.package(kind, folder)
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
                    page.locator("#example-row button").first.click()
                    page.wait_for_timeout(SETTLE_MS)
                    page.screenshot(path=chosen.out / f"page-{kind}-{look}.png", full_page=True)
                    page.close()
            print(f"{kind}: {len(LOOKS)} pictures")
        browser.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
