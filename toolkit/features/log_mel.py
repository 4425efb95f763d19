"""Log-mel spectrogram (Davis and Mermelstein 1980), small enough to travel inside the graph.

A clip is brought to a common loudness first: whoever speaks more quietly than all that were
learned would not be understood (benchmarks/bench_speech.py --unheard).

A convolution with the kernels of a Fourier transform would store the square of the window's
length: more than the network behind it. The transform is done in two steps instead (Cooley and
Tukey 1965): with n = B·a + b and k = p + A·q, where a window has A·B samples,

    X[p + A·q] = Σ_b  W_B^(bq) · W_AB^(bp) · Σ_a  W_A^(ap) · x[B·a + b],   W_N = e^(-2πi/N),

so that two small matrices and a factor between them are all that is stored. As x is real, p to
A/2 are enough: X[-k] has the power of X[k].
"""

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from edge_targets.runtime.contract import TensorSpec
from toolkit.data.audio import audio_spec, sample_rate_of
from toolkit.data.dataset import Facts
from toolkit.features.base import Feature, refused

if TYPE_CHECKING:
    from torch import nn

WINDOW_S = 0.032  # speech hardly changes in it
MELS = 24
LOWEST_HZ = 60.0  # below is hum, and no voice
QUIETEST = 1e-4  # root mean square of a clip that is too quiet to be made louder
FLOOR = 1e-4  # power of what is taken for silence, beside a clip whose mean square is 1
BATCH = 64  # clips that are fitted on at a time


class LogMel(Feature):
    """Loudness in bands that are as wide as the ear's, frame by frame; gives a (1, time, band)."""

    order = 5

    sample_rate: Annotated[int, Field(gt=0, description="Of the sound, in hertz.")]
    window: Annotated[
        int, Field(ge=16, description="Samples a frame, a power of two; frames overlap by half.")
    ]
    mels: Annotated[int, Field(ge=1, description="Bands, evenly spaced in mel.")]
    minus: Annotated[tuple[float, ...], Field(description="Mean of each band, subtracted.")] = ()
    times: Annotated[tuple[float, ...], Field(description="Then multiplied by, band by band.")] = ()

    @classmethod
    def fit(cls, inputs: NDArray[np.float32], facts: Facts) -> Self | None:
        import torch

        rate = sample_rate_of(facts.input)
        if not rate:
            return None
        longest = min(WINDOW_S * rate, inputs.shape[-1])
        window = 2 ** max(4, math.floor(math.log2(longest)))
        bare = cls(sample_rate=rate, window=window, mels=MELS)
        module = bare.module()
        with torch.no_grad():
            batches = [
                module(torch.from_numpy(inputs[start : start + BATCH].copy())).numpy()
                for start in range(0, len(inputs), BATCH)
            ]
        bands = np.concatenate(batches).reshape(-1, MELS).astype(np.float64)
        minus, deviation = bands.mean(axis=0), bands.std(axis=0)
        times = 1 / np.where(deviation > 1e-6, deviation, 1.0)
        return bare.model_copy(
            update={"minus": tuple(minus.tolist()), "times": tuple(times.tolist())}
        )

    def shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        return (1, 2 * shape[-1] // self.window - 1, self.mels)

    def takes(self, given: TensorSpec) -> TensorSpec:
        if len(given.shape) != 4 or given.shape[1] != 1 or given.shape[3] != self.mels:
            raise refused(
                self, given, f"gives [1, time, {self.mels}]", "Set mels to what the model takes."
            )
        samples = (given.shape[2] + 1) * self.window // 2
        return replace(audio_spec(self.sample_rate, samples), name=given.name)

    def module(self) -> "nn.Module":
        import torch
        from torch import nn

        class Spectrogram(nn.Module):
            taper: torch.Tensor
            first: torch.Tensor
            cosine: torch.Tensor
            sine: torch.Tensor
            second: torch.Tensor
            bands: torch.Tensor
            minus: torch.Tensor
            times: torch.Tensor

            def __init__(self, step: "LogMel") -> None:
                super().__init__()
                for name, values in constants(step).items():
                    self.register_buffer(name, torch.from_numpy(values.astype(np.float32)))

            def forward(self, sound: torch.Tensor) -> torch.Tensor:
                rows, columns = self.taper.shape  # A and B
                hop = rows * columns // 2
                count = sound.shape[-1] // hop
                sound = sound[:, 0, : count * hop]
                # as loud as any other: else a quiet speaker is none of those that were learned
                sound = sound / ((sound * sound).mean(dim=1, keepdim=True).sqrt() + QUIETEST)
                halves = sound.reshape(-1, count, rows // 2, columns)
                frames = torch.cat([halves[:, :-1], halves[:, 1:]], dim=2) * self.taper
                parts = torch.matmul(frames.transpose(2, 3), self.first).transpose(2, 3)
                real, imaginary = parts.chunk(2, dim=2)
                turned = torch.cat(
                    [
                        real * self.cosine + imaginary * self.sine,
                        imaginary * self.cosine - real * self.sine,
                    ],
                    dim=3,
                )
                real, imaginary = torch.matmul(turned, self.second).chunk(2, dim=3)
                power = (real * real + imaginary * imaginary).flatten(2)
                heard = torch.log(torch.matmul(power, self.bands) + FLOOR)
                return ((heard - self.minus) * self.times)[:, None]

        return Spectrogram(self)


def constants(step: LogMel) -> dict[str, NDArray[np.float64]]:
    """What the graph stores, by the name it has there."""
    rows = 2 ** math.ceil(math.log2(step.window) / 2)  # A
    columns = step.window // rows  # B
    kept = rows // 2 + 1  # of p
    samples = np.arange(step.window).reshape(rows, columns)
    taper = 0.5 - 0.5 * np.cos(2 * np.pi * samples / step.window)  # von Hann's
    a, b, p, q = np.arange(rows), np.arange(columns), np.arange(kept), np.arange(columns)
    turn = 2 * np.pi * np.outer(a, p) / rows
    twist = 2 * np.pi * np.outer(p, b) / step.window
    angle = 2 * np.pi * np.outer(b, q) / columns
    real, imaginary = np.cos(angle), -np.sin(angle)
    return {
        # a sine with the amplitude 1 has the power 1
        "taper": taper * 2 / taper.sum(),
        "first": np.hstack([np.cos(turn), -np.sin(turn)]),
        "cosine": np.cos(twist),
        "sine": np.sin(twist),
        "second": np.block([[real, imaginary], [-imaginary, real]]),
        "bands": mel_bands(step, p, q),
        "minus": np.array(step.minus or [0.0] * step.mels),
        "times": np.array(step.times or [1.0] * step.mels),
    }


def mel_bands(step: LogMel, p: NDArray[np.int_], q: NDArray[np.int_]) -> NDArray[np.float64]:
    """Triangles evenly spaced in mel: the share of X[p + A·q], p after p, in every band."""
    k = np.add.outer(p, 2 * (len(p) - 1) * q)
    mirrored = k > step.window // 2
    frequency = np.where(mirrored, step.window - k, k) * step.sample_rate / step.window
    places = hertz(np.linspace(mel(LOWEST_HZ), mel(step.sample_rate / 2), step.mels + 2))
    low, centre, high = places[:-2], places[1:-1], places[2:]
    rising = (frequency[..., None] - low) / (centre - low)
    falling = (high - frequency[..., None]) / (high - centre)
    share = np.clip(np.minimum(rising, falling), 0, None)
    # the first and the last p hold both X[k] and X[-k]: one of them is enough
    share[mirrored & np.isin(p, (p[0], p[-1]))[:, None]] = 0
    return share.reshape(-1, step.mels)


def mel(frequency: float) -> float:
    """O'Shaughnessy 1987: even steps sound even."""
    return 2595 * math.log10(1 + frequency / 700)


def hertz(mels: NDArray[np.float64]) -> NDArray[np.float64]:
    return 700 * (10 ** (mels / 2595) - 1)
