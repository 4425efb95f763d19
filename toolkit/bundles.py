"""A package of the workspace as a page for browsers."""

import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from edge_targets.bundling import USUAL, WEB, Options
from edge_targets.bundling import bundle as write_bundle
from edge_targets.bundling.parts import Parts
from edge_targets.runtime.errors import UnsupportedError
from edge_targets.runtime.events import Job
from toolkit.browser_wheels import build_wheel
from toolkit.results import Bundled, BundlePart
from toolkit.shipping import package_file, signing_key_of
from toolkit.telemetry.tokens import token_for
from toolkit.workspace import Workspace


def bundle(
    shelves: Workspace,
    package_name: str,
    directory: Path,
    job: Job,
    options: Options = USUAL,
    build: Sequence[Path] = (),
) -> Bundled:
    """Write the page; `build` are folders of Python packages that go in beside the wheels.

    Where another host collects, its pages bring the package's own token there.
    """
    packed = shelves.get("packages", package_name)
    if packed.facts["target"] != "browser":
        raise UnsupportedError(
            f"{package_name} is for {packed.facts['target']}.",
            "Package the model again with --target browser.",
        )
    key = signing_key_of(shelves)
    if options.collector:
        options = replace(options, token=token_for(shelves, package_name))
    with tempfile.TemporaryDirectory() as folder:
        file = package_file(shelves, packed, folder)
        if build:
            python = Parts.read(WEB).lock["python"]
            built = tuple(build_wheel(one, Path(folder), python, job) for one in build)
            options = replace(options, wheels=(*options.wheels, *built))
        done = write_bundle(file, directory, key, (key.public,), options, job)
    return Bundled(
        str(done.directory),
        done.files,
        done.size_bytes,
        done.sent_bytes,
        tuple(
            BundlePart(part.name, part.files, part.size_bytes, part.sent_bytes)
            for part in done.parts
        ),
        next=(f"sanderling serve {directory}",),
    )
