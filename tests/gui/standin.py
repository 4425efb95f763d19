"""A small program that speaks the language of a driven verb, for tests of the window.

A member like the real one: run as a child, it prints events and a result, and obeys `cancel`.
Verbs under "Behaviour" misbehave in the ways a real child can.
"""

import json
import os
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))  # a child finds its neighbours, too

from tests.gui import model_answers as models
from toolkit import results as r
from toolkit.report import Interval, plain


def say(data: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(data) + "\n")
    sys.stdout.flush()


HELD = Interval(0.972, 0.955, 0.983)
DROPPED = Interval(0.966, 0.948, 0.979)
VERDICT = r.Verdict(
    "accuracy", HELD, DROPPED, 0.0056, 0.0083, 0.01, 0.95, 359, None, True,
    "Loses 0.6 points, with 95 % confidence no more than 0.8; 1.0 was allowed.",
    (
        r.GroupDrop("class", "8", 35, 0.97, 0.94, 0.029, -0.02, True),
        r.GroupDrop("class", "1", 36, 1.0, 1.0, 0.0, 0.0, True),
    ),
)  # fmt: skip
REFUSED = replace(
    VERDICT, drop=0.031, bound=0.048, passed=False,
    reason="Class 8 surely loses 4.1 points; 1.0 was allowed.",
    groups=(
        r.GroupDrop("class", "8", 35, 0.97, 0.6, 0.371, 0.041, False), *VERDICT.groups[1:],
    ),
)  # fmt: skip
STEPS = (
    r.StepInfo(
        "prune_weights", "half of the weights are zero in 4 of 4 layers", False, 0.972,
        160_000, 160_000, 149_000, 88_000, 40_730, 40_730, 1_204_000, 1_204_000, 0.212, 0.211,
        "0 ms saved here, the zip is 41 % smaller; use prune_channels for speed.",
    ),
    r.StepInfo(
        "quantize_int8", "int8, 4 of 4 layers, calibrated with 256 items", True, 0.966,
        160_000, 50_000, 88_000, 31_000, 40_730, 40_730, 1_204_000, 1_204_000, 0.211, 0.094, "",
    ),
)  # fmt: skip
LAYERS = ("1.0", "1.3", "1.8", "a_very_long_layer_name/" + "block" * 20)
CHANGES = tuple(
    r.LayerChange(
        step.name, layer, "Conv", "int8 per channel" if step.changed else "half are zero",
        9_216, 9_216, 32, 8 if step.changed else 32, 0.5, 589_824, 589_824,
    )
    for step in STEPS
    for layer in LAYERS
)  # fmt: skip
DAMAGES = tuple(
    r.LayerDamage(
        layer, "Conv", damage, 3 * damage + 0.001, 38 - 300 * damage, 41 - 200 * damage,
        -0.8, 9.1 if damage > 0.1 else 0.7, 14.2 if damage > 0.1 else 1.3, 0.0, 16.0,
        damage / 0.13, "One weight is far out: per_channel, or percentile." * (damage > 0.1),
    )
    for layer, damage in zip(LAYERS[::-1], (0.118, 0.011, 0.003, 0.0), strict=True)
)  # fmt: skip
REPAIRS = (
    r.RepairStep(LAYERS[-1], "percentile", 0.93, 0.31, 50_100, False),
    r.RepairStep(LAYERS[-1], "int16", 0.969, 0.12, 58_400, True),
)


def candidate(trial: int) -> r.Candidate:
    """The more trials, the smaller and the worse."""
    size, drop = 160_000 // (trial + 1), 0.0015 * trial * trial
    return r.Candidate(
        trial, f"digits-cnn-s-{trial}", f"prune_channels ratio=0.{trial}, quantize_int8",
        ("onnx x1", "tflite x1")[trial % 2], size, 0.4 / (trial + 1), "estimated for cortex-a72",
        900_000 + size, drop, drop - 0.003, drop + 0.004, drop < 0.01 and size < 90_000,
        trial != 3,
    )  # fmt: skip


def compressed(name: str, words: list[str]) -> r.Compressed:
    gate = (VERDICT if "refused" not in name else REFUSED) if "--max-drop" in words else None
    return r.Compressed(
        name, words[0], not gate or gate.passed, HELD, DROPPED, 160_000, 50_000, STEPS, CHANGES,
        gate, "--strict" in words,
    )  # fmt: skip


def searched(words: list[str]) -> r.Searched:
    front = tuple(candidate(trial) for trial in (0, 1, 2, 4))
    impossible = "--max-ram" in words
    return r.Searched(
        "digits-cnn-s", 6, 1, 0, "" if impossible else "digits-cnn-s-2",
        "Not possible: the nearest is digits-cnn-s-4, 0.2 MB over the memory."
        if impossible else "The smallest that keeps to the budget.",
        "", None if impossible else VERDICT, "reports/digits-cnn-s.html", "", front,
    )  # fmt: skip


def diagnosed(words: list[str]) -> r.Diagnosed:
    asked = "--repair" in words
    made = r.Diagnosed(
        words[0], HELD, Interval(0.85, 0.81, 0.88), 160_000, 50_000,
        "Most of the loss is of one layer.", DAMAGES, repair=asked,
        gate=VERDICT if "--max-drop" in words else None,
        warnings=("Only 24 calibration items: 100 or more tell ranges well.",),
    )  # fmt: skip
    return made if not asked else replace(
        made, repairs=REPAIRS, mended=Interval(0.969, 0.951, 0.981), size_mended=58_400,
        repaired=words[words.index("--name") + 1], recovered=0.975,
    )  # fmt: skip


CERTIFICATE = {
    "created": "2026-11-20T10:05:00", "ok": True, "reference": "torch",
    "places": ["torch: reference", "litert: agrees"],
}  # fmt: skip
ACCURACY = {"value": 0.972, "low": 0.955, "high": 0.983}
NAMES = (
    ("datasets", "digits"), ("models", "digits-cnn"), ("models", "m" * 80),
    ("artifacts", "digits-cnn.onnx"), ("packages", "digits-sim"), ("devices", "porch"),
    ("datasets", "street"), ("packages", "digits-web"),
)  # fmt: skip
ITEMS = [
    {"kind": kind, "name": name, "summary": "made", "created": f"2026-11-20T10:0{minute}:00"}
    for minute, (kind, name) in enumerate(NAMES)
]
DEVICE = {
    "name": "porch", "target": "simulator", "address": "/tmp/porch", "state": "ready",
    "url": "http://127.0.0.1:9000", "model": "digits", "version": "1",
    "samples": 1200, "pending": 3, "temperature_c": 61.3, "probation_s": None,
}  # fmt: skip
DISKS = (
    {"name": "sdb", "path": "/dev/sdb", "size_bytes": 31_914_983_424, "model": "Generic SD/MMC",
     "holds": ["sdb1: 0.5 GB bootfs", "sdb2: 5.1 GB rootfs"], "refused": ""},
    {"name": "sdc", "path": "/dev/sdc", "size_bytes": 64_000_000_000, "model": "Stick",
     "holds": ["sdc1: 64.0 GB photos"], "refused": "/dev/sdc is in use: it is mounted."},
)  # fmt: skip
SERVED = (
    {"name": "digits", "version": "1", "format": "tflite", "previous": "0", "probation_s": None},
    {"name": "street", "version": "7", "format": "onnx", "previous": "", "probation_s": 41.5},
)  # fmt: skip
STATUS = {
    **DEVICE, "throttled": ["under-voltage"], "memory_available_bytes": 312_000_000,
    "disk_free_bytes": 4_100_000_000, "last_update": "street 7 is on probation", "reason": "",
    "models": SERVED,
}  # fmt: skip


BUNDLED = r.Bundled(
    "/home/ada/work/site", 61, 32_900_000, 6_061_000, (
        r.BundlePart("Python", 5, 12_400_000, 3_890_000),
        r.BundlePart("engine", 3, 9_640_000, 1_990_000),
        r.BundlePart("other engines", 1, 9_120_000, 1_850_000),
        r.BundlePart("model", 6, 402_000, 98_000),
        r.BundlePart("page", 12, 171_000, 83_000),
    ),
)  # fmt: skip


def digest(name: str) -> str:
    return name.encode().hex()[:64].ljust(64, "0")


def drift(device: str, feature: str, test: str, score: float) -> dict[str, Any]:
    return {
        "device": device, "feature": feature, "test": test, "score": score, "threshold": 0.2,
        "alarm": score > 0.2, "samples": 600,
    }  # fmt: skip


def device(words: list[str]) -> dict[str, Any]:
    match words[0]:
        case "list":
            return {"devices": [DEVICE]}
        case "status":
            return {**STATUS, "name": words[1]}
        case "logs":
            return {"device": words[1], "lines": ["INFO slot a: digits 1 is active"] * 40}
        case "bench":
            return {"package": words[2], "p50_ms": 1.9, "p90_ms": 2.4, "threads": 1, "runs": 200}
        case "add":
            # a password comes in the environment, where no list of processes shows it
            return {"name": words[1], "reason": os.environ.get("SANDERLING_PASSWORD", "")}
    return {"name": words[1]}


def result_of(verb: str, words: list[str]) -> dict[str, Any]:
    named = words[words.index("--name") + 1] if "--name" in words else words[0] if words else ""
    match verb:
        case "list":
            return {"items": [{**item, "digest": digest(item["name"])} for item in ITEMS]}
        case "show":
            kind, _, name = words[0].partition("/")
            made = {"depth": 0, "kind": kind, "name": name, "verb": "train"}
            made["digest"] = digest(name)
            data = {**made, "depth": 1, "kind": "datasets", "name": "street", "verb": "add"}
            facts: dict[str, Any] = {"size_bytes": 25312}
            if kind == "packages":
                facts["target"] = "browser" if name == "digits-web" else "simulator"
            if kind == "models" and name == "digits-cnn":
                facts["certificate"] = CERTIFICATE
            if kind == "artifacts":
                facts |= {
                    "parity": {"passed": True, "max_difference": 1e-7},
                    "checks": [],
                    "size_bytes": None,
                }
            return {"kind": kind, "name": name, "facts": facts, "lineage": [made, data]}
        case "data":
            return {
                "name": named, "source": "digits", "rows": 1797, "task": "classification",
                "inputs": [{"name": "image", "shape": [-1, 1, 8, 8], "dtype": "float32"}],
                "labels": list("0123456789"), "columns": [],
                "split": {"train": 1079, "validation": 359, "test": 359},
            }  # fmt: skip
        case "train":
            return {
                "name": named, "network": "small_cnn", "data": "digits", "epochs": 3,
                "parameters": 40730, "metric": "accuracy", "validation": ACCURACY,
                "test": ACCURACY,
            }  # fmt: skip
        case "compress":
            return dict(plain(compressed(named, words)))
        case "search":
            for trial in range(5):
                found = plain(candidate(trial))
                say({"message": f"trial {trial}", "done": trial, "total": 6,
                     "facts": {"candidate": found, "best": "digits-cnn-s-2"}})  # fmt: skip
                time.sleep(float(os.environ.get("STANDIN_PAUSE", "0")))
            return dict(plain(searched(words)))
        case "diagnose":
            return dict(plain(diagnosed(words)))
        case "inspect":
            return models.inspected(words)
        case "import":
            return models.imported(words)
        case "diff":
            return models.compared(words)
        case "verify":
            return models.certificate(words)
        case "build":
            return models.built(words)
        case "device":
            return device(words)
        case "bundle":
            return dict(plain(BUNDLED))
        case "rollback":
            return {"device": words[0], "model": "digits", "version": "0"}
        case "disks":
            return {"disks": DISKS}
        case "flash":
            told = {"path": words[1], "bytes_written": 2_800_000_000, "checked": "file"}
            return told | {"system": "bookworm", "device": words[words.index("--device") + 1]}
        case "watch":
            rows = [
                drift("porch", "image.mean", "psi", 0.31), drift("porch", "top", "psi", 0.01),
                drift("yard", "image.mean", "psi", 0.02), drift("fleet", "top", "psi", 0.01),
            ]  # fmt: skip
            return {"model": words[0], "alarm": True, "rows": rows}
    return {"name": named}


def run_until_told() -> int:
    say({"message": "listening at http://127.0.0.1:7733/", "done": 0, "total": 0})
    while (line := sys.stdin.readline()) and line.strip() != "cancel":
        pass
    say({"error": {"kind": "cancelled", "message": "Stopped.", "hint": ""}})
    return 130


def main() -> int:
    words = [word for word in sys.argv[1:] if word != "--driven"]
    if "--workspace" in words:
        at = words.index("--workspace")
        del words[at : at + 2]
    verb, *rest = words
    match verb:  # Behaviour
        case "fail":
            say({"error": {"kind": "data", "message": "It is torn.", "hint": "Mend it."}})
            return 1
        case "crash":
            os.abort()
        case "stubborn":
            say({"message": "busy", "done": 0, "total": 0})
            time.sleep(60)
        case "mute":
            return 2
        case "garbage":
            sys.stdout.buffer.write(b'not JSON\n{"half": \n[1, 2]\nnull\n"word"\n')
            sys.stdout.buffer.write(b"\xff\xfe\n" + b'{"message": 3}\n{"result": 7}\n')
            sys.stdout.buffer.write(b'{"message": "after all", "done": 1, "total": 2}\n')
            sys.stdout.buffer.write(b'{"result": {"ok": true}}')  # and no line end
            sys.stdout.flush()
            return 0
        case "gate":
            say({"result": {"ok": False}})
            return 3
        case "wait" | "collect" | "serve":
            return run_until_told()
    for done in range(3):
        say({"message": f"step {done}", "done": done, "total": 2})
    if verb in ("inspect", "import") and (problem := models.refused(rest)):
        say({"error": {"kind": "data", **problem}})
        return 1
    found = {"ok": verb != "watch", "next": [], **result_of(verb, rest)}
    say({"result": found})
    held = found["ok"]
    return 0 if held else 3


if __name__ == "__main__":
    raise SystemExit(main())
