"""The pattern of the invisible mark: a tile of chips (small squares, brighter or darker) repeated over the picture.

A tile is 64 x 64 chips. About a third of them, the sync chips, always have the same signs (+1 or -1). With these a
reader finds how large the chips are in a picture, where the tile begins and whether the picture was mirrored. The
others carry the 336 signs of the word (the data), each on about eight chips and multiplied by a secret sign (the key).

Convention:
    * (x, y), x to the right, y down, in chips; the picture's left and upper edges are at 0. Chip (0, 0) of the tile has
      its centre at ``start``.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from portrait_anim.provenance import ecc

Array = npt.NDArray[np.float32]

TILE = 64  # chips along a side of the tile
SYNC_SHARE = 1 / 3
# (short side up to px, chips along it). Fine chips carry more of them, coarse ones survive reduction and coarse
# quantisation: on 512 px films 96 lost 20 % of the strength at CRF 16 and 176 half of it at CRF 28 + half size.
CHIPS_ACROSS = ((240, 72), (340, 96), (600, 128), (1000, 160), (1600, 192), (2600, 256))
CHIPS_ACROSS_LARGEST = 384
# Small dark films get coarse chips: an encoder throws the fine ones away first. 48 outlived as much, but a quarter cut
# off leaves fewer than can be read.
CHIPS_ACROSS_COARSE = 56
COARSE_MAX_PX, COARSE_LUMA = 340, 45.0  # short side px up to; mean luma (0-255) below. In lighter films they were worse
LOW_CUT = 0.12  # cycles/chip; lower frequencies look like dirt, and pictures are strongest there
HIGH_CUT = 0.45  # cycles/chip; .5 is the highest that chips have


@dataclass(frozen=True)
class Layout:
    """The role of each chip of the tile.

    Attributes:
        sync: (64, 64) float32, the sync chips' signs, 0 at the others.
        sign: (64, 64) float32, the data chips' keyed signs, 0 at the sync chips.
        index: (64, 64) int, which of the 336 coded signs a data chip carries; 0 at the sync chips.
    """

    sync: Array
    sign: Array
    index: npt.NDArray[np.int64]


@functools.cache
def layout() -> Layout:
    """Return the tile's layout; it depends on the key alone."""
    count = TILE * TILE
    signs = 1.0 - 2.0 * ecc.keyed_bits("signs", count).astype(np.float32)
    keys = np.packbits(ecc.keyed_bits("order", count * 32)).view(">u4")
    order = np.argsort(keys, kind="stable")
    n_sync = round(count * SYNC_SHARE)
    sync, sign, index = np.zeros(count, np.float32), np.zeros(count, np.float32), np.zeros(count, np.int64)
    sync[order[:n_sync]] = signs[order[:n_sync]]
    data = order[n_sync:]
    sign[data] = signs[data]
    index[data] = np.arange(data.size) % ecc.CODED_BITS
    shape = (TILE, TILE)
    return Layout(sync.reshape(shape), sign.reshape(shape), index.reshape(shape))


def chips(coded: Array) -> Array:
    """Return the tile's chip values for one word.

    Shape:
        coded: (336,) signs.
        returns: (64, 64) float32, +1 or -1.
    """
    plan = layout()
    return np.asarray(plan.sync + plan.sign * coded[plan.index], np.float32)


def shaped(values: Array, oversampling: int) -> Array:
    """Return a tile of chips as a band-passed picture.

    Shape:
        values: (64, 64).
        returns: (64 * oversampling, 64 * oversampling) float32; chip (0, 0) has its centre at pixel (0, 0).
    """
    side = TILE * oversampling
    frequency = np.fft.fftfreq(TILE)
    radius = np.hypot(frequency[:, None], frequency[None, :])  # cycles/chip
    gain = 1 / (1 + np.exp((LOW_CUT - radius) / 0.02)) / (1 + np.exp((radius - HIGH_CUT) / 0.03))
    spectrum = np.zeros((side, side), np.complex128)
    places = np.round(frequency * TILE).astype(int) % side
    spectrum[np.ix_(places, places)] = np.fft.fft2(values) * gain
    return np.asarray(np.fft.ifft2(spectrum).real * oversampling**2, np.float32)


@functools.cache
def sync_spectrum(oversampling: int) -> npt.NDArray[np.complex128]:
    """Return the conjugate spectrum of the sync chips, for correlating with it."""
    return np.asarray(np.conj(np.fft.rfft2(shaped(layout().sync, oversampling))))


@functools.cache
def chip_spectrum(oversampling: int) -> npt.NDArray[np.complex128]:
    """Return the conjugate spectrum of one chip at (0, 0): the filter matched to a chip."""
    one = np.zeros((TILE, TILE), np.float32)
    one[0, 0] = 1
    return np.asarray(np.conj(np.fft.rfft2(shaped(one, oversampling))))


def needs_coarse(size: tuple[int, int], mean_luma: float) -> bool:
    """Return whether fine chips would not outlive an encoder in a film of ``size`` (width, height) px.

    Args:
        size: of the film.
        mean_luma: of the film, 0-255.
    """
    return min(size) <= COARSE_MAX_PX and mean_luma < COARSE_LUMA


def chips_across(size: tuple[int, int], *, coarse: bool = False) -> int:
    """Return how many chips lie along the short side of a film of ``size`` (width, height) px; see ``needs_coarse``."""
    if coarse:
        return CHIPS_ACROSS_COARSE
    return next((across for limit, across in CHIPS_ACROSS if min(size) <= limit), CHIPS_ACROSS_LARGEST)


def known_across() -> set[int]:
    """Return every number of chips that a film may have along its short side."""
    return {across for _, across in CHIPS_ACROSS} | {CHIPS_ACROSS_LARGEST, CHIPS_ACROSS_COARSE}


def picture(values: Array, size: tuple[int, int], chip_px: float, start: tuple[float, float]) -> Array:
    """Return the tile repeated over a picture, with a standard deviation of about 1.

    Shape:
        values: (64, 64) chips.
        size: (width, height) px.
        chip_px: side of a chip.
        start: (x, y) of a tile's beginning, in chips.
        returns: (height, width) float32.
    """
    oversampling = 4
    tile = shaped(values, oversampling)
    tile /= tile.std()
    padded = np.pad(tile, ((0, 1), (0, 1)), mode="wrap")
    side = TILE * oversampling
    x = (((np.arange(size[0]) + 0.5) / chip_px - start[0]) * oversampling) % side
    y = (((np.arange(size[1]) + 0.5) / chip_px - start[1]) * oversampling) % side
    return _interpolate(_interpolate(padded, x, axis=1), y, axis=0)


def _interpolate(values: Array, at: npt.NDArray[np.floating[Any]], axis: int) -> Array:
    whole = np.minimum(np.floor(at).astype(np.intp), values.shape[axis] - 2)
    part = (at - whole).astype(np.float32)
    part = part[None, :] if axis == 1 else part[:, None]
    return np.asarray(np.take(values, whole, axis) * (1 - part) + np.take(values, whole + 1, axis) * part, np.float32)
