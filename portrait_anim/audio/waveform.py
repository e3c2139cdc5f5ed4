"""Sound given as an array: checks it and turns it into float samples."""

from __future__ import annotations

import logging
import numbers
from typing import Any

import numpy as np
import numpy.typing as npt

from portrait_anim.audio.kept import pieces
from portrait_anim.config import SAMPLE_RATE
from portrait_anim.errors import AudioError

logger = logging.getLogger(__name__)

MAX_CHANNELS = 64  # greatest length of an axis that holds channels
SURE_CHANNELS = 8  # as in 7.1 sound; an axis of at most this length always holds channels
MIN_LENGTH_RATIO = 16  # with more channels, the time axis must be this many times as long
MIN_SAMPLE_RATE, MAX_SAMPLE_RATE = 1_000, 768_000  # Hz

MAX_LIVE_VALUE = 2.0**15  # greatest magnitude of a live float sample; larger ones are errors

_INT16 = np.iinfo(np.int16)
_KNOWN_INTEGERS = ("int8", "uint8", "int16", "uint16", "int32", "uint32")


def check_sample_rate(sample_rate: object) -> int:
    """Return ``sample_rate`` in Hz as a plain int.

    Raises:
        AudioError: not a whole number, or outside 1 000 to 768 000 Hz.
    """
    number = sample_rate.item() if isinstance(sample_rate, np.ndarray) and sample_rate.ndim == 0 else sample_rate
    if isinstance(number, np.ndarray):
        raise AudioError("the sample rate is an array: give (waveform, sample_rate), in this order")
    if isinstance(number, bool) or not isinstance(number, numbers.Real) or float(number) % 1:
        raise AudioError(f"sample rate {number!r} is not a whole number of Hz: give for example 16000 or 44100")
    if not MIN_SAMPLE_RATE <= float(number) <= MAX_SAMPLE_RATE:
        raise AudioError(
            f"sample rate {number} is outside {MIN_SAMPLE_RATE}-{MAX_SAMPLE_RATE} Hz: give the recording's own rate"
        )
    return int(float(number))


def as_channels(waveform: object) -> npt.NDArray[np.float32]:
    """Return ``waveform`` as float samples, time first.

    Floats have full scale 1 and are kept as they are (see ``in_range``); integers of 8 to 32 bit are divided by
    their own full scale, the unsigned ones after taking off their middle.

    Shape:
        waveform: (N,), (N, C) or (C, N); the channel axis is the one of 8 or fewer, or else the one of 64 or fewer
            where the other is at least 16 times as long.
        returns: (N, C) float32; shares no memory with integers' input, may share it with float32 input.

    Raises:
        AudioError: more than two axes, no axis that can be channels, a type without a known full scale,
            NaN or infinite samples.
    """
    samples: npt.NDArray[Any] = np.asarray(waveform)
    if samples.ndim not in (1, 2):
        raise AudioError(f"the waveform has shape {samples.shape}: give (samples,) or (samples, channels)")
    if samples.ndim == 1:
        samples = samples[:, None]  # (N, 1)
    elif samples.shape[1] > SURE_CHANNELS:
        few, many = sorted(samples.shape)
        if few > SURE_CHANNELS and (few > MAX_CHANNELS or many < MIN_LENGTH_RATIO * few):
            raise AudioError(
                f"the waveform has shape {samples.shape}: neither axis can be channels (at most {MAX_CHANNELS})"
            )
        if samples.shape[1] > samples.shape[0] or samples.shape[0] <= SURE_CHANNELS:
            samples = samples.T  # (N, C)
    if samples.shape[1] == 0:
        raise AudioError(f"the waveform has shape {samples.shape}: it has no channels")
    if np.issubdtype(samples.dtype, np.floating):
        with np.errstate(over="ignore"):  # float64 beyond float32 becomes inf and is refused below
            floats = samples.astype(np.float32, copy=False)
        if not np.isfinite(floats).all():
            raise AudioError("the waveform holds NaN or infinite samples: repair it, e.g. with numpy.nan_to_num")
        return floats
    if samples.dtype.name not in _KNOWN_INTEGERS:
        raise AudioError(
            f"the waveform's type {samples.dtype} has no known full scale: give floats in [-1, 1] or int16"
        )
    limits = np.iinfo(samples.dtype)
    middle = 0 if limits.min else (limits.max + 1) // 2
    return ((samples.astype(np.float64) - middle) / ((limits.max + 1) / (2 if middle else 1))).astype(np.float32)


class PieceReader:
    """Turn pieces of live sound, as microphones and speech services send them, into samples.

    Samples that are NaN, infinite or far too large become silence, with one note for the whole sound; no error is
    raised.

    Attributes:
        n_bad: samples that became silence so far.
    """

    def __init__(self) -> None:
        self.n_bad = 0
        self._odd = b""  # half a sample, whose other half comes with the next bytes

    def __call__(self, piece: object) -> npt.NDArray[np.float32]:
        """Return a piece as (N,) float32, full scale 1, channels mixed.

        Args:
            piece: an array or list, (N,), (N, C) or (C, N): floats with full scale 1, integers of 8 to 32 bit, wider
                ones whose values fit in 16 bits; or bytes: 16-bit samples, little-endian, one channel.

        Raises:
            AudioError: it is no sound.
        """
        if isinstance(piece, (bytes, bytearray)) or (isinstance(piece, memoryview) and piece.format in "Bbc"):
            data = self._odd + bytes(piece)
            whole = len(data) - len(data) % 2
            self._odd = data[whole:]
            samples: npt.NDArray[Any] = np.frombuffer(data[:whole], "<i2")
        else:
            try:
                samples = np.asarray(piece)
            except (TypeError, ValueError, RuntimeError) as e:
                kind = type(piece).__name__
                raise AudioError(f"a live piece is a {kind} that is no sound: give samples at {SAMPLE_RATE} Hz") from e
        if samples.size == 0:
            return np.zeros(0, np.float32)
        if np.issubdtype(samples.dtype, np.floating):
            samples = self._clean(samples)
        elif samples.dtype.name in ("int64", "uint64") and samples.min() >= _INT16.min and samples.max() <= _INT16.max:
            samples = samples.astype(np.int16)  # a list of 16-bit samples
        channels = as_channels(samples)  # (N, C)
        return channels[:, 0] if channels.shape[1] == 1 else channels.mean(axis=1, dtype=np.float32)

    def _clean(self, samples: npt.NDArray[np.floating]) -> npt.NDArray[np.floating]:
        good = np.abs(samples) <= MAX_LIVE_VALUE  # False for NaN too
        if good.all():
            return samples
        if not self.n_bad:
            logger.warning("the live sound holds NaN, infinite or impossibly large samples: they are taken as silence")
        self.n_bad += int(good.size - np.count_nonzero(good))
        return np.where(good, samples, 0)


def longer(samples: npt.NDArray[np.float32], length: int) -> npt.NDArray[np.float32]:
    """Return (N,) ``samples`` with silence up to ``length``; those that are as long already are not copied."""
    return np.pad(samples, (0, length - len(samples))) if len(samples) < length else samples


def in_range(samples: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Return ``samples`` divided by their peak where that is over 1: nothing is clipped, nothing is made louder."""
    peak = peak_of(samples)
    return samples / np.float32(peak) if peak > 1 else samples


def peak_of(samples: npt.NDArray[np.float32]) -> float:
    """Return the greatest magnitude, 0 of nothing; NaN where a sample is."""
    return float(np.max([np.abs(piece).max() for piece in pieces(samples)], initial=0.0))
