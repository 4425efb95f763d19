"""What a source is: a way to read items from somewhere."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from edge_targets.runtime.errors import DataError
from edge_targets.runtime.events import Job
from toolkit.data.dataset import Dataset, Facts, unlike
from toolkit.data.splits import Split, split_items, split_rest


@dataclass(frozen=True)
class Samples:
    """What a source read, before it is split; see `Dataset` for the arrays."""

    facts: Facts
    inputs: NDArray[np.float32]
    targets: NDArray[Any]
    keys: NDArray[Any] | None = None  # what a group or time split goes by
    groups: NDArray[np.str_] | None = None
    held_out: NDArray[np.bool_] | None = None  # the test part, where the data brings its own


class Source(BaseModel, ABC):
    """Reads a dataset, and says how it is to be split."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    has_columns: ClassVar[bool] = False  # to choose a target from, and to split by
    has_groups: ClassVar[bool] = False  # without a column: its items themselves say whose they are
    settled_by_like: ClassVar[frozenset[str]] = frozenset()  # fields that `like` answers

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
    def read(
        self, location: str, target: str | None, job: Job, like: Facts | None = None
    ) -> Samples:
        """Every item; `like` gives columns, categories, sizes and classes instead of the data.

        Raises:
            DataError: names the file, row and column that cannot be used.
        """

    def dataset(
        self,
        name: str,
        location: str,
        target: str | None,
        job: Job,
        like: Dataset | None = None,
    ) -> Dataset:
        """Read and split; with `like`, a model of that dataset can be used with this one.

        Raises:
            DataError: the data cannot be used as it is, or a parameter not with this source.
        """
        self._check_use(location, target)
        if like:
            self._check_like(like, target)
        samples = self.read(location, target, job, like.facts if like else None)
        if like and (why := unlike(like.facts, samples.facts)):
            raise DataError(
                f"{location} cannot be read like {like.name}: {why}.",
                "Bring data with the same inputs and classes.",
            )
        parts = self._parts(samples)
        return Dataset(name, samples.facts, samples.inputs, samples.targets, parts, samples.groups)

    def _parts(self, samples: Samples) -> NDArray[np.uint8]:
        if samples.held_out is not None:
            return split_rest(samples.targets, samples.held_out, self.validation_share, self.seed)
        shares = (self.validation_share, self.test_share)
        return split_items(samples.targets, self.split, samples.keys, shares, self.seed)

    def _check_use(self, location: str, target: str | None) -> None:
        """What cannot be used is refused, or the user would believe that it was."""
        if self.has_columns:
            if self.split_column and self.split == "stratified":
                raise DataError(
                    f"A stratified split does not go by a column ({self.split_column!r}).",
                    "Add --set split=group or --set split=time, or leave split_column out.",
                )
            return
        if target is not None:
            raise DataError(
                f"{location} has no columns, so {target!r} cannot be its target.",
                "Leave --target out: each item's class is known.",
            )
        possible = ("stratified", "group") if self.has_groups else ("stratified",)
        if self.split_column or self.split not in possible:
            by = self.split_column or self.split
            ways = " or ".join(f"split={way}" for way in possible)
            raise DataError(
                f"{location} has no columns, so it cannot be split by {by}.",
                f"Use --set {ways}, and no split_column.",
            )

    def _check_like(self, like: Dataset, target: str | None) -> None:
        if given := sorted(self.settled_by_like & self.model_fields_set):
            raise DataError(
                f"{given[0]} cannot be chosen for data that is read like {like.name}.",
                f"Leave {given[0]} out: it is taken from {like.name}.",
            )
        if target not in (None, like.facts.target):
            raise DataError(
                f"The target of {like.name} is {like.facts.target!r}, not {target!r}.",
                "Leave --target out, or name the column as it is named there.",
            )
