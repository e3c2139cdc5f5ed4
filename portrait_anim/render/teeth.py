"""Textures of the inside of the mouth: the upper teeth, the lower teeth, and the cavity with the tongue.

Each is painted once for a photo and placed frame by frame by :mod:`portrait_anim.render.mouth`.

Convention:
    * Mouth-local axes: u to the picture's right from the middle of the resting mouth, v up from the line between the
      lips, both in IOD. :class:`Grid` says which pixel of a texture lies where.
    * Colours are RGB 0..255. Teeth have a fourth channel, opacity 0..1; their colours are already multiplied by it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from portrait_anim.render.light import MouthLook
from portrait_anim.system.easing import eased

Array = npt.NDArray[np.float32]
Affine = npt.NDArray[np.float64]

# size of the textures
U_REACH, V_TOP, V_BOTTOM = 0.42, 0.16, 0.34  # IOD that they cover: to either side, up, down
TEXTURE_SCALE = (120, 500)  # px an IOD, at least and at most
EDGE_SOFT_PX = 1.5  # px of the photo or of the texture, whichever are larger: width of a tooth's edge

# a row of teeth, from the middle outwards: central incisor, side incisor, canine, first and second premolar
UPPER_WIDTHS = (0.092, 0.066, 0.058, 0.046, 0.036)  # IOD, as seen from the front
LOWER_WIDTHS = (0.058, 0.062, 0.060, 0.046, 0.036)
WIDTH_SPREAD = 0.05  # standard deviation between people, share of the width
SHORTER = (0.0, 0.006, 0.001, 0.008, 0.012)  # IOD by which each is shorter than the central one
SHORTER_SPREAD = 0.0025  # IOD, standard deviation between people
CORNER_ROUND = 0.006  # IOD by which a tooth's corners are shorter than its middle
TOOTH_LIGHT = (1.0, 0.93, 0.76, 0.54, 0.34, 0.2)  # brightness of each, 0..1, and of what follows the last one
TOOTH_LIGHT_SPREAD = 0.02  # standard deviation between people, share of the brightness
TOWARDS_NEXT = 0.5  # share of the step to the next tooth's brightness that is reached at a tooth's outer side
SIDE_SHADE = 0.10  # share of a tooth's brightness that is missing at its two sides
BEYOND_SHORTER, BEYOND_LIGHT = 0.02, 0.3  # IOD and brightness where no tooth is, beyond the last one
GAP_WIDTH, MIDDLE_GAP_WIDTH = 0.005, 0.0045  # IOD, standard deviation of the dark line between two teeth

# upper teeth; pairs are (IOD where a soft step has its middle, IOD of its width)
UPPER_EDGE = -0.034  # v of their edge in the middle
UPPER_CURVE = 0.10  # edge and gum line rise by this times u squared
UPPER_ROOT = 0.052  # v of the gum line in the middle
UPPER_GUM_ARCH = 0.02  # IOD by which the gum line is higher between two teeth
UPPER_GAP_END = (0.03, 0.05)  # above the gum line: the dark lines between teeth end
TIP_SHADE, TIP = 0.10, (0.012, 0.02)  # share of brightness that is missing at the edge; above the edge
ROOT_SHADE, ROOT = 0.18, (0.035, 0.06)  # the same at the gum line; below the gum line
GUM_SOFT = 0.012  # IOD, width of the step from tooth to gum, at least
UPPER_GUM_LIGHT = (0.4, 0.6)  # brightness of the gums without light, and what full light adds
UPPER_HALF = (0.335, 0.08)  # from the middle: the row ends

# lower teeth
LOWER_EDGE = -0.058  # v of their edge in the middle, jaw shut
LOWER_CURVE = 0.06  # the edge falls by this times u squared
LOWER_SHORTER = 0.7  # share of SHORTER and CORNER_ROUND that they show
LOWER_LIGHT = 0.58  # brightness over that of the upper ones
LOWER_GAP_SHADE = 0.15  # share of brightness that is missing between two
LOWER_ROOT_SHADE, LOWER_ROOT = 0.45, (0.06, 0.08)  # share that is missing towards the gum; below the edge
LOWER_GUM, LOWER_GUM_LIGHT = (0.085, 0.03), 0.6  # below the edge: the gum begins; brightness of the gum
LOWER_HALF = (0.29, 0.08)  # from the middle: the row ends

FLESH_LIGHT = 0.35  # share of the gums' colour that teeth without light take on

# tongue: a mound, brighter on top, with a groove along its middle
TONGUE_V, TONGUE_HALF = -0.12, (0.25, 0.17)  # v of its middle; IOD, half its width and height
TONGUE_SOFT = 1.1  # width of the step from cavity to tongue, in units of the mound's height
TONGUE_LIGHT = (0.55, 0.45)  # brightness at its rim, and what its top adds
TONGUE_OPACITY = 0.92
GROOVE_DEPTH, GROOVE_WIDTH = 0.16, 0.022  # share of brightness that is missing in it; IOD, standard deviation
GROOVE_BEGIN = (0.05, 0.08)  # below the line between the lips


def soft_step(x: npt.NDArray[np.floating], width: float) -> Array:
    """Return a smooth step over ``x`` from 0 to 1: its middle at 0, ``width`` wide."""
    t = np.clip(x / width + 0.5, 0, 1)
    return np.asarray(eased(t), np.float32)


@dataclass(frozen=True)
class Grid:
    """The places of a texture's pixels.

    Convention:
        * The centre of pixel (column, row) is at u = column * step - U_REACH, v = V_TOP - row * step.

    Attributes:
        step: IOD from one pixel to the next.
    """

    step: float

    @classmethod
    def of(cls, scale: float) -> Grid:
        """Return the grid for a face of ``scale`` px an IOD."""
        return cls(1 / float(np.clip(scale, *TEXTURE_SCALE)))

    def axes(self) -> tuple[Array, Array]:
        """Return u and v of each pixel, both (h, w)."""
        u, v = np.meshgrid(
            np.arange(-U_REACH, U_REACH, self.step, dtype=np.float32),
            np.arange(V_TOP, -V_BOTTOM, -self.step, dtype=np.float32),
        )
        return u, v

    def to_local(self) -> Affine:
        """Return (3, 3) from a texture's pixels (column, row, 1) to (u, v, 1)."""
        return np.array([[self.step, 0, -U_REACH], [0, -self.step, V_TOP], [0, 0, 1]])


def mouth_textures(
    look: MouthLook, gap_depth: float, scale: float, rng: np.random.Generator
) -> tuple[Grid, Array, Array, Array]:
    """Paint the inside of a mouth.

    Args:
        look: the photo's light and colours.
        gap_depth: share of their brightness that teeth lose where they meet.
        scale: px an IOD in the photo.
        rng: draws the shapes of the teeth.

    Returns:
        the textures' grid; upper teeth (h, w, 4) and lower teeth (h, w, 4), the lower ones where a shut jaw has them;
        the cavity with the tongue (h, w, 3), in the jaw's frame.
    """
    grid = Grid.of(scale)
    u, v = grid.axes()
    bend = look.bend * u * u
    soft = EDGE_SOFT_PX * max(grid.step, 1 / scale)
    upper = _upper(look, gap_depth, u, v - bend, soft, rng)
    lower = _lower(look, u, v - bend, soft, rng)
    return grid, upper, lower, _cavity(look, u, v)


def _row_of_teeth(u: Array, widths: tuple[float, ...], rng: np.random.Generator) -> tuple[Array, Array, Array]:
    """Lay out a row of teeth over ``u`` (h, w).

    Args:
        u: IOD from the middle.
        widths: IOD of each tooth, from the middle outwards.
        rng: draws how the teeth differ between people.

    Returns:
        three (h, w) arrays: how much shorter than the longest tooth (IOD), brightness 0..1, and 0..1 how near the line
        between two teeth is.
    """
    shorter, bright, gap = np.full_like(u, BEYOND_SHORTER), np.full_like(u, BEYOND_LIGHT), np.zeros_like(u)
    for side in (-1, 1):
        start = 0.0
        for k, width in enumerate(widths):
            width = width * float(1 + WIDTH_SPREAD * rng.standard_normal())
            local = (side * u - start - width / 2) / (width / 2)  # -1..1 within the tooth
            here = np.abs(local) <= 1
            less = SHORTER[k] + SHORTER_SPREAD * float(rng.standard_normal())
            shorter[here] = (less + CORNER_ROUND * np.abs(local) ** 4)[here]
            own = TOOTH_LIGHT[k] * float(1 + TOOTH_LIGHT_SPREAD * rng.standard_normal())
            across = own + (TOOTH_LIGHT[k + 1] - own) * np.clip(local, 0, 1) * TOWARDS_NEXT
            bright[here] = (across * (1 - SIDE_SHADE * local**2))[here]
            start += width
            gap = np.maximum(gap, np.exp(-0.5 * ((side * u - start) / GAP_WIDTH) ** 2))
    return shorter, bright, np.maximum(gap, np.exp(-0.5 * (u / MIDDLE_GAP_WIDTH) ** 2))


def _upper(look: MouthLook, gap_depth: float, u: Array, v: Array, soft: float, rng: np.random.Generator) -> Array:
    """Paint the upper teeth, (h, w, 4)."""
    shorter, bright, gap = _row_of_teeth(u, UPPER_WIDTHS, rng)
    # IOD above the teeth's edge and above the gum line
    edge = v - (UPPER_EDGE + UPPER_CURVE * u * u) - shorter
    root = v - (UPPER_ROOT + UPPER_CURVE * u * u + UPPER_GUM_ARCH * gap)
    # darker between the teeth, at their edge and under the gum
    bright = bright * (1 - gap_depth * gap * soft_step(UPPER_GAP_END[0] - root, UPPER_GAP_END[1]))
    tip, neck = soft_step(TIP[0] - edge, TIP[1]), soft_step(root + ROOT[0], ROOT[1])
    bright = bright * (1 - TIP_SHADE * tip) * (1 - ROOT_SHADE * neck)
    # teeth, then gums over them
    colour = _teeth_colour(look, bright)
    gum = soft_step(root, max(soft, GUM_SOFT))[..., None]
    dark, full = UPPER_GUM_LIGHT
    colour = colour + (look.gum * (dark + full * bright[..., None]) - colour) * gum
    alpha = soft_step(edge, soft) * soft_step(UPPER_HALF[0] - np.abs(u), UPPER_HALF[1])
    return np.dstack([colour * alpha[..., None], alpha]).astype(np.float32)


def _lower(look: MouthLook, u: Array, v: Array, soft: float, rng: np.random.Generator) -> Array:
    """Paint the lower teeth, (h, w, 4)."""
    shorter, bright, gap = _row_of_teeth(u, LOWER_WIDTHS, rng)
    edge = (LOWER_EDGE - LOWER_CURVE * u * u) - LOWER_SHORTER * shorter - v  # IOD below the teeth's edge
    neck = soft_step(edge - LOWER_ROOT[0], LOWER_ROOT[1])
    bright = LOWER_LIGHT * bright * (1 - LOWER_GAP_SHADE * gap) * (1 - LOWER_ROOT_SHADE * neck)
    # teeth, then gums over them
    colour = _teeth_colour(look, bright)
    gum = soft_step(edge - LOWER_GUM[0], LOWER_GUM[1])[..., None]
    colour = colour + (look.gum * LOWER_GUM_LIGHT - colour) * gum
    alpha = soft_step(edge, soft) * soft_step(LOWER_HALF[0] - np.abs(u), LOWER_HALF[1])
    return np.dstack([colour * alpha[..., None], alpha]).astype(np.float32)


def _teeth_colour(look: MouthLook, bright: Array) -> Array:
    """Return (h, w, 3) the colour of teeth of a brightness (h, w): without light they take on the gums' red."""
    shade = 1 - bright[..., None]
    return np.asarray(look.teeth * bright[..., None] + look.gum * (FLESH_LIGHT * shade), np.float32)


def _cavity(look: MouthLook, u: Array, v: Array) -> Array:
    """Paint the cavity with the tongue, (h, w, 3), without holes."""
    mound = 1 - (u / TONGUE_HALF[0]) ** 2 - ((v - TONGUE_V) / TONGUE_HALF[1]) ** 2  # 1 in its middle, 0 at its rim
    body = soft_step(mound, TONGUE_SOFT)
    dip = GROOVE_DEPTH * np.exp(-0.5 * (u / GROOVE_WIDTH) ** 2)
    groove = 1 - dip * soft_step(-v - GROOVE_BEGIN[0], GROOVE_BEGIN[1])
    rim, top = TONGUE_LIGHT
    tongue = look.tongue * (groove * (rim + top * body))[..., None]
    return np.asarray(look.cavity + (tongue - look.cavity) * (TONGUE_OPACITY * body)[..., None], np.float32)
