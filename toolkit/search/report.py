"""The picture of a search: one HTML page that needs no network, and a PNG."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from edge_targets.runtime.durable import replace_file, storing
from toolkit.results import Candidate
from toolkit.search.options import Options
from toolkit.search.picture import picture_of

HTML, PNG = "report.html", "front.png"
WIDTH, HEIGHT = 560, 340  # of a plot, in its own units
LEFT, RIGHT, TOP, BOTTOM = 56, 16, 14, 44  # margins
GRID = 4  # lines across a plot
STYLE = """
:root { color-scheme: light dark; --page: #f7f8f9; --card: #fff; --ink: #1d2733; --soft: #5c6b7a;
  --line: #d9dfe5; --front: #0b7285; --pick: #d9480f; --other: #9aa7b4; }
@media (prefers-color-scheme: dark) { :root { --page: #14191f; --card: #1c232b; --ink: #e6ebf0;
  --soft: #9aa7b4; --line: #323c47; --front: #3bc9db; --pick: #ff922b; --other: #5c6b7a; } }
body { font: 15px/1.5 Inter, system-ui, sans-serif; margin: 2rem auto; max-width: 75rem;
  padding: 0 1rem; background: var(--page); color: var(--ink); }
h1 { font-size: 1.4rem; } .reason { color: var(--soft); max-width: 60rem; }
.plots { display: flex; flex-wrap: wrap; gap: 1rem; }
figure { margin: 0; flex: 1 1 26rem; background: var(--card); border: 1px solid var(--line);
  border-radius: 8px; padding: 0.5rem; }
svg { width: 100%; height: auto; } svg text { fill: var(--soft); font-size: 12px; }
.grid { stroke: var(--line); } .bound { stroke: var(--pick); stroke-dasharray: 5 4; }
.dot { fill: var(--other); } .dot.front { fill: var(--front); } .dot.pick { fill: var(--pick); }
.spread { stroke: var(--front); stroke-width: 1.5; opacity: 0.5; }
table { border-collapse: collapse; width: 100%; margin-top: 1rem; background: var(--card);
  border: 1px solid var(--line); font-variant-numeric: tabular-nums; }
th, td { padding: 0.3rem 0.6rem; border-bottom: 1px solid var(--line); text-align: right; }
th:first-child, td:first-child, th:nth-child(2), td:nth-child(2), th:nth-child(3),
td:nth-child(3), th:last-child, td:last-child { text-align: left; }
th { color: var(--soft); font-weight: 600; } tr.pick td { color: var(--pick); font-weight: 600; }
tr.other td { color: var(--soft); }
"""


@dataclass(frozen=True)
class Story:
    """What a report tells: every finished trial, the pick (empty for none) and why."""

    study: str
    model: str
    found: Sequence[Candidate]
    pick: str
    reason: str
    options: Options

    def kind(self, one: Candidate) -> str:
        return "pick" if one.model == self.pick else "front" if one.pareto else "other"


@dataclass(frozen=True)
class Axis:
    """What is drawn to the right, on a logarithmic scale, and the most that is allowed of it."""

    title: str
    value: Callable[[Candidate], float]
    bound: float | None


def axes_of(options: Options) -> tuple[Axis, Axis]:
    size = options.max_size / 1000 if options.max_size else None
    return (
        Axis("size, kB", lambda one: one.size_bytes / 1000, size),
        Axis("latency, ms", lambda one: one.latency_ms, options.max_latency_ms),
    )


def write_report(story: Story, folder: Path) -> tuple[Path, Path]:
    """The page and the picture, each whole or as it was before."""
    page, picture = folder / HTML, folder / PNG
    with storing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    replace_file(page, html_of(story).encode())
    panels = [
        (axis.title, [(axis.value(one), 100 * one.drop, story.kind(one)) for one in story.found],
         axis.bound)
        for axis in axes_of(story.options)
    ]  # fmt: skip
    title, allowed = f"{story.study}: {story.model}", 100 * story.options.gate.max_drop
    replace_file(picture, picture_of(title, panels, allowed))
    return page, picture


def html_of(story: Story) -> str:
    plots = "".join(f"<figure>{plot(story, axis)}</figure>" for axis in axes_of(story.options))
    asked = [f"{name} {value:g}" for name, value in story.options.budget.items() if value]
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width">'
        f"<title>{escape(story.study)}</title><style>{STYLE}</style></head><body>"
        f"<h1>{escape(story.study)}: smaller than {escape(story.model)}</h1>"
        f'<p class="reason">{escape(story.reason)}</p>'
        f'<p class="reason">Asked for {escape(", ".join(asked))}, target '
        f"{escape(story.options.target)}.</p>"
        f'<div class="plots">{plots}</div>{table(story)}</body></html>'
    )


def plot(story: Story, axis: Axis) -> str:
    """Drop over one axis; bars are 95 % intervals on the validation items."""
    if not story.found:
        return "<p>No trial finished.</p>"
    values = [axis.value(one) for one in story.found] + ([axis.bound] if axis.bound else [])
    logs = [math.log10(max(value, 1e-9)) for value in values]
    low, high = min(logs) - 0.05, max(logs) + 0.05
    allowed = 100 * story.options.gate.max_drop
    drops = [100 * one.drop for one in story.found]
    bottom, top = min([0.0, *drops]) - 0.5, max([allowed, *drops]) + 0.5

    def x(value: float) -> float:
        share = (math.log10(max(value, 1e-9)) - low) / (high - low)
        return LEFT + share * (WIDTH - LEFT - RIGHT)

    def y(drop: float) -> float:
        share = (min(max(drop, bottom), top) - bottom) / (top - bottom)
        return HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM)

    parts = []
    for i in range(GRID + 1):
        value = 10 ** (low + (high - low) * i / GRID)
        drop = bottom + (top - bottom) * i / GRID
        parts += [
            line("grid", (x(value), TOP), (x(value), HEIGHT - BOTTOM)),
            text(x(value), HEIGHT - BOTTOM + 16, f"{value:.3g}", "middle"),
            line("grid", (LEFT, y(drop)), (WIDTH - RIGHT, y(drop))),
            text(LEFT - 6, y(drop) + 4, f"{drop:.1f}", "end"),
        ]
    parts.append(line("bound", (LEFT, y(allowed)), (WIDTH - RIGHT, y(allowed))))
    if axis.bound:
        parts.append(line("bound", (x(axis.bound), TOP), (x(axis.bound), HEIGHT - BOTTOM)))
    order = ("other", "front", "pick")  # what matters lies on top
    for one in sorted(story.found, key=lambda one: order.index(story.kind(one))):
        kind, here = story.kind(one), x(axis.value(one))
        if kind != "other":
            ends = (here, y(100 * one.drop_low)), (here, y(100 * one.drop_high))
            parts.append(line("spread", *ends))
        told = f"{one.model}: {one.recipe}, {one.runtime}; loses {100 * one.drop:.2f} points"
        parts.append(
            f'<circle class="dot {kind}" cx="{here:.1f}" cy="{y(100 * one.drop):.1f}" r="5">'
            f"<title>{escape(told)}</title></circle>"
        )
    parts.append(text(WIDTH / 2, HEIGHT - 8, axis.title, "middle"))
    parts.append(text(LEFT, TOP - 3, "points lost", "start"))
    return f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img">{"".join(parts)}</svg>'


def line(kind: str, start: tuple[float, float], end: tuple[float, float]) -> str:
    return (
        f'<line class="{kind}" x1="{start[0]:.1f}" y1="{start[1]:.1f}" '
        f'x2="{end[0]:.1f}" y2="{end[1]:.1f}"/>'
    )


def text(x: float, y: float, words: str, anchor: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(words)}</text>'


def table(story: Story) -> str:
    heads = (
        "model", "recipe", "runtime", "bytes", "ms", "RAM, bytes", "points lost", "95 % interval",
        "fits", "latency is",
    )  # fmt: skip
    order = {"pick": 0, "front": 1, "other": 2}
    rows = []
    for one in sorted(story.found, key=lambda one: (order[story.kind(one)], one.size_bytes)):
        cells = (
            one.model, one.recipe, one.runtime, f"{one.size_bytes:,}", f"{one.latency_ms:.4g}",
            f"{one.ram_bytes:,}", f"{100 * one.drop:.2f}",
            f"{100 * one.drop_low:.2f} to {100 * one.drop_high:.2f}", "yes" if one.fits else "no",
            one.latency_source,
        )  # fmt: skip
        filled = "".join(f"<td>{escape(cell)}</td>" for cell in cells)
        rows.append(f'<tr class="{story.kind(one)}">{filled}</tr>')
    head = "".join(f"<th>{name}</th>" for name in heads)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>"
