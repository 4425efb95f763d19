"""What the stand-in program says of models and files: the real result classes, filled by hand."""

from pathlib import Path
from typing import Any

from toolkit import results as r
from toolkit.report import Check, plain

LONG = "block" * 40  # 200 letters
IMAGE = r.InputInfo("image", (-1, 1, 8, 8), "float32", "0-16", "ink")
CLASSES = r.InputInfo("probabilities", (-1, 10), "float32", "", "")


def node(op: str, name: str, reads: tuple[str, ...], *, weights: int = 0) -> r.NodeInfo:
    stored = (f"{name}.weight 16×1×3×3 float32",) if weights else ()
    return r.NodeInfo(
        name, op, reads, (f"{name}:0",), "batch×16×8×8", "float32", {"strides": "1, 1"}, stored,
        weights, 64 * weights, 32 if weights else 0, 4 * weights,
    )  # fmt: skip


NODES = (
    node("Conv", "stem", ("image",), weights=160),
    node("Relu", "act", ("stem:0",)),
    node("QuantizeLinear", "codes", ("act:0",)),
    node("DequantizeLinear", "real", ("codes:0",)),
    node("Conv", LONG, ("real:0",), weights=2320),
    node("Add", "add", ("act:0", f"{LONG}:0")),
    node("Gemm", "head", ("add:0",), weights=640),
    r.NodeInfo(
        "probs", "Softmax", ("head:0",), ("probabilities",), "batch×10", "float32", {}, (), 0, 0,
        0, 0,
    ),
)  # fmt: skip
FITS = (
    r.Fit("onnx", True),
    r.Fit("tflite", False, "TFLite has nothing for Celu (node act).", "Use Relu instead."),
)


def inspected(words: list[str]) -> dict[str, Any]:
    subject = words[0]
    nodes = NODES if "--graph" in words else ()
    inputs = (IMAGE,) if "free" not in subject else (r.InputInfo("x", (-1, 3, -1, -1), "", "", ""),)
    ops = {"Conv": 2, "Relu": 1, "Add": 1}
    return dict(plain(r.Inspected(
        subject, "onnx", 163_563, 40_397, 12_501_632, 20, "NCHW", inputs, (CLASSES,),
        tuple("0123456789"), ops, {}, ("Its batch of 1 was made free.",), FITS, nodes,
    )))  # fmt: skip


def refused(words: list[str]) -> dict[str, str] | None:
    """Why a file cannot be read as it is described; None where it can be."""
    name = Path(words[0]).name
    if name.startswith("torn"):
        return {"message": f"{name} is not a model file.", "hint": "Export it to ONNX."}
    if name.endswith(".pkl") and "--trust" not in words:
        return {"message": f"{name} is a pickle.", "hint": "If you made it, say so with --trust."}
    if name.endswith(".pth") and "--network" not in words:
        return {"message": f"{name} holds weights alone.", "hint": "Name one with --network."}
    if name.endswith(".pt") and "--shape" not in words:
        return {"message": "Its sizes are free.", "hint": "Say them: --shape input=1,3,32,32."}
    return None


def imported(words: list[str]) -> dict[str, Any]:
    name = words[words.index("--name") + 1]
    return dict(plain(r.Imported(
        name, "onnx", 40_397, 20, "NCHW", (IMAGE,), (CLASSES,), (), {"Conv": 2}, {}, (),
    )))  # fmt: skip


def compared(words: list[str]) -> dict[str, Any]:
    data = "--data" in words
    error = 0.0119 if data else None
    layers = (
        r.LayerPair("stem", "stem", "Conv", "name", "16×1×3×3", "16×1×3×3", 32, 32, 0.0,
                    0.0 if data else None),
        r.LayerPair(LONG, "node_51", "Conv", "weights", "16×16×3×3", "12×16×3×3", 32, 8, None,
                    error),
        r.LayerPair("head", "", "Gemm", "", "10×64", "", 32, 0, None, None),
    )  # fmt: skip
    return dict(plain(r.Compared(
        r.Side(words[0], "onnx", 163_563, 150_976, 40_397, 12_501_632),
        r.Side(words[1], "tflite", 48_186, 43_454, 40_397, 616_064),
        ("format", "bits of 1 layer"),
        (r.OperatorCount("Conv", 2, 2), r.OperatorCount("QuantizeLinear", 0, 1)),
        layers,
        (r.OutputGap("probabilities", 0.0251, 0.0251),) if data else (),
        0.994 if data else None, 1000 if data else 0, LONG if data else "",
        () if data else ("Answers are not compared: no data.",),
    )))  # fmt: skip


def built(words: list[str]) -> dict[str, Any]:
    """The first format passes unless none is named: then one file fails."""
    formats = [words[i + 1] for i, word in enumerate(words) if word == "--format"]
    made = tuple(
        r.ArtifactInfo(
            f"{words[0]}.{name}", name, 50_000, "ab" * 32, 0.4 if not formats else 1e-7,
            0.5 if not formats else None, None, 200, bool(formats),
            (Check("zeros", 0.0, bound="same bits", passed=bool(formats)),),
        )
        for name in formats or ["onnx"]
    )  # fmt: skip
    return dict(plain(r.Built(made)))


def certificate(words: list[str]) -> dict[str, Any]:
    apart = "m" * 80 in words
    rows = (
        r.Witness("torch", "network", "2.9", "reference", 200, None, None, None, None, None),
        r.Witness("litert", "tflite", "2.1", "differs" if apart else "agrees", 200, 0.1, 0.01,
                  1e-3, 0.99, 0.96, "stem" if apart else "", "reader.tflite"),
        r.Witness("device", "", "", "left out", 0, None, None, None, None, None, "", "No device."),
    )  # fmt: skip
    return dict(plain(r.Certificate(
        words[0], "ab" * 32, "2026-11-20T10:05:00", "torch", "200 items of digits", rows,
    )))  # fmt: skip
