"""A graph whose batch is being freed, with all that is known of it as it was."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from numpy.typing import NDArray

Doubt = tuple[tuple[int, ...], int, tuple[int, ...]]  # a shape, its batch axis, the shape after


@dataclass(frozen=True)
class Work:
    """A graph that is being rewritten, with what is known of it as it was.

    Attributes:
        values: of every node while the batch was fixed.
        fixed: names of values that do not depend on any input's values.
        stored: those of them that do not even depend on an input's shape.
        axes: where the batch lies, as far as inference tells.
        size: the fixed batch.
        turned: shapes that are read in the less likely of two ways.
        doubts: shapes that can be read in two ways; found on the way.
    """

    graph: Any
    opset: int
    values: Mapping[str, NDArray[Any]]
    fixed: frozenset[str]
    stored: frozenset[str]
    axes: Mapping[str, int]
    size: int
    turned: frozenset[Doubt] = frozenset()
    doubts: set[Doubt] = field(default_factory=set)

    def constant(self, node: Any, index: int) -> NDArray[Any] | None:
        """What an input of a node held, where that is the same for all items."""
        name = node.input[index] if index < len(node.input) else ""
        return self.values[name] if name in self.fixed else None

    def axis(self, name: str) -> int:
        """Of the batch; the first where inference does not tell."""
        return self.axes.get(name, 0)

    def replace(self, node: Any, index: int, value: NDArray[Any]) -> None:
        """Give one node a constant of its own."""
        from onnx import numpy_helper

        name = f"{node.name}_free_{index}"
        self.graph.initializer.append(numpy_helper.from_array(value, name))
        node.input[index] = name
