"""What a pass is: parameters as described fields, and one method."""

from abc import ABC, abstractmethod

from pydantic import BaseModel, ConfigDict

from edge_targets.runtime.events import Job
from toolkit.model import Model


class Pass(BaseModel, ABC):
    """Turns one model into a smaller or faster one with the same inputs and outputs."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    @property
    def trains(self) -> bool:
        """Whether the model learns from its data in this pass, and not just calibrates with it."""
        return False

    @abstractmethod
    def apply(self, model: Model, job: Job) -> Model:
        """Return the changed model; `model` itself stays as it is."""
