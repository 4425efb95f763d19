"""Runs a graph with two items: the proof that the batch is free, and that they do not mix."""

import threading
from collections.abc import Collection, Mapping
from typing import Any

import numpy as np

from edge_targets.runtime.contract import Signature
from edge_targets.runtime.errors import IntegrityError, UnsupportedError
from toolkit.tflite_graph.parts import Array

ITEMS = 2  # one would not show a fixed batch
ALIKE = 1e-3  # share of the answers that may lie between an item alone and among others
ALIKE_ROUNDED: Mapping[str, float] = {
    "QuantizeLinear": 0.1,  # other kernels round some the other way
    "DynamicQuantizeLinear": 1.0,  # the range is that of all items
}
TRIAL_S = 3  # a file may say of itself that it is a giant: then it goes untried


def tried(data: bytes, signature: Signature, name: str, operators: Collection[str]) -> bool:
    """Whether there was time to try; how far answers may differ depends on the `operators`.

    Raises:
        IntegrityError: the operators do not fit together.
        UnsupportedError: items mix, or their number is fixed.
    """
    import onnxruntime

    clock = onnxruntime.RunOptions()
    clock.log_severity_level = 4  # what goes wrong is said once, by us
    timer = threading.Timer(TRIAL_S, lambda: setattr(clock, "terminate", True))
    timer.daemon = True
    timer.start()
    try:
        together, alone = answers(data, signature, clock)
    except Exception as error:  # onnxruntime's errors share no other base
        if clock.terminate:
            return False
        raise IntegrityError(
            f"{name} does not run: its operators do not fit together.",
            "Export the model again; if LiteRT runs it, report this file.",
        ) from error
    finally:
        timer.cancel()
    if [a.shape for a in together] != [(ITEMS, *s.shape[1:]) for s in signature.outputs]:
        raise UnsupportedError(
            f"{name} does not run with a batch of any size.",
            "Export the model with the batch as first axis of every value.",
        )
    share = max((ALIKE_ROUNDED.get(op, ALIKE) for op in operators), default=ALIKE)
    for both, last in zip(together, alone, strict=True):
        if not agree(both, last, share):
            raise UnsupportedError(
                f"{name} answers otherwise for an item among others than for that item alone.",
                "Export the model with the batch as first axis of every value.",
            )
    return True


def answers(data: bytes, signature: Signature, clock: Any) -> tuple[list[Array], list[Array]]:
    """For all items at once, and for the last one on its own."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.add_session_config_entry("session.x64quantprecision", "1")
    session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    feeds = examples(signature)
    last = {name: values[-1:] for name, values in feeds.items()}
    outputs = [spec.name for spec in signature.outputs]
    return session.run(outputs, feeds, clock), session.run(outputs, last, clock)


def examples(signature: Signature) -> dict[str, Array]:
    """Items that differ, the same each time; integers are zero, which is an index of anything."""
    random = np.random.default_rng(0)
    feeds: dict[str, Array] = {}
    for one in signature.inputs:
        shape = (ITEMS, *one.shape[1:])
        is_real = np.dtype(one.dtype).kind == "f"
        values = random.standard_normal(shape, np.float32) if is_real else np.zeros(shape, np.int8)
        feeds[one.name] = values.astype(one.dtype)
    return feeds


def agree(both: Array, last: Array, share: float) -> bool:
    """Whether the last item's answers are alike; those that are no numbers say nothing."""
    if both.dtype.kind != "f" or not np.isfinite(both).all() or not np.isfinite(last).all():
        return True
    reach = max(float(np.abs(both).max(initial=0)), 1e-3)
    return bool(np.abs(both[-1:] - last).max(initial=0) <= share * reach)
