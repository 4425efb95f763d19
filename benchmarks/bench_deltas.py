"""What an update costs to send: a delta of ours against tools that know nothing of tensors.

    python benchmarks/bench_deltas.py [--channels 32] [--epochs 8]

A network is trained on two thirds of its items; then its last layer alone, or all of it, is
trained on with all of them, a little or a lot; or another is trained from the beginning. Each is
packed as a device gets it: model, golden answers, reference profile, manifest, signature.
"""

import argparse
import hashlib
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import bsdiff4
import numpy as np
import torch
import zstandard

from benchmarks.common import accuracy, trained, untrained
from edge_targets.package import SigningKey
from edge_targets.runtime.events import QUIET
from edge_targets.updates import delta, patch
from toolkit.data import Dataset
from toolkit.data.sources.digits import Digits
from toolkit.formats import formats
from toolkit.model import Model
from toolkit.networks.resnet8 import Resnet8
from toolkit.onnx_graph import graph_of
from toolkit.packaging import Contents, write_package
from toolkit.passes.quantize_int8 import QuantizeInt8
from toolkit.training import Settings, fit

KEY = SigningKey.from_seed(bytes(32))
RATES = (1e-5, 3e-5, 1e-4, 1e-3)  # learning rates of two more epochs: the usual one is the last
ROUNDS = 3  # of applying; the best counts


def versions(channels: int, epochs: int) -> Mapping[str, Model]:
    data = Digits(noise=2).dataset("digits", "digits", None, QUIET)
    part = np.random.default_rng(0).random(len(data.inputs)) < 2 / 3
    kept = part | (data.split != 0)
    some = replace(
        data, inputs=data.inputs[kept], targets=data.targets[kept], split=data.split[kept]
    )
    first = trained(Resnet8(channels=channels), some, epochs=epochs, seed=0)
    known = first.with_data(data)

    def retrained(rate: float) -> Model:
        return fit(known, Settings(epochs=2, patience=2, learning_rate=rate, seed=1), QUIET).model

    made = {
        "first": known,
        "last layer fine-tuned": last_layer(known, data),
        **{f"retrained at {rate:g}": retrained(rate) for rate in RATES},
        "another from the beginning": fit(
            untrained(Resnet8(channels=channels), data), Settings(epochs=epochs, seed=7), QUIET
        ).model,
    }
    for name, model in made.items():
        told = f"accuracy {accuracy(model, data):.4f}, weights moved by {moved(known, model):.2%}"
        print(f"{name}: {model.parameters:,} parameters, {told}")
    return made


def moved(old: Model, new: Model) -> float:
    """Of the weights' spread: the root of the mean square, over all layers."""
    names = [name for name, value in old.weights.items() if value.ndim > 1]
    parts = [(new.weights[n] - old.weights[n]) / old.weights[n].std() for n in names]
    return float(np.sqrt(np.mean(np.concatenate([part.ravel() for part in parts]) ** 2)))


def last_layer(model: Model, data: Dataset) -> Model:
    """The last fully connected layer trained on, everything before it as it is."""
    module = model.module().eval()
    layers = [one for one in module.modules() if isinstance(one, torch.nn.Linear)]
    for parameter in module.parameters():
        parameter.requires_grad_(False)
    for parameter in layers[-1].parameters():
        parameter.requires_grad_(True)
    inputs, targets = (torch.from_numpy(part) for part in data.part("train"))
    optimiser = torch.optim.Adam(layers[-1].parameters(), 1e-3)
    for _ in range(40):
        optimiser.zero_grad()
        torch.nn.functional.cross_entropy(module(inputs), targets).backward()  # type: ignore[no-untyped-call]
        optimiser.step()
    state = {name: value.detach().numpy() for name, value in module.state_dict().items()}
    return model.with_weights({name: state[name] for name in model.weights})


def files(model: Model, form: str, int8: bool, folder: Path, name: str) -> tuple[Path, Path]:
    """The model's file, and the package of it."""
    graph = model.with_graph(graph_of(model, QUIET))
    if int8:
        graph = QuantizeInt8().apply(graph, QUIET)
    data = model.need_data("The benchmark")
    samples = {graph.signature.inputs[0].name: data.part("validation")[0][:50]}
    assert graph.graph is not None
    written = formats[form]().build(graph.graph, graph.signature, QUIET, samples)
    bare = folder / f"{name}{formats[form].suffix}"
    bare.write_bytes(written.data)
    contents = Contents(
        "digits", form, written.data, graph.signature, "simulator", int8, "0" * 64, "# digits"
    )
    write_package(contents, data, KEY, folder / f"{name}.sndl", QUIET)
    return bare, folder / f"{name}.sndl"


def ours(old: Path, new: Path, folder: Path) -> tuple[int, str]:
    began = time.perf_counter()
    made = delta.make(old, new, folder / "delta", QUIET)
    took = time.perf_counter() - began
    digest = hashlib.sha256(new.read_bytes()).hexdigest()
    best = min(applied(old, new, folder, digest) for _ in range(ROUNDS))
    ways = ", ".join(f"{way} {size:,}" for way, size in made.ways.items() if size)
    return made.size, f"made in {took:.2f} s, applied in {best * 1e3:.0f} ms; {ways}"


def applied(old: Path, new: Path, folder: Path, digest: str) -> float:
    began = time.perf_counter()
    with old.open("rb") as base:
        size = new.stat().st_size
        patch.apply(folder / "delta", patch.FileBase(base), folder / "out", size, digest)
    assert (folder / "out").read_bytes() == new.read_bytes()
    return time.perf_counter() - began


def whole(old: Path, new: Path) -> int:
    return len(zstandard.ZstdCompressor(level=19).compress(new.read_bytes()))


def bsdiff(old: Path, new: Path) -> int:
    return len(bsdiff4.diff(old.read_bytes(), new.read_bytes()))


def zstd(old: Path, new: Path) -> int:
    words = ["zstd", "-q", "-f", "-19", "--ultra", "--long=27", f"--patch-from={old}", str(new)]
    # at this level it gives advice on standard error
    subprocess.run([*words, "-o", f"{new}.zst"], check=True, stderr=subprocess.DEVNULL)
    return Path(f"{new}.zst").stat().st_size


def xdelta(old: Path, new: Path) -> int:
    words = ["xdelta3", "-9", "-e", "-f", "-s", str(old), str(new), f"{new}.xdelta"]
    subprocess.run(words, check=True)
    return Path(f"{new}.xdelta").stat().st_size


PEERS: dict[str, Callable[[Path, Path], int]] = {"zstd -19, whole": whole, "bsdiff4": bsdiff}
if shutil.which("zstd"):
    PEERS["zstd --patch-from"] = zstd
if shutil.which("xdelta3"):
    PEERS["xdelta3"] = xdelta


def table(pairs: Mapping[tuple[str, str], tuple[Path, Path]], title: str, folder: Path) -> None:
    print(f"\n{title}; shares of the new file\n")
    print(f"| file | change | bytes | ours | {' | '.join(PEERS)} | |")
    print("|---|---|" + "---|" * (len(PEERS) + 3))
    for (form, change), (old, new) in pairs.items():
        size = new.stat().st_size
        found, told = ours(old, new, folder)
        others = " | ".join(f"{peer(old, new) / size:.2%}" for peer in PEERS.values())
        print(f"| {form} | {change} | {size:,} | **{found / size:.2%}** | {others} | {told} |")


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--channels", type=int, default=32)
    parser.add_argument("--epochs", type=int, default=8)
    options = parser.parse_args()
    made = versions(options.channels, options.epochs)
    packages, bare = {}, {}
    with tempfile.TemporaryDirectory() as scratch:
        for form, int8 in (("onnx", False), ("onnx", True), ("tflite", True)):
            title = f"{form} {'int8' if int8 else 'fp32'}"
            folder = Path(scratch) / title.replace(" ", "-")
            folder.mkdir()
            stored = {
                name: files(model, form, int8, folder, str(number))
                for number, (name, model) in enumerate(made.items())
            }
            for name in list(made)[1:]:
                bare[title, name] = (stored["first"][0], stored[name][0])
                packages[title, name] = (stored["first"][1], stored[name][1])
        table(packages, "Packages", Path(scratch))
        table(bare, "Models alone", Path(scratch))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
