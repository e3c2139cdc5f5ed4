"""Colours in CIELAB (L lightness 0..100, a from green to red, b from blue to yellow), also as under more light.

In a dark photo differences between skin, lips and teeth are small. So a dark face is looked at as if it were lit more
brightly (``gain`` times), colours are found there, and are brought back into the photo's own light.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from portrait_anim.system.opencv import cv2

Array = npt.NDArray[np.float32]

DIM_SKIN = 40.0  # L of the skin below which a photo counts as dark; its light is multiplied up to this
DARKEST = 0.02  # its light is multiplied by at most 1 / DARKEST squared, 2500


def to_lab(rgb: Array, gain: float = 1.0) -> Array:
    """Return (N, 3) CIELAB of (N, 3) or (3,) sRGB 0..255, as if lit ``gain`` times as brightly."""
    share = np.asarray(rgb / 255, np.float32).reshape(1, -1, 3)
    return np.asarray(cv2.cvtColor(share if gain == 1.0 else _lit(share, gain), cv2.COLOR_RGB2LAB)[0])


def to_rgb(lab: npt.NDArray[np.floating], gain: float = 1.0) -> Array:
    """Return (3,) sRGB 0..255 of a CIELAB colour (3,), with the light divided by ``gain``."""
    rgb = np.clip(cv2.cvtColor(np.asarray(lab, np.float32).reshape(1, 1, 3), cv2.COLOR_LAB2RGB), 0, 1)
    return np.asarray((rgb if gain == 1.0 else _lit(rgb, 1 / gain))[0, 0] * 255, np.float32)


def _lit(rgb: npt.NDArray[np.floating], gain: float) -> Array:
    """Return sRGB colours 0..1 under ``gain`` times the light (the curves of IEC 61966-2-1)."""
    light = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4) * gain
    light = np.clip(light, 0, 1)
    return np.asarray(np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055), np.float32)


def gain_of(lightness: float) -> float:
    """Return how many times more light would bring skin of this lightness (L) to ``DIM_SKIN``; 1 at least."""

    def luminance(value: float) -> float:
        t = (value + 16) / 116
        return t**3 if value > 8 else value / 903.3

    return max(1.0, min(luminance(DIM_SKIN) / max(luminance(lightness), 1e-6), 1 / DARKEST**2))
