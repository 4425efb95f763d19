"""How the verbs' options are typed, and those that several verbs share."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from edge_targets.runtime.errors import UsageError

if TYPE_CHECKING:
    from toolkit.evaluation.gate import Gate

Folder = Annotated[
    Path | None,
    Parameter(help="the workspace; unless given, the nearest folder with sanderling.toml"),
]
Drop = Annotated[str | None, Parameter(show_default=False)]
SURE = "95%"
Size = Annotated[str | None, Parameter(show_default=False)]
Given = Annotated[str | None, Parameter(show_default=False)]
Count = Annotated[int | None, Parameter(show_default=False)]
Flag = Annotated[bool, Parameter(show_default=False)]
Columns = Annotated[Sequence[str], Parameter(show_default=False)]
Folders = Annotated[Sequence[Path], Parameter(show_default=False)]
Words = Annotated[Sequence[str], Parameter(metavar="KEY=VALUE", show_default=False)]
Named = Annotated[Sequence[str], Parameter(metavar="NAME=WORDS", show_default=False)]
Sizes = Annotated[Sequence[str], Parameter(metavar="NAME=SIZES", show_default=False)]
Steps = Annotated[Sequence[str], Parameter(metavar="STEP", show_default=False)]


def gate_if(max_drop: str | None, confidence: str, slices: Sequence[str]) -> "Gate | None":
    """The gate that was asked for, if one was; what would be of no use without it is refused."""
    if max_drop:
        return gate_of(max_drop, confidence)
    if slices or confidence != SURE:
        raise UsageError(
            "--slice and --confidence say how --max-drop is judged.", "Add --max-drop 1%."
        )
    return None


def gate_of(max_drop: str, confidence: str) -> "Gate":
    """Of what a user typed."""
    from toolkit.evaluation.gate import Gate
    from toolkit.quantities import share

    sure = share(confidence, "--confidence", "95% or 0.95")
    if not 0.5 <= sure < 1:
        raise UsageError(
            f"--confidence {confidence}: it is from 50% to below 100%.", "Write it like 95%."
        )
    return Gate(max_drop=share(max_drop, "--max-drop"), confidence=sure)
