"""What the file says of an operator's inputs and results, and where the batch lies in them."""

from dataclasses import dataclass, field

from toolkit.tflite_graph.numbers import NUMBERS, real
from toolkit.tflite_graph.parts import Array, File, Operation, Tensor, damaged

MOST_INTEGERS = 1 << 16  # that say axes, sizes or places


@dataclass
class Facts:
    """Asked by every translation.

    Attributes:
        known: constants that the file computes from what it holds.
        batches: which axis of a tensor is the batch, where it is not the first.
    """

    file: File
    known: dict[int, Array] = field(default_factory=dict)
    batches: dict[int, int] = field(default_factory=dict)

    def tensor(self, operation: Operation, index: int) -> Tensor:
        return self.file.tensors[self.place(operation, index)]

    def place(self, operation: Operation, index: int) -> int:
        if not self.has(operation, index):
            raise damaged(f"{operation.code} lacks its input {index}")
        return operation.inputs[index]

    def has(self, operation: Operation, index: int) -> bool:
        return index < len(operation.inputs) and operation.inputs[index] >= 0

    def output(self, operation: Operation, index: int = 0) -> Tensor:
        if index >= len(operation.outputs):
            raise damaged(f"{operation.code} gives {len(operation.outputs)} results")
        return self.file.tensors[operation.outputs[index]]

    def held_tensor(self, place: int) -> Tensor | None:
        """The constant that a tensor is, or is unpacked from; None for what is computed."""
        tensor = self.file.tensors[place]
        if tensor.data is not None:
            return tensor
        maker = self.file.makers.get(place)
        if maker is None or maker.code != "DEQUANTIZE" or len(maker.inputs) != 1:
            return None
        source = self.file.tensors[maker.inputs[0]]
        return source if source.data is not None else None

    def is_constant(self, place: int) -> bool:
        return place in self.known or self.held_tensor(place) is not None

    def constant(self, operation: Operation, index: int) -> Array:
        """The numbers of an input that must be known now."""
        place = self.place(operation, index)
        if place in self.known:
            return self.known[place]
        held = self.held_tensor(place)
        if held is None:
            raise operation.unsupported(
                f"has an input {self.file.tensors[place].name!r} that is computed while the "
                "model runs",
                "Export the model with fixed shapes and weights.",
            )
        if held.dtype not in NUMBERS and held.dtype != "INT4":
            raise operation.unsupported(
                f"reads {held.dtype.lower()} in {held.name!r}", "Keep text out of the model."
            )
        return real(held)

    def integers_of(self, operation: Operation, index: int) -> list[int]:
        """An input as plain numbers: axes, sizes, indices."""
        found = self.constant(operation, index).reshape(-1)
        if found.dtype.kind not in "iu" or found.size > MOST_INTEGERS:
            raise damaged(f"{operation.code} has no integers as its input {index}")
        return [int(value) for value in found]

    def batch(self, place: int) -> int:
        return self.batches.get(place, 0)

    def refuse_batch(self, operation: Operation, place: int, axis: int) -> None:
        if axis == self.batch(place):
            raise operation.unsupported(
                "works along the batch", "Export the model with the batch as a free first axis."
            )

    def axis(self, operation: Operation, axis: int, index: int = 0, room: int = 0) -> int:
        """An axis of an input, which is not the batch; `room`: axes that the result has more."""
        place = self.place(operation, index)
        rank = self.rank(place) + room
        if not -rank <= axis < rank:
            raise damaged(f"{operation.code} works along axis {axis} of {rank}")
        self.refuse_batch(operation, place, axis % rank)
        return axis % rank

    def rank(self, place: int) -> int:
        return len(self.file.tensors[place].shape)
