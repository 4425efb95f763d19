"""What people said of answers: "it is not a 7, it is a 1"."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

SHOWN = 5  # confusions in a sentence

Confusions = Mapping[str, Mapping[str, int]]


@dataclass(frozen=True)
class Feedback:
    """Of one model.

    Attributes:
        visitors: how many said anything.
        answers: that these were given.
        confusions: by the label that was predicted, how often they said it is which other one;
            under its own label, how often they said it is right.
    """

    visitors: int
    answers: int
    confusions: Confusions

    @property
    def sentence(self) -> str:
        """In one line, the most frequent first; empty when nothing was called wrong."""
        wrong = Counter(
            {
                (predicted, actual): count
                for predicted, said in self.confusions.items()
                for actual, count in said.items()
                if predicted != actual
            }
        )
        if not wrong.total():
            return ""
        who = "1 visitor" if self.visitors == 1 else f"{self.visitors} visitors"
        # what was said of an answer before its visitor agreed to counting counts, it does not
        answers = max(self.answers, wrong.total())
        told = [
            f"{predicted} is {actual} ({count} times)" if count > 1 else f"{predicted} is {actual}"
            for (predicted, actual), count in wrong.most_common(SHOWN)
        ]
        more = ", …" if len(wrong) > SHOWN else ""
        return f"{who} said {wrong.total():,} of {answers:,} answers were wrong: " + (
            f"{', '.join(told)}{more}."
        )


def together(confusions: Iterable[Confusions]) -> dict[str, dict[str, int]]:
    """The sum of several windows'."""
    total: dict[str, Counter[str]] = {}
    for one in confusions:
        for predicted, said in one.items():
            total.setdefault(predicted, Counter()).update(said)
    return {predicted: dict(said) for predicted, said in total.items()}
