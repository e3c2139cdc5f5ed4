"""Prepares a picture for correlation with the pattern at one chip size: texture levelled, all tiles added up."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from portrait_anim.provenance import ecc, pattern
from portrait_anim.system.opencv import cv2

Array = npt.NDArray[np.float32]

_HIGH_PASS = 1.0  # chips, sigma
_NEIGHBOURHOOD = 8  # chips, side of the window in which the picture's own texture is levelled
_FLOOR = 0.7  # grey levels, least strength of texture: rounding noise in flat areas counts for little
_CLIP = 2.5  # standard deviations
_SPECTRAL_WINDOW = 11  # bins over which the folded picture's spectrum is levelled


def luma(frame: npt.NDArray[np.uint8]) -> Array:
    """Return the luma of a frame, (H, W) float32, 0-255."""
    return np.asarray(cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY), np.float32)


def resized(picture: Array, shape: tuple[int, int]) -> Array:
    """Return ``picture`` in another size (height, width): area averages when smaller, cubic when larger."""
    smaller = shape[0] < picture.shape[0]
    method = cv2.INTER_AREA if smaller else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(picture, shape[::-1], interpolation=method), np.float32)


def whitened(picture: Array, chip_px: float) -> Array:
    """Return the fine structure of a picture with its strength levelled, clipped at 2.5 standard deviations."""
    high = picture - cv2.GaussianBlur(picture, (0, 0), _HIGH_PASS * chip_px)
    side = round(_NEIGHBOURHOOD * chip_px) | 1
    spread = np.sqrt(np.maximum(cv2.blur(high * high, (side, side)), 0))  # its running sums round below zero
    return np.asarray(np.clip(high / (spread + _FLOOR), -_CLIP, _CLIP), np.float32)


def spectrum_of_tile(picture: Array, across: tuple[float, float], oversampling: int) -> npt.NDArray[np.complex128]:
    """Return the levelled spectrum of ``picture`` folded onto one tile.

    Args:
        picture: (H, W) float32 luma.
        across: chips along the width and the height.
        oversampling: pixels per chip to work with.

    Shape:
        returns: (S, S // 2 + 1) complex, S = 64 * oversampling, as of ``numpy.fft.rfft2``.
    """
    shape = (max(8, round(across[1] * oversampling)), max(8, round(across[0] * oversampling)))
    level = whitened(resized(picture, shape), oversampling)
    side = pattern.TILE * oversampling
    rows, columns = -(-shape[0] // side), -(-shape[1] // side)
    padded = np.zeros((rows * side, columns * side), np.float32)
    padded[: shape[0], : shape[1]] = level
    folded = padded.reshape(rows, side, columns, side).sum((0, 2))  # (S, S)
    spectrum = np.fft.rfft2(folded)
    power = np.abs(np.fft.fft2(folded)).astype(np.float32) ** 2
    half = _SPECTRAL_WINDOW // 2
    around = cv2.blur(np.pad(power, half, mode="wrap"), (_SPECTRAL_WINDOW, _SPECTRAL_WINDOW))[half:-half, half:-half]
    around = np.maximum(around, 0)
    return np.asarray(spectrum / (around[:, : spectrum.shape[1]] + 1e-3 * around.max() + 1e-9))


def mirrored(spectrum: npt.NDArray[np.complex128]) -> npt.NDArray[np.complex128]:
    """Return the spectrum of the tile seen in a mirror (left and right swapped about pixel 0)."""
    return np.asarray(np.conj(np.roll(spectrum[::-1], 1, axis=0)))


def surface(spectrum: npt.NDArray[np.complex128], kernel: npt.NDArray[np.complex128]) -> npt.NDArray[np.float64]:
    """Return the correlation for every shift, in its own standard deviations: (S, S)."""
    side = spectrum.shape[0]
    correlation = np.fft.irfft2(spectrum * kernel, s=(side, side))
    return np.asarray(correlation / (correlation.std() + 1e-12))


def soft_signs(spectrum: npt.NDArray[np.complex128], shift: tuple[int, int], oversampling: int) -> Array:
    """Return the evidence for each of the 336 coded signs when the tile begins at ``shift`` (row, column) px.

    Shape:
        returns: (336,) float32; in noise of standard deviation about 1.
    """
    side = spectrum.shape[0]
    matched = np.fft.irfft2(spectrum * pattern.chip_spectrum(oversampling), s=(side, side))
    values = np.roll(matched, (-shift[0], -shift[1]), (0, 1))[::oversampling, ::oversampling]  # (64, 64)
    plan = pattern.layout()
    sums = np.bincount(plan.index.ravel(), weights=(values * plan.sign).ravel(), minlength=ecc.CODED_BITS)
    chips_each = np.count_nonzero(plan.sign) / ecc.CODED_BITS
    return np.asarray(sums / (values.std() * np.sqrt(chips_each) + 1e-12), np.float32)
