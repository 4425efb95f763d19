"""Figures of the browser bundle, in Chromium, beside what others' pages need.

    python benchmarks/bench_browser.py [--rounds 5] [--only PART]

One small CNN (48 × 48 colour, 355 KB) as our bundle with LiteRT.js and with ONNX Runtime, with and
without Python; as a stock page of Pyodide and ONNX Runtime; and in TensorFlow.js with the same
weights. Latency is processor time against native ONNX Runtime on one thread, in turn and in one
run, so that a busy machine slows all alike. Starts are wall time on a fresh profile, the best of
the rounds: they say little while others use the machine, and so processor time stands beside them.
"""

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.console import Console

from benchmarks import browser_peers as peers
from benchmarks.browser_clocks import Processes, SlowLink
from benchmarks.browser_places import (
    ANSWER,
    LITE,
    LITERT,
    NAME,
    ORT,
    OURS,
    STOCK,
    TFJS,
    TIME,
    WAIT,
    Figures,
    Places,
)
from benchmarks.browser_subject import KEY, Subject, made
from edge_targets.bundling import WEB, bundle
from toolkit import doctor

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext, Page, Playwright

MB = 1e6
RUNS = 300  # of the engine in a round
STORE_S = 4  # after which a page has stored what it stores
SETTLE_S = 40  # after which the browser has given back what that took


class Bench:
    def __init__(self, playwright: "Playwright", work: Path, rounds: int) -> None:
        self.work, self.rounds = work, rounds
        self.figures = Figures()
        self.subject: Subject = made(work)
        self.pages: dict[str, Path] = {}
        self.places = Places(playwright, self.pages)

    # sizes

    def sizes(self) -> None:
        """Make every page; bytes on the wire, compressed with brotli."""
        for name, (form, options) in OURS.items():
            folder = self.work / name.replace(", ", "-").replace(" ", "-")
            done = bundle(self.subject.packages[form], folder, KEY, [KEY.public], options)
            sent = sum(n for part, n in done.sent.items() if part != "other engines") / MB
            self.pages[name] = folder
            told = ", ".join(f"{part} {n / MB:.2f}" for part, n in done.sent.items())
            print(f"{name}: {told} MB")
            (folder / "items.bin").write_bytes(self.subject.items.astype("<f4").tobytes())
            if form == "onnx":
                self.figures.add(f"{name}, brotli", "", f"{sent:.2f} MB")
            else:
                limit = 2.3 if options.lite else 6.2
                self.figures.at_most(f"{name}, brotli", limit, sent, "{:.2f} MB")
        page = peers.stock(self.subject, self.work / "stock")
        self.pages[STOCK] = page.folder
        self.figures.add(f"{STOCK}, brotli", "", f"{page.sent_bytes / MB:.2f} MB")
        if not (modules := peers.installed()):
            self.figures.add(
                "TensorFlow.js, transformers.js", "", "not installed: see benchmarks/peers"
            )
            return
        other = peers.tfjs(self.subject, modules, self.work / "tfjs")
        self.pages[TFJS] = other.folder
        self.figures.add(f"{TFJS}, no Python, brotli", "", f"{other.sent_bytes / MB:.2f} MB")
        runtime = peers.transformers_bytes(modules, self.work / "transformers")
        self.figures.add("transformers.js, runtime alone, brotli", "", f"{runtime / MB:.2f} MB")

    # starts

    def starts(self) -> None:
        """From the navigation to the first answers; the best of the rounds, cold and again."""
        limits = {("cold", "first"): 0.6, ("cold", "python"): 2.0, ("again", "python"): 1.0}
        for name in (LITERT, STOCK):
            found = [self.start(name) for _ in range(self.rounds)]
            for visit, what in (*limits, ("again", "first")):
                least = min(round_[visit][what] for round_ in found)
                cpu = min(round_[visit]["cpu"] for round_ in found)
                told = f"{least:.2f} s ({cpu:.1f} s of processors for all of it)"
                answer = "first answer" if what == "first" else "first answer named by Python"
                limit = limits.get((visit, what)) if name != STOCK else None
                asked, good = (f"≤ {limit} s", least <= limit) if limit else ("", None)
                self.figures.add(f"{name}: {answer}, {visit}", asked, told, good)
        for name in (LITERT, STOCK, TFJS):
            if name in self.pages:
                least = min(self.start(name, slow=True)["cold"]["first"] for _ in range(2))
                asked, good = ("≤ 3 s", least <= 3) if name == LITERT else ("", None)
                what = f"{name}: first answer, cold, 10 Mbit/s, 40 ms"
                self.figures.add(what, asked, f"{least:.2f} s", good)

    def start(self, name: str, slow: bool = False) -> Mapping[str, Mapping[str, float]]:
        """One cold visit; on the fast link also one after the browser was closed and opened."""
        visits: dict[str, dict[str, float]] = {}
        with ExitStack() as stack:
            profile = stack.enter_context(tempfile.TemporaryDirectory(ignore_cleanup_errors=True))
            address = stack.enter_context(self.places.served(name))
            if slow:
                port = int(address.rstrip("/").rpartition(":")[2])
                address = f"http://127.0.0.1:{stack.enter_context(SlowLink(port).open())}/"
            for visit in ("cold",) if slow else ("cold", "again"):
                with self.places.chromium(Path(profile)) as (context, processes):
                    visits[visit] = self.visit(context, processes, address, slow)
        return visits

    def visit(
        self, context: "BrowserContext", processes: Processes, address: str, slow: bool
    ) -> dict[str, float]:
        page = context.pages[0]
        time.sleep(1)  # the browser's own start is none of the page's
        before = processes.cpu_s()
        page.goto(address, wait_until="commit")
        found = {"first": page.evaluate(WAIT, "first") / 1e3}
        if slow:
            return found
        found["python"] = page.evaluate(WAIT, "python") / 1e3
        found["cpu"] = processes.cpu_s() - before
        time.sleep(STORE_S)
        return found

    # latency

    def latency(self) -> None:
        """Processor time of an inference against native ONNX Runtime, in turn, in one run."""
        names = [name for name in (LITERT, ORT, STOCK, TFJS) if name in self.pages]
        native, found = self.native(), {name: list[float]() for name in names}
        with ExitStack() as stack:
            context, processes = stack.enter_context(self.places.chromium())
            pages = {name: self.places.opened(stack, context, name) for name in names}
            for name in names:
                pages[name].evaluate(TIME, 20)
            for _ in range(self.rounds):
                here = native()
                for name, page in pages.items():
                    found[name].append(self.worker_ms(processes, page, TIME, RUNS) / RUNS / here)
            self.figures.add(
                "native ONNX Runtime, float32, one thread", "", f"{here:.3f} ms of a processor"
            )
        for name in names:
            middle = statistics.median(found[name])
            what = f"latency, {name}, against native"
            if name == LITERT:
                self.figures.at_most(what, 2.6, middle, "{:.2f}×")
            else:
                self.figures.add(what, "", f"{middle:.2f}×")

    def native(self) -> Callable[[], float]:
        """Gives a function that times native ONNX Runtime: ms of a processor an inference."""
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        session = onnxruntime.InferenceSession(self.subject.files["onnx"], options)
        feed = {self.subject.signature.inputs[0].name: self.subject.items[:1]}

        def timed() -> float:
            for _ in range(10):
                session.run(None, feed)
            start = time.thread_time()
            for _ in range(RUNS):
                session.run(None, feed)
            return (time.thread_time() - start) / RUNS * 1e3

        return timed

    def worker_ms(self, processes: Processes, page: "Page", script: str, words: Any) -> float:
        """Processor time of the worker that a script in the page keeps busiest."""
        page.bring_to_front()  # a browser spends less on pages that nobody sees
        before = processes.workers_ms()
        page.evaluate(script, words)
        after = processes.workers_ms()
        return max(after[thread] - before.get(thread, 0) for thread in after)

    def naming(self) -> None:
        """What Python costs an inference: with it, less the same without, in turn and often."""
        [spec] = self.subject.signature.inputs
        words = {"name": spec.name, "shape": [1, *spec.shape[1:]]}
        found: dict[str, list[float]] = {"named": [], "named and counted": []}
        with ExitStack() as stack:
            context, processes = stack.enter_context(self.places.chromium())
            full = self.places.opened(stack, context, LITERT)
            lite = self.places.opened(stack, context, LITE)
            for share, values in zip((False, True), found.values(), strict=True):
                for round_ in range(3 * self.rounds + 1):
                    given = {**words, "runs": RUNS, "share": share}
                    with_python = self.worker_ms(processes, full, NAME, given)
                    without = self.worker_ms(processes, lite, NAME, {**given, "share": False})
                    if round_:  # the first still compiles
                        values.append((with_python - without) / RUNS)
        for what, values in found.items():
            told = f"Python layer an inference, {what}"
            self.figures.at_most(told, 0.05, statistics.median(values), "{:.3f} ms")

    def differences(self) -> None:
        """Of every test item's answer to the engine of the same format on this machine."""
        [spec] = self.subject.signature.inputs
        words = {"name": spec.name, "shape": self.subject.items.shape}
        for name, form in ((LITERT, "tflite"), (ORT, "onnx")):
            with ExitStack() as stack:
                context, _ = stack.enter_context(self.places.chromium())
                found = self.places.opened(stack, context, name).evaluate(ANSWER, words)
            [output] = found["outputs"].values()
            expected = self.subject.outputs[form]
            shares = np.array(output["data"]).reshape(output["shape"])
            labels = self.subject.signature.labels
            same = [a["label"] for a in found["answers"]] == [labels[i] for i in expected.argmax(1)]
            off = float(np.abs(shares - expected).max())
            told = (
                f"{off:.1e}, {'same labels' if same else 'OTHER LABELS'} on {len(expected)} items"
            )
            self.figures.add(
                f"{name}: difference to the desktop", "≤ 1e-6", told, same and off <= 1e-6
            )

    # memory

    def memory(self) -> None:
        """Of the page's process once it has settled, and of all processes beyond an empty tab's."""
        limits = {LITERT: 260, LITE: 190}
        for name in (*limits, ORT, STOCK, TFJS):
            if name not in self.pages:
                continue
            with ExitStack() as stack:
                context, processes = stack.enter_context(self.places.chromium())
                time.sleep(1)
                empty = processes.pss_mb(tab=False)
                self.places.opened(stack, context, name)
                most = 0.0
                for _ in range(SETTLE_S):
                    time.sleep(1)
                    most = max(most, processes.pss_mb(tab=True))
                tab = processes.pss_mb(tab=True)
                told = (
                    f"{tab:.0f} MB, at most {most:.0f} "
                    f"({processes.pss_mb(tab=False) - empty:.0f} with all processes)"
                )
            limit = limits.get(name)
            asked, good = (f"≤ {limit} MB", tab <= limit) if limit else ("", None)
            self.figures.add(f"memory of the tab (PSS), {name}", asked, told, good)


PARTS = {
    "starts": (Bench.starts,),
    "latency": (Bench.latency, Bench.naming, Bench.differences),
    "memory": (Bench.memory,),
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", choices=["sizes", *PARTS])
    given = parser.parse_args()
    if why := missing():
        print(f"skipped: {why}")
        return 0
    from playwright.sync_api import sync_playwright

    with tempfile.TemporaryDirectory() as work, sync_playwright() as playwright:
        bench = Bench(playwright, Path(work), given.rounds)
        bench.sizes()
        for part, steps in PARTS.items():
            if given.only in (None, part):
                for step in steps:
                    step(bench)
    load = os.getloadavg()[0]
    print(f"{os.cpu_count()} processors, load {load:.1f}, Chromium; taken {time.strftime('%F')}")
    Console(width=120).print(bench.figures.table())
    return 0


def missing() -> str:
    if not doctor.chromium():
        return "there is no Chromium on this machine"
    if not (WEB / "parts.json").is_file():
        return "the browser files are not built: make web"
    return "" if find_spec("playwright") else "Playwright is not installed"


if __name__ == "__main__":
    sys.exit(main())
