"""A folder of sounds: a folder a class, or names that say the class."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from edge_targets.runtime.errors import DataError
from edge_targets.runtime.events import Job
from toolkit.data.audio import (
    audio_spec,
    holds_sounds,
    of_length,
    read_wav,
    resampled,
    sample_rate_of,
    sounds,
)
from toolkit.data.dataset import Facts, told
from toolkit.data.folders import visible
from toolkit.data.sources.base import Samples, Source

ON_ITS_OWN = re.compile(r"(?P<label>[^_]+)_(?P<group>.+)_(?P<index>\d{1,9})")
IN_CLASS = re.compile(r"(?P<group>.+?)_(?:nohash_)?(?P<index>\d{1,9})")
"""What a clip's name may say; `nohash` stands in those of Speech Commands (Warden 2018)."""


@dataclass(frozen=True)
class Clip:
    """A file, and what its place and name say of it; an empty group and no index say nothing."""

    file: Path
    label: str
    group: str = ""
    index: int | None = None


class AudioFolder(Source):
    """`FOLDER/class/clip.wav`, or `label_speaker_index.wav` side by side; cut to one length."""

    settled_by_like: ClassVar = frozenset({"sample_rate", "seconds"})
    has_groups: ClassVar = True

    sample_rate: Annotated[
        int, Field(ge=4000, le=48_000, description="Hertz; files at another rate are converted.")
    ] = 8000
    seconds: Annotated[
        float,
        Field(ge=0.1, le=10, description="Longer clips give their loudest part, others silence."),
    ] = 1.0
    test_below: Annotated[
        int, Field(ge=0, description="Clips whose names end in a smaller index are the test part.")
    ] = 0

    @classmethod
    def accepts(cls, location: str) -> bool:
        return holds_sounds(location)

    def read(
        self, location: str, target: str | None, job: Job, like: Facts | None = None
    ) -> Samples:
        folder = Path(location)
        clips = clips_in(folder)
        labels = like.labels if like else tuple(sorted({clip.label for clip in clips}))
        check_labels(folder, clips, labels)
        rate, length = self._form(folder, like)
        groups = self._groups(clips)
        held_out = self._held_out(clips)
        inputs = [
            of_length(resampled(*read_wav(clip.file), rate), length)[None]
            for clip in job.track(clips, "read sounds")
        ]
        targets = np.array([labels.index(clip.label) for clip in clips])
        facts = Facts(str(folder), audio_spec(rate, length), labels, "class")
        return Samples(facts, np.stack(inputs), targets, groups, groups, held_out)

    def _groups(self, clips: Sequence[Clip]) -> NDArray[np.str_] | None:
        silent = [clip.file for clip in clips if not clip.group]
        if silent and self.split == "group":
            raise DataError(
                f"The name of {silent[0]} does not say whose it is.",
                "Name the clips like george_12.wav, or use --set split=stratified.",
            )
        return None if silent else np.array([clip.group for clip in clips])

    def _held_out(self, clips: Sequence[Clip]) -> NDArray[np.bool_] | None:
        if not self.test_below:
            return None
        if self.split != "stratified":
            raise DataError(
                f"test_below and split={self.split} both say what the test part is.",
                "Leave one of them out.",
            )
        indices = [clip.index for clip in clips if clip.index is not None]
        if len(indices) < len(clips):
            [file, *_] = [clip.file for clip in clips if clip.index is None]
            raise DataError(
                f"The name of {file} has no index that test_below could go by.",
                "Name the clips like george_12.wav, or leave test_below out.",
            )
        return np.array(indices) < self.test_below

    def _form(self, folder: Path, like: Facts | None) -> tuple[int, int]:
        """Sample rate and samples of every clip."""
        if not like:
            return self.sample_rate, round(self.seconds * self.sample_rate)
        rate = sample_rate_of(like.input)
        if not rate:
            raise DataError(
                f"{folder} holds sounds; {like.source} does not.",
                "Name a dataset that was read from sounds.",
            )
        return rate, like.input.shape[-1]


def clips_in(folder: Path) -> list[Clip]:
    try:
        flat = list(sounds(folder))
        inner = {place: list(sounds(place)) for place in visible(folder) if place.is_dir()}
    except OSError as error:
        raise DataError(
            f"{folder} cannot be read: {error}.", "Check the path, and who may read it."
        ) from error
    if not flat:
        if empty := [place for place, files in inner.items() if not files]:
            raise DataError(
                f"{empty[0]} holds no sound.", "Put .wav files into it, or take it away."
            )
        return [in_class(place.name, file) for place, files in inner.items() for file in files]
    if mixed := [place for place, files in inner.items() if files]:
        raise DataError(
            f"{folder} holds clips, and so does {mixed[0]} inside it.",
            "Either give each class a folder, or put all clips side by side.",
        )
    return [on_its_own(file) for file in flat]


def in_class(label: str, file: Path) -> Clip:
    name = IN_CLASS.fullmatch(file.stem)
    return Clip(file, label, name["group"], int(name["index"])) if name else Clip(file, label)


def on_its_own(file: Path) -> Clip:
    name = ON_ITS_OWN.fullmatch(file.stem)
    if not name:
        raise DataError(
            f"The name of {file} does not say its class.",
            "Name it label_speaker_index.wav, or give each class a folder.",
        )
    return Clip(file, name["label"], name["group"], int(name["index"]))


def check_labels(folder: Path, clips: Sequence[Clip], labels: tuple[str, ...]) -> None:
    """There are clips of enough classes, and none of a class that is not in `labels`."""
    for clip in clips:
        if clip.label not in labels:
            raise DataError(
                f"{clip.file} is of class {clip.label!r}, which is not known.",
                f"Take it away, or name it as one of {told(labels)}.",
            )
    if not clips or len(labels) < 2:
        raise DataError(
            f"{folder} holds sounds of fewer than two classes.",
            "Put the clips (.wav) of each class into a folder of its own, named after the class.",
        )
