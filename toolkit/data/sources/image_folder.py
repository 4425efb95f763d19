"""A folder with one folder of images a class."""

import struct
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from edge_targets.runtime.contract import TensorSpec
from edge_targets.runtime.errors import DataError
from edge_targets.runtime.events import Job
from toolkit.data.audio import holds_sounds
from toolkit.data.dataset import Facts, told
from toolkit.data.folders import visible
from toolkit.data.sources.base import Samples, Source

if TYPE_CHECKING:
    from PIL.Image import Image

SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff"}
FORMATS = ("PNG", "JPEG", "BMP", "GIF", "WEBP", "TIFF")  # whatever the suffix: EPS runs programs
PIXELS = 64 << 20  # of one image: more is a decompression bomb, not a photo
CHANNELS = {"rgb": 3, "grey": 1}
DAMAGED = (
    OSError,
    ValueError,
    TypeError,
    SyntaxError,
    ArithmeticError,
    AttributeError,
    LookupError,
    RuntimeError,
    struct.error,
)
"""What Pillow raises for bytes that are not what they should be, found by damaging pictures."""


class ImageFolder(Source):
    """`FOLDER/class/picture.png`; every picture is resized to the same height and width."""

    settled_by_like: ClassVar = frozenset({"height", "width", "colour"})

    height: Annotated[int, Field(ge=1, le=4096, description="Pixels, after resizing.")] = 32
    width: Annotated[int, Field(ge=1, le=4096, description="Pixels, after resizing.")] = 32
    colour: Annotated[Literal["rgb", "grey"], Field(description="Three channels, or one.")] = "rgb"

    @classmethod
    def accepts(cls, location: str) -> bool:
        return Path(location).is_dir() and not holds_sounds(location)

    def read(
        self, location: str, target: str | None, job: Job, like: Facts | None = None
    ) -> Samples:
        folder = Path(location)
        labels, files = pictures(folder)
        known = like.labels if like else labels
        check_classes(folder, labels, {label for label, _ in files}, like)
        sizes = like.input.shape[1:] if like else (CHANNELS[self.colour], self.height, self.width)
        if len(sizes) != 3 or sizes[0] not in CHANNELS.values():
            raise DataError(
                f"{folder} holds pictures; {like.source if like else folder} does not.",
                "Name a dataset that was read from pictures.",
            )
        spec = TensorSpec(
            "image",
            (-1, *sizes),
            meaning="red, green, blue" if sizes[0] == 3 else "brightness",
            unit="0-255",
        )
        images = [pixels(file, *sizes) for _, file in job.track(files, "read images")]
        targets = np.array([known.index(label) for label, _ in files])
        return Samples(Facts(str(folder), spec, known, "class"), np.stack(images), targets)


def pictures(folder: Path) -> tuple[tuple[str, ...], list[tuple[str, Path]]]:
    """The classes of a folder, and each picture with its class."""
    try:
        labels = tuple(inner.name for inner in visible(folder) if inner.is_dir())
        return labels, [
            (label, file)
            for label in labels
            for file in visible(folder / label)
            if file.suffix.lower() in SUFFIXES
        ]
    except OSError as error:
        raise DataError(
            f"{folder} cannot be read: {error}.", "Check the path, and who may read it."
        ) from error


def check_classes(
    folder: Path, labels: tuple[str, ...], used: set[str], like: Facts | None
) -> None:
    """There are pictures of enough classes, and of no class that `like` does not have."""
    if like and (unknown := [label for label in labels if label not in like.labels]):
        raise DataError(
            f"{folder / unknown[0]} is a class that {like.source} does not have.",
            f"Take it away, or name it as one of {told(like.labels)}.",
        )
    if not used and not like:
        raise DataError(
            f"{folder} holds neither images nor sounds.",
            "Put the images, or the clips (.wav), of each class into a folder of its own, named "
            "after the class.",
        )
    if not used or (len(used) < 2 and not like):
        raise DataError(
            f"{folder} holds images of {'no class' if like else 'fewer than two classes'}.",
            "Put the images of each class into a folder of its own, named after the class.",
        )
    if empty := [label for label in labels if label not in used]:
        raise DataError(
            f"{folder / empty[0]} holds no image.",
            f"Put images ({', '.join(sorted(SUFFIXES))}) into it, or take it away.",
        )


def pixels(file: Path, channels: int, height: int, width: int) -> NDArray[np.float32]:
    """One picture, shape (channels, height, width)."""
    from PIL import Image

    try:
        # Pillow warns of damage that it can live with, and of sizes that are refused here
        with warnings.catch_warnings(action="ignore"), Image.open(file, "r", FORMATS) as image:
            if image.width * image.height > PIXELS:
                raise DataError(f"{file} has more than {PIXELS} pixels.", "Make it smaller.")
            converted = in_bytes(upright(image)).convert("RGB" if channels == 3 else "L")
            found = np.asarray(converted.resize((width, height)), np.float32)
    except (*DAMAGED, Image.DecompressionBombError) as error:
        raise DataError(
            f"{file} is not an image that can be read: {error}.",
            "Replace the file or take it out of the folder.",
        ) from error
    return found.transpose(2, 0, 1) if found.ndim == 3 else found[None]


def upright(image: "Image") -> "Image":
    """Turned as it was held: many cameras only note the turn, in the EXIF orientation."""
    from PIL import ImageOps

    image.load()  # so that what is caught below is damage to the note, not to the picture
    try:
        return ImageOps.exif_transpose(image)
    except DAMAGED:
        return image


def in_bytes(image: "Image") -> "Image":
    """With 16 bits a pixel brought to 8, where Pillow's own conversion would cut them off."""
    from PIL import Image

    if not image.mode.startswith("I"):
        return image
    return Image.fromarray(np.clip(np.asarray(image, np.int64) >> 8, 0, 255).astype(np.uint8))
