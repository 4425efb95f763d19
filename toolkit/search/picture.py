"""The front as a PNG, for a message or a document."""

import io
from collections.abc import Sequence

Point = tuple[float, float, str]  # to the right, upwards, kind
COLOURS = {"other": "#9aa7b4", "front": "#0b7285", "pick": "#d9480f"}
NAMES = {"other": "other trials", "front": "Pareto set", "pick": "the pick"}
SIZE, DPI = (10.0, 4.2), 130  # inches, and dots in each


def picture_of(
    title: str, panels: Sequence[tuple[str, Sequence[Point], float | None]], allowed: float
) -> bytes:
    """The bytes of a PNG; a panel is its axis' name, its points, and what is allowed of it."""
    # not pyplot, which keeps every figure and looks for a screen
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.ticker import LogLocator, NullFormatter

    figure = Figure(figsize=SIZE, dpi=DPI, layout="constrained")
    FigureCanvasAgg(figure)
    for axes, (name, points, bound) in zip(figure.subplots(1, len(panels)), panels, strict=True):
        for kind, colour in COLOURS.items():
            chosen = [point for point in points if point[2] == kind]
            if chosen:
                right, up = [p[0] for p in chosen], [p[1] for p in chosen]
                axes.scatter(right, up, color=colour, label=NAMES[kind], s=28)
        axes.axhline(allowed, color=COLOURS["pick"], linestyle="--", linewidth=1)
        if bound is not None:
            axes.axvline(bound, color=COLOURS["pick"], linestyle="--", linewidth=1)
        if points:
            axes.set_xscale("log")
            axes.xaxis.set_major_locator(LogLocator(subs=(1, 1.5, 2, 3, 5, 7)))
            axes.xaxis.set_major_formatter("{x:g}")
            axes.xaxis.set_minor_formatter(NullFormatter())
            axes.legend(fontsize=8)
        axes.set_xlabel(name)
        axes.set_ylabel("points lost")
        axes.grid(alpha=0.25)
    figure.suptitle(title, fontsize=11)
    stream = io.BytesIO()
    figure.savefig(stream, format="png", metadata={"Software": None})
    return stream.getvalue()
