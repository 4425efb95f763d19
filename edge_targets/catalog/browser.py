"""A web browser: a folder for any web server, with Pyodide and WebAssembly in it."""

import math
from pathlib import Path
from typing import ClassVar

from edge_targets.bundling import USUAL, bundle, read_index
from edge_targets.bundling.replacing import check_replaceable
from edge_targets.package import KEY_FILE, SigningKey, signing_key, verify
from edge_targets.places.facts import Facts
from edge_targets.places.folders import check_folder, folder_at
from edge_targets.places.rates import FLOAT, INT8, Macs, Rates, Work, usual_speed
from edge_targets.places.target import Deployment, Place, Status, Target
from edge_targets.runtime.durable import storing
from edge_targets.runtime.errors import DeviceError
from edge_targets.runtime.events import Job

# MobileNetV2 (Sandler et al. 2018, arXiv:1801.04381) in onnxruntime-web on a laptop, one thread: 35
# ms in float, 48 ms in int8, which it emulates
MACS, NONE = Macs(window=10.8e6, point=281e6, depth=20.7e6), Macs()
FLOATS = Work(MACS, NONE, values=15e6, weight_bytes=14e6, operators=66)
IN_INT8 = Work(NONE, MACS, values=15e6, weight_bytes=3.5e6, operators=66)
RATES = Rates(
    {
        (FLOAT, 1): usual_speed(FLOAT, FLOATS, 35e-3),
        (INT8, 1): usual_speed(INT8, IN_INT8, 48e-3),
    },
    engines={"onnx": 1.0, "tflite": 0.6},  # of LiteRT.js: 20 ms
    off=3.0,  # phones and laptops are that far apart
    source="MobileNetV2 in onnxruntime-web on a laptop",
)


class Browser(Target):
    """Its address is the folder that a web server offers; the pages there look after themselves."""

    title: ClassVar = "Browser"
    formats: ClassVar = ("tflite", "onnx")
    facts: ClassVar = Facts(
        ram_bytes=1 << 30,  # what a tab may take on a phone; WebAssembly itself ends at 4 GiB
        flash_bytes=1 << 30,  # of its cache
        cores=1,
        cpu="wasm32 with SIMD",
        rates=RATES,
    )

    def check_address(self, address: str) -> str:
        if "://" in address:
            raise DeviceError(
                f"{address!r} is not the address of a {self.title}.",
                "Give the folder that your web server offers.",
            )
        folder = check_folder(address)
        with storing(folder):
            check_replaceable(folder)
        return str(folder)

    def deploy(self, package: Path, place: Place, job: Job) -> Deployment:
        """Replace the bundle in the folder.

        The difference of the golden outputs is not a number: every page that opens finds out by
        itself, and refuses the model when it is too large.
        """
        folder = folder_at(place.address)
        bundle(package, folder, key_in(place), place.trusted, USUAL, job)
        return Deployment(folder.as_uri(), verify(package, place.trusted).version, math.nan)

    def status(self, place: Place) -> Status:
        try:
            folder = folder_at(place.address)
            index = read_index(folder)
        except (DeviceError, OSError):
            return Status("unreachable")
        if index is None:
            return Status("empty", pending=0)
        return Status("ready", folder.as_uri(), index["model"], index["version"], pending=0)

    def stop(self, place: Place) -> None:
        """Nothing runs there: whoever serves the folder is stopped where it was started."""

    def flush(self, place: Place) -> int:
        """Pages send by themselves, once a minute and when they are left: none wait here."""
        return 0


def key_in(place: Place) -> SigningKey:
    """The key that signs what is put there."""
    if place.keys is None:
        raise DeviceError(
            f"There is no key to sign the bundle for {place.name} with.",
            "Deploy it from a workspace, which has one.",
        )
    return signing_key(place.keys / KEY_FILE)
