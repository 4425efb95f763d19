"""Handwritten digits: 1,797 scans of 8x8 pixels, 43 writers (Alpaydin and Kaynak 1998, UCI)."""

from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from edge_targets.runtime.contract import TensorSpec
from edge_targets.runtime.events import Job
from toolkit.data.dataset import Facts
from toolkit.data.sources.base import Samples, Source

WHITE = 16  # a pixel counts the set bits of a 4x4 patch


class Digits(Source):
    """Built in; can be turned and made noisy to play a world that has moved."""

    rotation_deg: Annotated[
        float, Field(ge=-180, le=180, description="Turn every digit by this angle, in degrees.")
    ] = 0.0
    noise: Annotated[
        float, Field(ge=0, le=WHITE, description="Standard deviation of added noise, in 0-16.")
    ] = 0.0

    @classmethod
    def accepts(cls, location: str) -> bool:
        return location == "digits"

    def read(
        self, location: str, target: str | None, job: Job, like: Facts | None = None
    ) -> Samples:
        from sklearn.datasets import load_digits

        job.step("read digits", 0, 1)
        found = load_digits()
        images = found.images.astype(np.float32)
        if self.rotation_deg:
            images = np.stack([rotated(image, self.rotation_deg) for image in images])
        if self.noise:
            rng = np.random.default_rng(self.seed)
            images = images + rng.normal(0, self.noise, images.shape).astype(np.float32)
        images = np.clip(images, 0, WHITE).astype(np.float32)
        job.step("read digits", 1, 1)
        image = TensorSpec("image", (-1, 1, 8, 8), meaning="ink on a 4x4 patch", unit="0-16")
        facts = Facts("digits", image, tuple(str(digit) for digit in range(10)), "digit")
        return Samples(facts, images[:, None], found.target.astype(np.int64))


def rotated(image: NDArray[np.float32], angle_deg: float) -> NDArray[np.float32]:
    from PIL import Image

    turned = Image.fromarray(image).rotate(angle_deg, Image.Resampling.BILINEAR)
    return np.asarray(turned, np.float32)
