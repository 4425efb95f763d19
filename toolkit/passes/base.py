"""What a pass is: parameters as described fields, and one method."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import ClassVar, Self

from pydantic import BaseModel, ConfigDict

from edge_targets.runtime.errors import UnsupportedError
from edge_targets.runtime.events import Job
from edge_targets.runtime.registry import Registry
from toolkit.model import Model


class Pass(BaseModel, ABC):
    """Turns one model into a smaller or faster one with the same inputs and outputs."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    needs_network: ClassVar[bool] = False  # true where a finished graph cannot be worked on

    @property
    def trains(self) -> bool:
        """Whether the model learns from its data in this pass, and not just calibrates with it."""
        return False

    def resolved(self, find: Callable[[str], Model]) -> Self:
        """The pass with the saved models that its fields name; `find` gives one by name."""
        return self

    @abstractmethod
    def apply(self, model: Model, job: Job) -> Model:
        """Return the changed model; `model` itself stays as it is."""

    def skips(self, model: Model, job: Job) -> Mapping[str, str]:
        """Layers that this pass leaves as they are, by name, each with the reason."""
        return {}

    def refuse_graph(self, model: Model) -> None:
        """Do nothing for a model that can be trained.

        Raises:
            UnsupportedError: it is a finished graph.
        """
        if not model.network:
            name = Registry.name_of(self)
            raise UnsupportedError(
                f"{name} needs the trainable network; this model is a finished graph.",
                f"Put {name} before passes that make a graph, such as quantize_int8, and begin "
                "with a model that was trained here.",
            )

    def refuse_training_a_graph(self, model: Model) -> None:
        """Do nothing unless the pass is to train a finished graph.

        Raises:
            UnsupportedError: it is.
        """
        if self.trains and not model.network:
            name = Registry.name_of(self)
            raise UnsupportedError(
                f"{name} cannot train this model on: it is a finished graph, and epochs need the "
                "network.",
                f"Leave epochs at 0, or put {name} before passes that make a graph.",
            )
