"""What each ONNX operator becomes: runs the onnx package's node tests and writes docs/operators.md.

Every test goes through ONNX Runtime and, compiled, through LiteRT; one of each operator goes again
with its values quantized. The networks that the package ships are compiled with random weights.
"""

import argparse
import sys
import time
import warnings
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx

from edge_targets.runtime.events import QUIET
from tests.toolkit.formats import light_networks
from tests.toolkit.formats.node_cases import (
    CLAIMED,
    FOLDED,
    QUANTIZED,
    Case,
    Verdict,
    cases,
    compared,
    judge,
    run,
    run_onnx,
)
from tests.toolkit.formats.quantized_cases import quantized_verdict
from toolkit.flatbuffer.expansion import EXPANDED
from toolkit.flatbuffer.translate import translate

TABLE = Path(__file__).resolve().parents[1] / "docs" / "operators.md"
MOST_REASONS = 4
TRIED = 6  # tests an operator, in search of one that int8 has a way for

HEAD = """# Operators

Written by `benchmarks/bench_operators.py`; a test holds the list against the compiler's.

The numbers are node tests of the onnx {version} package: passed of all there are. Under TFLite
stands what LiteRT answers as the standard says; the others are refused when a model is compiled,
with the operator, the node and what to do. No test gets other numbers. The tests hand everything
in as an input; shapes, axes, bounds and weights are made constants first, as real graphs have them.
ONNX Runtime passes none where the tests are written in a newer opset than it reads.

Files compute on float32 and int32: float16 is widened; float64 and int64 are narrowed, and only the
inputs and outputs keep them. A constant of more than 32 bits is refused.

Under int8 stands what a file does with the operator between QuantizeLinear and DequantizeLinear,
against ONNX Runtime on the same graph: `int8` computes on the stored integers, `float` unpacks
them first and packs the result again. The number is the largest difference in steps of the
output's scale.

{claimed} operators: {translated} translated, {expanded} written out as the standard defines them,
{folded} computed or replaced when a model is compiled, {quantized} read as the way values are
stored. Models in opset 7 to 12 are raised to 13 first.
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--networks", nargs="*", default=list(light_networks.NAMES))
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    text = HEAD.format(
        version=onnx.__version__,
        claimed=len(CLAIMED),
        translated=len(CLAIMED - EXPANDED - FOLDED - QUANTIZED),
        expanded=len(EXPANDED),
        folded=len(FOLDED),
        quantized=len(QUANTIZED),
    )
    text += "\n".join(["", *operators(), "", *networks(given.networks), ""])
    TABLE.write_text(text, encoding="utf-8")
    print(text)


def operators() -> Iterator[str]:
    own: defaultdict[str, list[tuple[Case, Verdict]]] = defaultdict(list)
    beside: defaultdict[str, Counter[str]] = defaultdict(Counter)
    written_out: Counter[str] = Counter()
    wrong = []
    for case in cases():
        verdict = judge(case)
        if verdict.status == "wrong":
            wrong.append(f"{case.name}: {verdict.reason}")
        if not case.op:
            written_out[verdict.status] += 1
            continue
        own[case.op].append((case, verdict))
        beside[case.op][onnxruntime_verdict(case).status] += 1
    if wrong:
        sys.exit("\n".join(wrong))
    yield "| Operator | ONNX Runtime | TFLite | int8 | Refused |"
    yield "|---|---|---|---|---|"
    for op in sorted(CLAIMED):
        found = own[op]
        passed = sum(verdict.status == "passed" for _, verdict in found)
        count = f"{passed} of {len(found)}" if found else "no test"
        native = f"{beside[op]['passed']} of {beside[op].total()}" if found else "no test"
        yield f"| `{op}` | {native} | {count} | {in_int8(op, found)} | {reasons(found)} |"
    others = sorted(op for op in own if op not in CLAIMED)
    total = Counter(verdict.status for found in own.values() for _, verdict in found)
    yield ""
    yield f"All tests: {total['passed']} passed and {total['refused']} were refused. Of those that"
    yield f"write a function out, {written_out['passed']} passed, {written_out['refused']} refused."
    yield ""
    yield f"Refused by name: {', '.join(others)}."


def in_int8(op: str, found: list[tuple[Case, Verdict]]) -> str:
    """The answer to the first test that stays on integers, or else to the first one."""
    if op in FOLDED | QUANTIZED:
        return ""
    passed = [case for case, verdict in found if verdict.status == "passed"]
    answers = [answer for case in passed[:TRIED] if (answer := quantized_verdict(case))]
    return next((answer for answer in answers if answer.startswith("int8")), "".join(answers[:1]))


def reasons(found: list[tuple[Case, Verdict]]) -> str:
    """Why tests are refused, the most frequent first, without the names of nodes and values."""
    counts: Counter[str] = Counter()
    for _, verdict in found:
        if verdict.status == "refused":
            text = verdict.reason.removeprefix("TFLite: ").rstrip(".")
            _, _, behind = text.partition(") ")
            words = [w for w in (behind or text).split() if not w.startswith(("'", "("))]
            counts[" ".join(words).replace("|", "/")] += 1
    shown = [f"{reason} ({count})" for reason, count in counts.most_common(MOST_REASONS)]
    rest = sum(counts.values()) - sum(count for _, count in counts.most_common(MOST_REASONS))
    return "; ".join([*shown, f"others ({rest})"] if rest else shown)


def onnxruntime_verdict(case: Case) -> Verdict:
    try:
        return compared(case, run_onnx(case.model, case.inputs))
    except Exception as error:  # noqa: BLE001 - whatever it has against a test, it does not pass
        return Verdict("refused", str(error))


def networks(names: list[str]) -> Iterator[str]:
    yield "## The networks of the onnx package"
    yield ""
    yield "In opset 9, with random weights, one picture; the difference is that of the last layer's"
    yield "outputs from ONNX Runtime's, as a share of their standard deviation."
    yield ""
    yield "| Network | File | Operators | Transposes | Seconds to compile | Largest difference |"
    yield "|---|---|---|---|---|---|"
    for name in names:
        model, picture = light_networks.network(name), light_networks.picture()
        inputs = {light_networks.input_name(model): picture}
        start = time.perf_counter()
        compiled = translate(model, QUIET)
        seconds = time.perf_counter() - start
        last = model.graph.output[-1].name
        found, expected = run(compiled, inputs)[last], run_onnx(model, inputs)[last]
        error = np.abs(found - expected).max() / expected.std()
        steps = light_networks.operators(compiled)
        size = f"{len(compiled) / 1e6:.1f} MB"
        count = f"{steps.total()} | {steps['TRANSPOSE']}"
        yield f"| {name} | {size} | {count} | {seconds:.1f} | {error:.1g} |"


if __name__ == "__main__":
    main()
