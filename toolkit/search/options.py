"""What is asked of a search."""

from dataclasses import dataclass, field
from typing import Any

from edge_targets.catalog import targets
from edge_targets.runtime.errors import RecipeError
from toolkit.evaluation.gate import Gate

MOST_TRIALS = 10_000  # beyond, the journal takes longer to read than a trial to run
BUDGETS = {
    "max_size": ("--max-size", "bytes"),
    "max_latency_ms": ("--max-latency", "ms"),
    "max_ram": ("--max-ram", "bytes"),
    "time_s": ("--time", "s"),
}


@dataclass(frozen=True)
class Options:
    """A budget, and how long to look for what keeps to it.

    Attributes:
        target: the catalog name of what the model is for.
        device: of the workspace, to measure latency on; None for this machine or an estimate.
        cost: how latency is told, one of `toolkit.latency.COSTS`.
        max_size: bytes of the compiled file.
        max_latency_ms: of one prediction.
        max_ram: bytes that the runtime needs for the model.
        gate: what may be lost, and how sure that must be.
        trials: in the study, those of earlier runs and of other processes included.
        time_s: after which this run ends.
        study: its name; MODEL-TARGET unless given.
        families: passes to choose from; all that suit the model unless given.
        seed: of the suggestions and of what is trained.
        epochs: of every pass that trains; its own default unless given.

    Raises:
        RecipeError: a value that nothing could keep to.
    """

    target: str = "simulator"
    device: str | None = None
    cost: str = "auto"
    max_size: int | None = None
    max_latency_ms: float | None = None
    max_ram: int | None = None
    gate: Gate = field(default_factory=Gate)
    trials: int = 40
    time_s: float | None = None
    study: str | None = None
    families: tuple[str, ...] = ()
    seed: int = 0
    epochs: int | None = None

    def __post_init__(self) -> None:
        for name, (option, unit) in BUDGETS.items():
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise RecipeError(
                    f"{option} {value:g} {unit}: nothing can keep to it.",
                    f"Give {option} an amount above 0, or leave it out.",
                )
        if not 1 <= self.trials <= MOST_TRIALS:
            raise RecipeError(
                f"A search cannot have {self.trials} trials.", f"Use --trials 1 to {MOST_TRIALS}."
            )
        if not 0 <= self.seed < 1 << 32:
            raise RecipeError(f"{self.seed} is no seed.", "Use --seed 0 or a larger number.")
        facts = targets[self.target]().facts
        if self.max_ram is not None and self.max_ram > facts.ram_bytes:
            raise RecipeError(
                f"--max-ram {self.max_ram:,}: {self.target} has {facts.ram_bytes:,} bytes.",
                "Give it less, or leave it out.",
            )

    @property
    def budget(self) -> dict[str, Any]:
        """What decides whether a candidate fits, by the names that people know."""
        return {
            "--max-size": self.max_size,
            "--max-latency": self.max_latency_ms,
            "--max-ram": self.max_ram,
            "--max-drop": self.gate.max_drop,
            "--confidence": self.gate.confidence,
        }
