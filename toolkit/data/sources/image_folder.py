"""A folder with one folder of images a class."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from edge_targets.runtime.contract import TensorSpec
from edge_targets.runtime.errors import DataError
from edge_targets.runtime.events import Job
from toolkit.data.dataset import Facts
from toolkit.data.sources.base import Samples, Source

if TYPE_CHECKING:
    from PIL.Image import Image

SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff"}
PIXELS = 64 << 20  # of one image: more is a decompression bomb, not a photo


class ImageFolder(Source):
    """`FOLDER/class/picture.png`; every picture is resized to the same height and width."""

    height: Annotated[int, Field(ge=1, le=4096, description="Pixels, after resizing.")] = 32
    width: Annotated[int, Field(ge=1, le=4096, description="Pixels, after resizing.")] = 32
    colour: Annotated[Literal["rgb", "grey"], Field(description="Three channels, or one.")] = "rgb"

    @classmethod
    def accepts(cls, location: str) -> bool:
        return Path(location).is_dir()

    def read(self, location: str, target: str | None, job: Job) -> Samples:
        folder = Path(location)
        labels = [inner.name for inner in visible(folder) if inner.is_dir()]
        files = [
            (index, file)
            for index, label in enumerate(labels)
            for file in visible(folder / label)
            if file.suffix.lower() in SUFFIXES
        ]
        used = {index for index, _ in files}
        if len(used) < 2:
            raise DataError(
                f"{folder} holds images of fewer than two classes.",
                "Put the images of each class into a folder of its own, named after the class.",
            )
        empty = [label for index, label in enumerate(labels) if index not in used]
        if empty:
            raise DataError(
                f"{folder / empty[0]} holds no image.",
                f"Put images ({', '.join(sorted(SUFFIXES))}) into it, or take it away.",
            )
        if self.split != "stratified":
            raise DataError(
                f"Images in {folder} have no column to split by {self.split}.",
                "Use --set split=stratified.",
            )
        images = [self._image(file) for _, file in job.track(files, "read images")]
        channels = 3 if self.colour == "rgb" else 1
        image = TensorSpec(
            "image",
            (-1, channels, self.height, self.width),
            meaning="red, green, blue" if channels == 3 else "brightness",
            unit="0-255",
        )
        facts = Facts(str(folder), image, tuple(labels), "class")
        return Samples(facts, np.stack(images), np.array([index for index, _ in files]))

    def _image(self, file: Path) -> NDArray[np.float32]:
        from PIL import Image, UnidentifiedImageError

        try:
            with Image.open(file) as image:
                if image.width * image.height > PIXELS:
                    raise DataError(f"{file} has more than {PIXELS} pixels.", "Make it smaller.")
                converted = in_bytes(image).convert("RGB" if self.colour == "rgb" else "L")
                pixels = np.asarray(converted.resize((self.width, self.height)), np.float32)
        except (
            UnidentifiedImageError,
            OSError,
            Image.DecompressionBombError,
            SyntaxError,
        ) as error:
            raise DataError(
                f"{file} is not an image that can be read: {error}.",
                "Replace the file or take it out of the folder.",
            ) from error
        return pixels.transpose(2, 0, 1) if pixels.ndim == 3 else pixels[None]


def in_bytes(image: "Image") -> "Image":
    """With 16 bits a pixel brought to 8, where Pillow's own conversion would cut them off."""
    from PIL import Image

    if not image.mode.startswith("I"):
        return image
    return Image.fromarray(np.clip(np.asarray(image, np.int64) >> 8, 0, 255).astype(np.uint8))


def visible(folder: Path) -> list[Path]:
    """What is in a folder, by name, without what file managers hide there."""
    return sorted(inner for inner in folder.iterdir() if not inner.name.startswith("."))
