"""What a source is: a way to read items from somewhere."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from edge_targets.runtime.events import Job
from toolkit.data.dataset import Dataset, Facts
from toolkit.data.splits import Split, split_items


@dataclass(frozen=True)
class Samples:
    """What a source read, before it is split; see `Dataset` for the arrays."""

    facts: Facts
    inputs: NDArray[np.float32]
    targets: NDArray[Any]
    keys: NDArray[Any] | None = None  # what a group or time split goes by


class Source(BaseModel, ABC):
    """Reads a dataset, and says how it is to be split."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    split: Annotated[
        Split, Field(description="Draw parts at random by class, by group, or by time.")
    ] = "stratified"
    split_column: Annotated[
        str, Field(description="Column that names an item's group or time.")
    ] = ""
    validation_share: Annotated[
        float, Field(gt=0, lt=0.5, description="Share of items to choose models on.")
    ] = 0.2
    test_share: Annotated[
        float, Field(gt=0, lt=0.5, description="Share of items kept unseen until the end.")
    ] = 0.2
    seed: Annotated[int, Field(ge=0, description="Seed of the random draw.")] = 0

    @classmethod
    @abstractmethod
    def accepts(cls, location: str) -> bool:
        """Whether `location`, as the user typed it, is of this kind."""

    @abstractmethod
    def read(self, location: str, target: str | None, job: Job) -> Samples:
        """Every item.

        Raises:
            DataError: names the file, row and column that cannot be used.
        """

    def dataset(self, name: str, location: str, target: str | None, job: Job) -> Dataset:
        samples = self.read(location, target, job)
        shares = (self.validation_share, self.test_share)
        parts = split_items(samples.targets, self.split, samples.keys, shares, self.seed)
        return Dataset(name, samples.facts, samples.inputs, samples.targets, parts)
