"""A small program that speaks the language of a driven verb, for tests of the window.

A member like the real one: run as a child, it prints events and a result, and obeys `cancel`.
Verbs under "Behaviour" misbehave in the ways a real child can.
"""

import json
import os
import sys
import time
from typing import Any


def say(data: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(data) + "\n")
    sys.stdout.flush()


ACCURACY = {"value": 0.972, "low": 0.955, "high": 0.983}
NAMES = (
    ("datasets", "digits"), ("models", "digits-cnn"), ("models", "m" * 80),
    ("artifacts", "digits-cnn.onnx"), ("packages", "digits-sim"), ("devices", "porch"),
)  # fmt: skip
ITEMS = [
    {"kind": kind, "name": name, "summary": "made", "created": f"2026-11-20T10:0{minute}:00"}
    for minute, (kind, name) in enumerate(NAMES)
]
DEVICE = {
    "name": "porch", "target": "simulator", "address": "/tmp/porch", "state": "ready",
    "url": "http://127.0.0.1:9000", "model": "digits", "version": "1",
    "samples": 1200, "pending": 3,
}  # fmt: skip


def drift(device: str, feature: str, test: str, score: float) -> dict[str, Any]:
    return {
        "device": device, "feature": feature, "test": test, "score": score, "threshold": 0.2,
        "alarm": score > 0.2, "samples": 600,
    }  # fmt: skip


def result_of(verb: str, words: list[str]) -> dict[str, Any]:
    named = words[words.index("--name") + 1] if "--name" in words else words[0] if words else ""
    match verb:
        case "list":
            return {"items": [{**item, "digest": "ab" * 32} for item in ITEMS]}
        case "show":
            kind, _, name = words[0].partition("/")
            made = {"depth": 0, "kind": kind, "name": name, "verb": "train", "digest": "ab" * 32}
            return {"kind": kind, "name": name, "facts": {"size_bytes": 25312}, "lineage": [made]}
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
            step = {"name": "quantize_int8", "summary": "int8", "changed": True}
            sizes = {"size_before": 160_000, "size_after": 50_000}
            return {
                "name": named, "source": words[0], "steps": [{**step, **sizes}],
                "before": ACCURACY, "after": ACCURACY, **sizes,
            }  # fmt: skip
        case "build":
            return {
                "artifacts": [
                    {"name": f"{words[0]}.onnx", "format": "onnx", "size_bytes": 50_000,
                     "max_difference": 0.4, "label_agreement": 0.5, "passed": False}
                ]
            }  # fmt: skip
        case "device" if words[0] == "list":
            return {"devices": [DEVICE]}
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
    held = verb not in ("watch", "build")
    say({"result": {"ok": held, "next": [], **result_of(verb, rest)}})
    return 0 if held else 3


if __name__ == "__main__":
    raise SystemExit(main())
