"""Accuracy, size and latency of each compiled file of the digits network, side by side."""

import sys
import tempfile
from pathlib import Path

from edge_targets.runtime.events import QUIET
from toolkit import api, shelf
from toolkit.inference import side_by_side
from toolkit.journeys import runner_of
from toolkit.report import Report
from toolkit.workspace import Workspace

RUNS, ROUNDS = 200, 7


def main() -> int:
    with tempfile.TemporaryDirectory() as folder:
        root = Workspace.create(Path(folder)).root
        shelves = Workspace(root)
        api.data_add("digits", name="digits", workspace=root)
        api.train("digits", name="digits", workspace=root)
        api.compress("digits", passes="quantize_int8", name="int8", workspace=root)
        api.compress("digits", passes="prune_channels", name="pruned", workspace=root)
        api.compress("pruned", passes="quantize_int8", name="pruned-int8", workspace=root)
        names = []
        for model in ("digits", "int8", "pruned", "pruned-int8"):
            names += [artifact.name for artifact in api.build(model, workspace=root).artifacts]
        runners = [
            runner_of(shelves, shelves.get("artifacts", name), 1, QUIET)[0] for name in names
        ]
        items = shelf.dataset(shelves, "digits").part("test")[0]
        times = side_by_side(runners, items, QUIET, RUNS, ROUNDS)
        latencies = dict(zip(names, times, strict=True))
        base = figures(api.measure(names[0], data="digits", workspace=root))["size"]
        print("| file | accuracy (95 %) | bytes | smaller | latency, float ONNX = 1 |")
        print("|---|---|---|---|---|")
        for name in names:
            report = api.measure(name, data="digits", workspace=root)
            found = figures(report)
            bound = report.rows[0].bound.removesuffix(" (95 %)")
            ratio = latencies[name] / latencies[names[0]]
            print(
                f"| `{name}` | {found['accuracy']:.4f} ({bound}) | {found['size']:,.0f} "
                f"| {base / found['size']:.1f}× | {ratio:.2f} |"
            )
    return 0


def figures(report: Report) -> dict[str, float]:
    return {row.name: row.value for row in report.rows if isinstance(row.value, int | float)}


if __name__ == "__main__":
    sys.exit(main())
