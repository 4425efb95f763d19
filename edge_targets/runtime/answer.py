"""What a model says, as a user's own loop reads it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from edge_targets.runtime.contract import Abstention, Signature, Tensor
from edge_targets.runtime.errors import DataError, UnsupportedError
from edge_targets.runtime.watching import best


@dataclass(frozen=True, slots=True)
class Answer:
    """The outputs for one item, or for a batch of them.

    Of one item `label`, `confidence` and `abstained` can be read at once; a batch is walked
    through, or indexed, and gives an `Answer` an item.

    Attributes:
        outputs: numpy arrays by name; for one item that was given alone without a batch's axis.
        signature: of the model.
        abstention: when it does not answer.
        alone: whether one item was given, and not a batch.
    """

    outputs: Mapping[str, Any]
    signature: Signature
    abstention: Abstention | None = None
    alone: bool = False

    def __len__(self) -> int:
        return 1 if self.alone else len(self._first)

    def __getitem__(self, place: int) -> "Answer":
        if self.alone:
            if place in (0, -1):
                return self
            raise IndexError(place)
        one = {name: values[place] for name, values in self.outputs.items()}
        return Answer(one, self.signature, self.abstention, alone=True)

    def __iter__(self) -> Iterator["Answer"]:
        return (self[place] for place in range(len(self)))

    @property
    def _first(self) -> Any:
        return self.outputs[self.signature.outputs[0].name]

    def _shares(self) -> list[float]:
        if not self.signature.labels:
            raise UnsupportedError(
                "This model gives numbers; it has no classes.", "Read `outputs`."
            )
        if len(self) != 1:
            raise DataError(
                f"This answer is for {len(self)} items.",
                "Go through them: `for one in answer`, or take `answer[0]`.",
            )
        shares: list[float] = self._first.reshape(-1).tolist()
        return shares

    @property
    def label(self) -> str:
        """The likeliest class, also of an answer that is abstained from."""
        return self.signature.labels[best(self._shares())]

    @property
    def confidence(self) -> float:
        """The share of the likeliest class."""
        shares = self._shares()
        return shares[best(shares)]

    @property
    def abstained(self) -> bool:
        """Whether the confidence is too small to act on; never where no threshold was packed."""
        return self.abstention is not None and self.abstention.abstains(self.confidence)


def abstained(
    signature: Signature, abstention: Abstention | None, outputs: Mapping[str, Tensor]
) -> list[bool]:
    """Of each item of a batch, whether it is abstained from; empty where the model never does."""
    if abstention is None or not signature.labels:
        return []
    rows: list[Sequence[float]] = outputs[signature.outputs[0].name].rows()
    return [abstention.abstains(row[best(row)]) for row in rows]
