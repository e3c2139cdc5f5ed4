"""Measures what several channels hold, and chooses what the nets get: their mean, or one where they cancel out."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from portrait_anim.config import SAMPLE_RATE

Waveform = npt.NDArray[np.float32]

STRETCH_S = 0.5  # s, stretches in which channels and their mean are compared
LOST = (
    0.1  # the mean keeps less than this share of the energy it would have if the channels were independent: they cancel
)
HEARD_DBFS = -60.0  # quieter stretches are not compared
SILENT_CHANNEL_DB = 30.0  # channels this far below the loudest are left out of a mean of many
ABOUT = 0.8  # share of the loudest channel's energy (1 dB less) from which on another counts as equally loud
# strays are single samples far beyond all others, left by damage or a wrong format
STRAY_SHARE = 1e-3  # greatest share of all samples that may be strays
MAX_STRAYS = 500  # and greatest number: a second of speech in an hour of silence is no stray
STRAY_FACTOR = 8.0  # they are this many times above the magnitude that all others stay below
STRAY_ROOM = 4.0  # samples up to this many times that magnitude, or up to full scale, are kept

_LOWEST, _HIGHEST = -60, 130  # powers of two that magnitudes are sorted into


@dataclass(frozen=True)
class Contents:
    """Measures of a whole sound.

    Attributes:
        energies: (n_stretches, C) mean square of each channel in stretches of half a second.
        mean_energy: (n_stretches,) that of the channels' mean.
        octaves: samples by the power of two above their magnitude, from 2^-60.
        peak: largest finite magnitude.
        broken: samples that are NaN or infinite.
        total: all samples.
        peak_at_s: where the peak is.
        broken_at_s: where the first broken sample is.
    """

    energies: npt.NDArray[np.float64]
    mean_energy: npt.NDArray[np.float64]
    octaves: npt.NDArray[np.int64]
    peak: float
    broken: int
    total: int
    peak_at_s: float
    broken_at_s: float

    @property
    def cancels(self) -> npt.NDArray[np.bool_]:
        """(n_stretches,) where the mean loses most of what its channels hold."""
        n_channels = self.energies.shape[1]
        independent = self.energies.sum(1) / n_channels**2
        heard = self.energies.max(1, initial=0.0) > 10 ** (HEARD_DBFS / 10)
        cancelled: npt.NDArray[np.bool_] = heard & (self.mean_energy < LOST * independent)
        return cancelled

    def is_lost(self, downmix: Waveform) -> bool:
        """Return whether a downmix (N,) lacks what the channels hold, such as a voice in the bass channel."""
        independent = float(self.energies.sum(1).mean()) / self.energies.shape[1] ** 2
        return bool(np.square(downmix, dtype=np.float64).mean() < LOST * independent)

    def better_channel(self, stretches: npt.NDArray[np.bool_]) -> int:
        """Return the channel, from 0, that is loudest in these stretches; the first of those that are about as loud."""
        energy = self.energies[stretches].sum(0)
        return int(np.flatnonzero(energy >= ABOUT * energy.max())[0])

    def sounding(self) -> tuple[int, ...]:
        """Return the channels, from 0, that are not silent beside the loudest."""
        energy = self.energies.sum(0)
        return tuple(np.flatnonzero(energy >= energy.max() * 10 ** (-SILENT_CHANNEL_DB / 10)).tolist())

    @property
    def usual_peak(self) -> float:
        """Peak without the strays, with room for what all but a few samples stay below; ``peak`` if there are none."""
        above = np.cumsum(self.octaves[::-1])[::-1]  # samples in this power of two and higher ones
        few = np.flatnonzero(above <= max(1, min(STRAY_SHARE * self.total, MAX_STRAYS)))
        usual = float(2.0 ** (_LOWEST + few[0] - 1)) if len(few) else self.peak
        if self.peak <= max(1.0, STRAY_FACTOR * usual):
            return self.peak
        return STRAY_ROOM * usual if usual > 1 else 1.0

    @property
    def n_strays(self) -> int:
        """Samples above ``usual_peak``."""
        if self.usual_peak == self.peak:
            return 0
        return int(self.octaves[round(np.log2(self.usual_peak)) - _LOWEST + 1 :].sum())


def contents_of(pieces: Iterable[Waveform], sample_rate: int) -> Contents:
    """Go through blocks (n, C) of a sound once, in constant memory."""
    step = round(STRETCH_S * sample_rate)
    octaves = np.zeros(_HIGHEST - _LOWEST + 1, np.int64)
    sums: list[npt.NDArray[np.float64]] = []  # (C + 1,) of squares of each stretch: the channels', the mean's
    peak, peak_at, broken, broken_at, done, channels = 0.0, 0, 0, 0, 0, 1
    for raw in pieces:
        channels = raw.shape[1]
        good = np.isfinite(raw)
        if not good.all():
            broken_at = broken_at if broken else done + int(np.argmin(good.all(1)))
            broken += int((~good).sum())
        block = np.where(good, raw, np.float32(0))
        magnitudes = np.abs(block)
        octaves += _by_octave(magnitudes)
        if len(block) and (highest := float(magnitudes.max())) > peak:
            peak, peak_at = highest, done + int(magnitudes.max(1).argmax())
        squares = np.concatenate([block, block.mean(1, keepdims=True)], 1, dtype=np.float64) ** 2  # (n, C + 1)
        for start in _cuts(done, len(block), step):
            end = min(len(block), start + step - (done + start) % step)
            if (done + start) // step == len(sums):
                sums.append(np.zeros(channels + 1))
            sums[-1] += squares[start:end].sum(0)
        done += len(block)
    table = np.array(sums).reshape(-1, channels + 1) / step
    return Contents(
        table[:, :-1], table[:, -1], octaves, peak, broken, done * channels, peak_at / sample_rate,
        broken_at / sample_rate,
    )  # fmt: skip


def _by_octave(magnitudes: Waveform) -> npt.NDArray[np.int64]:
    powers = np.frexp(magnitudes)[1].clip(_LOWEST, _HIGHEST) - _LOWEST  # magnitude < 2^power
    powers[magnitudes == 0] = 0
    return np.bincount(powers.ravel(), minlength=_HIGHEST - _LOWEST + 1)


def _cuts(done: int, length: int, step: int) -> list[int]:
    """Return where stretches begin or go on within a block of ``length`` samples that begins at sample ``done``."""
    return [0, *range(step - done % step, length, step)] if length else []


def replaced(mean: Waveform, channel: Waveform, stretches: npt.NDArray[np.bool_]) -> Waveform:
    """Return the mean with ``channel`` in its place in these stretches, fading over half a second; (N,) at 16 kHz."""
    length = min(len(mean), len(channel))
    centres = (np.arange(len(stretches)) + 0.5) * STRETCH_S * SAMPLE_RATE
    share = np.interp(np.arange(length), centres, stretches.astype(np.float32)).astype(np.float32)
    heard = mean.copy()
    heard[:length] += share * (channel[:length] - mean[:length])
    return heard
