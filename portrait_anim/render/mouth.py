"""The inside of the mouth, which the photo does not show: drawn from the photo's light and colours.

Upper teeth belong to the skull, lower teeth and tongue to the jaw; a cavity lies behind. Everything is a smooth
function of position in mouth-local units (IOD), so edges are antialiased at any resolution.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from portrait_anim.opencv import cv2

Array = npt.NDArray[np.float32]

CAVITY = np.array([46, 16, 17], np.float32)  # RGB at full exposure
TONGUE = np.array([168, 88, 84], np.float32)
GUM = np.array([176, 96, 94], np.float32)
TEETH = np.array([238, 218, 188], np.float32)

_TOOTH_EDGES = (0.0, 0.095, 0.166, 0.238)  # IOD from the middle: central, lateral, canine (8.5, 6.5, 6.5 mm of 90)


@dataclass(frozen=True)
class MouthLook:
    """How this photo's mouth is lit.

    Attributes:
        exposure: brightness of the skin round the mouth, 0..1.
        tint: (3,) the light's colour relative to white, about 1.
        blur: Gaussian sigma in px that matches the photo's sharpness.
        grain: standard deviation of the photo's noise, grey levels.
        monochrome: whether the photo has no colour.
        width: half the distance of the mouth corners at rest, IOD.
        seam: (2, N) the resting line between the lips, u and v (IOD); a smile bends the teeth's edge with it.
    """

    exposure: float
    tint: Array
    blur: float
    grain: float
    monochrome: bool
    width: float
    seam: Array


def _edge(x: npt.NDArray[np.floating], softness: float) -> Array:
    """Return a smooth 0..1 step over ``x`` (IOD), ``softness`` wide."""
    t = np.clip(x / softness + 0.5, 0, 1)
    return np.asarray(t * t * (3 - 2 * t), np.float32)


def _mix(below: Array, colour: Array, alpha: Array) -> Array:
    """Lay ``colour`` (3,) or (H, W, 3) over (H, W, 3) with (H, W) opacity."""
    return np.asarray(below + (colour - below) * alpha[..., None], np.float32)


def _teeth(u: Array, edge: Array, softness: float) -> tuple[Array, Array]:
    """Opacity of a row of teeth (1 where ``edge`` > 0) and its shading, both (H, W); ``u`` IOD from the middle."""
    across = np.abs(u)
    shade = 1 - 0.62 * np.clip(across / 0.27, 0, 1) ** 2  # the arch turns away into the dark
    for at in _TOOTH_EDGES:
        shade = shade * (1 - 0.16 * np.exp(-0.5 * ((across - at) / (0.006 + 0.3 * softness)) ** 2))
    return _edge(edge, softness) * _edge(0.30 - across, 0.08), np.asarray(shade, np.float32)


def draw_interior(u: Array, v: Array, pixel: float, opening: float, jaw: tuple[float, float], look: MouthLook) -> Array:
    """Paint the inside of the mouth.

    Args:
        u: (H, W) IOD to the picture's right of the resting mouth's middle, in the skull's frame.
        v: (H, W) IOD up from the resting line between the lips, in the skull's frame.
        pixel: IOD to a pixel, for antialiasing.
        opening: current aperture of the inner lips, IOD.
        jaw: (right, up) displacement of the jaw from rest, IOD.
        look: the photo's light.

    Returns:
        (H, W, 3) float32 RGB 0..255.
    """
    soft = 1.5 * pixel
    depth = float(np.clip(opening / 0.16, 0, 1))  # how much light falls in
    lit = 0.94 + 0.06 * depth
    height, width = u.shape
    canvas = np.broadcast_to(CAVITY, (height, width, 3)).astype(np.float32)
    canvas = canvas * (0.55 + 0.45 * _edge(-v - 0.02, 0.2))[..., None]
    uj, vj = u - jaw[0], v - jaw[1]
    tongue = _edge(1 - (uj / 0.21) ** 2 - ((vj + 0.145) / 0.125) ** 2, 0.7)
    groove = 1 - 0.18 * np.exp(-0.5 * (uj / 0.02) ** 2)
    canvas = _mix(canvas, TONGUE * (lit * 0.55) * groove[..., None], tongue * 0.9)
    bend = (0.7 * np.interp(u, *look.seam)).astype(np.float32)
    alpha, shade = _teeth(u, v - bend + 0.036 - 0.06 * u * u, soft)
    gum = _edge(v - bend - 0.085 - 0.25 * u * u, 0.02)
    rows = _mix(TEETH * shade[..., None], GUM * shade[..., None], gum)
    under_lip = 1 - 0.25 * _edge(v - bend, 0.06)  # the upper lip's shadow
    canvas = _mix(canvas, rows * lit * under_lip[..., None], alpha)
    alpha, shade = _teeth(uj * 1.18, -(vj + 0.012 + 0.16 * uj * uj), soft)
    fade = _edge(0.085 + vj + 0.1, 0.05)
    canvas = _mix(canvas, TEETH * (0.72 * lit) * shade[..., None], alpha * fade * (0.35 + 0.65 * depth))
    corners = np.clip(np.abs(u) / np.float32(1.05 * look.width), 0, 1) ** 3
    canvas = np.asarray(canvas * (1 - 0.55 * corners)[..., None], np.float32)  # dark at the sides
    canvas = canvas * look.tint * look.exposure
    if look.monochrome:
        canvas = np.repeat(canvas @ np.array([[0.299], [0.587], [0.114]], np.float32), 3, axis=2)
    return np.asarray(canvas, np.float32)


def lip_mask(loop: Array, shape: tuple[int, int], blur: float) -> Array:
    """Return (H, W) 0..1 coverage of a closed smooth curve through ``loop`` (N, 2) px, antialiased."""
    n = len(loop)
    steps = np.arange(0, n, 0.25)
    i = steps.astype(int)
    t = (steps - i)[:, None]
    p0, p1, p2, p3 = (loop[(i + k) % n] for k in (-1, 0, 1, 2))
    curve = 0.5 * (2 * p1 + (p2 - p0) * t + (2 * p0 - 5 * p1 + 4 * p2 - p3) * t**2 + (3 * p1 - p0 - 3 * p2 + p3) * t**3)
    mask: npt.NDArray[np.uint8] = np.zeros(shape, np.uint8)
    cv2.fillPoly(mask, [np.round(curve * 16).astype(np.int32)], 255, cv2.LINE_AA, 4)
    coverage = cv2.GaussianBlur(mask, (0, 0), blur) if blur > 0.3 else mask
    return np.asarray(coverage, np.float32) / np.float32(255)
