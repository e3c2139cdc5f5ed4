"""Draws the inside of an open mouth, which a photo with closed lips does not show, in the photo's light and colours.

Upper teeth move with the skull, lower teeth and tongue with the jaw; the cavity lies behind them. Their textures are
painted once (:mod:`portrait_anim.render.teeth`) and placed frame by frame. A photo that shows its own teeth keeps them.

Convention:
    * Mouth-local axes: u to the picture's right from the middle of the resting mouth, v up from the line between the
      lips, both in IOD.
    * ``skull`` and ``jaw`` are (2, 3) matrices from mouth-local (u, v, 1) to (x, y) px of the frame. Pixel centres are
      at integers, y points down.
    * ``loop`` is the ring of the 20 inner lip points (``LIPS_INNER``): 0 is the corner at image left, 1..9 follow the
      upper lip, 10 is the corner at image right, 11..19 follow the lower lip back.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from portrait_anim.render.light import MouthLook
from portrait_anim.render.scene import Image
from portrait_anim.render.teeth import mouth_textures, soft_step
from portrait_anim.system.opencv import cv2

Array = npt.NDArray[np.float32]
Affine = npt.NDArray[np.float64]
Size = tuple[int, int]

# parts of the ring of inner lip points, each from image left to image right
LEFT_CORNER, RIGHT_CORNER = slice(0, 1), slice(10, 11)
UPPER_LIP = slice(1, 10)  # points 1..9
LOWER_LIP = slice(None, 10, -1)  # points 19..11: each lies below the upper lip's point of the same index

# when the inside is drawn, and where
PLANE = 0.08  # IOD, how far behind the lips the teeth lie
SMALLEST, DRAWN_FROM = 0.012, 0.040  # IOD between the lips from which it fades in, and at which it is all there
OPENED = (0.004, 0.016)  # the same for a photo with an open mouth, which has no dark line between closed lips
MARGIN_PX = 4  # px round the lips that may change
LEAST_PX = 3  # a box with a smaller side is not drawn

# how much light gets in
NARROW_IOD, WIDE_IOD = 0.03, 0.16  # opening of the lips that lets little light in, opening that lets all of it in
NARROW_BRIGHTNESS = 0.80  # share of the light behind a narrow opening
NARROW_SHADE = 0.25  # less of that share in full shade (MouthLook.shade)
LIP_SHADOW = 0.020  # IOD, how far down the upper lip's shadow falls
LONGER_SHADOW = 0.022  # IOD further in full shade
LIGHT_BLUR, LIGHT_BLUR_PX = 0.028, 0.8  # IOD and px at least: Gaussian deviation with which light fades to the lips
LIGHT_FROM, LIGHT_RANGE = 0.10, 0.62  # of the blurred opening 0..1: where light begins, and up to full light
RIM_LIGHT = (0.30, 0.70)  # share of the light next to the lips, and what is added away from them
OWN_LIGHT = (0.45, 0.55)  # the photo's own teeth: brightness without light, and what full light adds
SHADE_TINT = np.array([0.80, 1.0, 1.05], np.float32)  # exponents of R, G, B: light that came through flesh is red
GAP_DEPTH, SHADED_GAP_DEPTH = 0.16, 0.50  # how much darker teeth are where they meet, in open light and in full shade

# sharpness and grain as in the photo
EDGE_BLUR, EDGE_BLUR_PX = 0.004, 0.5  # IOD, and px at least: Gaussian deviation of the opening's edge
GRAIN_SEEN = 0.3  # grey levels; less grain than that is not drawn
NOISE_PX = 96  # side of the square of noise that is repeated over the frame
NOISE_BLUR_PX = 0.5  # its Gaussian deviation at least
GREY = np.array([0.299, 0.587, 0.114], np.float32)  # R, G, B weights of brightness (ITU-R BT.601)

# the line between the closed lips of a photo whose mouth is open
SEAM_WIDTH = 0.012  # IOD
SEAM_SHADE = 0.6  # its opacity
SEAM_BLUR = 0.4  # Gaussian deviation over its width, at least
SEAM_ENDS = (1.0, 0.3)  # it fades out there, over that width: shares of half the mouth's width from its middle

# the lower lip's inner side, which catches the light once the mouth is open
LIP_ROLL = (0.007, 0.024)  # IOD: how far it is seen, and how far below it its colour is taken
LIP_ROLL_INSET = 0.15  # share of the second by which its line lies below the inner lip
LIP_ROLL_LIGHT = 0.88  # brightness over the lip's: it turns away from the light
LIP_ROLL_SHARE = 0.75  # its opacity
LIP_ROLL_ENDS = (0.8, 0.4)  # as SEAM_ENDS
LIP_ROLL_BLUR, LIP_ROLL_BLUR_PX = 0.5, 0.5  # Gaussian deviation over the lengths of LIP_ROLL, and px at least

OWN_MARGIN_PX = 3  # px round the lips of an open-mouthed photo that are looked at
SUBPIXEL_BITS = 4  # cv2 draws at sixteenths of a px
CURVE_STEP = 0.25  # of the way from one lip point to the next


class MouthPainter:
    """Draws one photo's mouth.

    Args:
        look: the photo's light.
        scale: px an IOD.
        mouth_open: whether the photo's mouth is open.
        seed: draws the shapes of the teeth.
    """

    def __init__(self, look: MouthLook, scale: float, mouth_open: bool, seed: int) -> None:
        self._look, self._scale = look, scale
        self._mouth_open = mouth_open
        self._fade = OPENED if mouth_open else (SMALLEST, DRAWN_FROM)
        rng = np.random.default_rng(seed)
        gap_depth = GAP_DEPTH + (SHADED_GAP_DEPTH - GAP_DEPTH) * look.shade
        self._grid, self._upper, self._lower, self._cavity = mouth_textures(look, gap_depth, scale, rng)
        noise = rng.standard_normal((NOISE_PX, NOISE_PX)).astype(np.float32)
        noise = cv2.GaussianBlur(noise, (0, 0), max(NOISE_BLUR_PX, look.blur))
        self._noise = noise / max(float(noise.std()), 1e-6)

    def paint(
        self, frame: Image, loop: Array, skull: Affine, jaw: Affine, own: tuple[Image, Array, Affine] | None
    ) -> None:
        """Fill the opening between the inner lips, in place.

        Args:
            frame: (H, W, 3) the warped photo.
            loop: (20, 2) px, the inner lips.
            skull: (2, 3) from mouth-local (u, v, 1) to px, for what moves with the skull.
            jaw: the same for what moves with the jaw.
            own: what the photo itself shows of the mouth: its pixels (h, w, 3), their opacity (h, w) float32, and a
                (2, 3) matrix from their (column, row, 1) to the frame's px.
        """
        # how far the lips are apart
        gap = np.linalg.norm(loop[UPPER_LIP] - loop[LOWER_LIP], axis=1).max() / self._scale  # IOD
        start, stop = self._fade
        openness = float(soft_step(np.array(gap - (start + stop) / 2), stop - start))

        # the box that may change
        height, width = frame.shape[:2]
        margin = MARGIN_PX + round(2 * LIP_ROLL[1] * self._scale)
        x0, y0 = (int(max(0, v)) for v in np.floor(loop.min(0)) - margin)
        x1, y1 = (int(min(end, v + margin + 1)) for end, v in zip((width, height), loop.max(0), strict=True))
        if x1 - x0 < LEAST_PX or y1 - y0 < LEAST_PX:
            return
        size = (x1 - x0, y1 - y0)
        view = frame[y0:y1, x0:x1]

        # the line between the lips, where the photo's own mouth is open
        if self._mouth_open and openness < 1:
            middle = (loop[UPPER_LIP] + loop[LOWER_LIP]) / 2
            line = np.concatenate([loop[LEFT_CORNER], middle, loop[RIGHT_CORNER]])
            self._draw_seam(view, line - [x0, y0], 1 - openness)
        if openness <= 0:
            return

        # from back to front: cavity and tongue, lower teeth, upper teeth
        inside = self._place(self._cavity, jaw, x0, y0, size)
        for layer, axes in ((self._lower, jaw), (self._upper, skull)):
            placed = self._place(layer, axes, x0, y0, size)
            inside = inside * (1 - placed[..., 3:]) + placed[..., :3]

        # the light that gets in, and the photo's own teeth over the drawn ones
        local = loop - np.array([x0, y0], np.float32)
        mask = _lip_mask(local, size)
        light = self._light(mask, gap)
        inside = inside * light[..., None] ** (1 + (SHADE_TINT - 1) * self._look.flesh)
        if own is not None:
            inside = _with_own(inside, light, own, x0, y0)
        inside = self._as_photo(inside, x0, y0)

        # into the frame
        blur = max(EDGE_BLUR_PX, self._look.blur, EDGE_BLUR * self._scale)
        cover = cv2.GaussianBlur(mask, (0, 0), blur) * openness
        filled = view + (inside - view) * cover[..., None]
        filled = self._roll_lip(filled, local, jaw, openness)
        view[...] = np.clip(filled + 0.5, 0, 255).astype(np.uint8)

    def _light(self, mask: Array, gap: np.floating) -> Array:
        """Return (h, w) share of the light that falls on each pixel of the inside.

        It comes from the front and from above: there is little next to the lips, less still under the upper one.

        Args:
            mask: (h, w) 0..1, the opening between the lips.
            gap: IOD between the lips, where they are furthest apart.
        """
        shade, scale = self._look.shade, self._scale
        drop = np.array([[1, 0, 0], [0, 1, (LIP_SHADOW + LONGER_SHADOW * shade) * scale]], np.float32)
        lowered = cv2.warpAffine(mask, drop, mask.shape[::-1], flags=cv2.INTER_LINEAR)
        light = cv2.GaussianBlur(np.minimum(mask, lowered), (0, 0), max(LIGHT_BLUR * scale, LIGHT_BLUR_PX))
        least = NARROW_BRIGHTNESS - NARROW_SHADE * shade
        falls_in = least + (1 - least) * float(np.clip((gap - NARROW_IOD) / (WIDE_IOD - NARROW_IOD), 0, 1))
        rim, more = RIM_LIGHT
        return np.asarray(falls_in * (rim + more * np.clip((light - LIGHT_FROM) / LIGHT_RANGE, 0, 1)))

    def _as_photo(self, inside: Array, x0: int, y0: int) -> Array:
        """Give the drawn inside (h, w, 3) the photo's sharpness, grain, colours and greatest brightness."""
        look = self._look
        inside = cv2.GaussianBlur(inside, (0, 0), look.blur)
        if look.grain > GRAIN_SEEN:
            height, width = inside.shape[:2]
            rows, columns = np.arange(y0, y0 + height) % NOISE_PX, np.arange(x0, x0 + width) % NOISE_PX
            inside = inside + look.grain * self._noise[np.ix_(rows, columns)][..., None]
        if look.monochrome:
            inside = np.repeat((inside @ GREY)[..., None], 3, axis=2)
        if look.brightest < 255:
            grey = inside @ GREY
            inside = inside * np.minimum(1, look.brightest / np.maximum(grey, 1))[..., None]
        return inside

    def _roll_lip(self, filled: Array, loop: Array, jaw: Affine, strength: float) -> Array:
        """Draw the lower lip's inner side over the dark line of the closed mouth.

        Args:
            filled: (h, w, 3) the mouth with its inside.
            loop: (20, 2) px there, the inner lips.
            jaw: (2, 3) from mouth-local (u, v, 1) to px.
            strength: 0..1.
        """
        # where: a line along the lower lip
        seen, below = LIP_ROLL
        down = -jaw[:, 1] * below  # (2,) px
        rim = np.concatenate([loop[LEFT_CORNER], loop[LOWER_LIP], loop[RIGHT_CORNER]]) + LIP_ROLL_INSET * down
        thickness = max(1, round(2 * seen * self._scale))
        blur = max(LIP_ROLL_BLUR_PX, LIP_ROLL_BLUR * seen * self._scale)
        soft = _soft_line(rim, thickness, blur, filled.shape[:2])
        soft *= _towards_corners(rim, filled.shape[1], LIP_ROLL_ENDS) * (LIP_ROLL_SHARE * strength)
        # its colour: the lip's from further below, blurred so that no highlight is seen twice
        lip = cv2.warpAffine(
            filled, np.array([[1, 0, -down[0]], [0, 1, -down[1]]]), (filled.shape[1], filled.shape[0]),
            flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE,
        )  # fmt: skip
        spread = max(LIP_ROLL_BLUR_PX, LIP_ROLL_BLUR * below * self._scale)
        lip = cv2.GaussianBlur(lip, (0, 0), spread) * LIP_ROLL_LIGHT
        return np.asarray(filled + (lip - filled) * soft[..., None], np.float32)

    def _draw_seam(self, view: Image, line: npt.NDArray[np.floating], strength: float) -> None:
        """Darken the line (N, 2) px where the lips of a photo with an open mouth meet, in place."""
        thickness = max(1, round(SEAM_WIDTH * self._scale))
        soft = _soft_line(line, thickness, max(self._look.blur, SEAM_BLUR * thickness), view.shape[:2])
        soft *= _towards_corners(line, view.shape[1], SEAM_ENDS) * (SEAM_SHADE * strength)
        view[...] = (view + (self._look.cavity - view) * soft[..., None] + 0.5).astype(np.uint8)

    def _place(self, texture: Array, axes: Affine, x0: int, y0: int, size: Size) -> Array:
        """Bring a texture into the box of ``size`` (width, height) whose first column and row are ``x0``, ``y0``."""
        affine = axes @ self._grid.to_local() - np.array([[0, 0, x0], [0, 0, y0]])
        placed = cv2.warpAffine(texture, affine, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        return np.asarray(placed, np.float32)


def _with_own(inside: Array, light: Array, own: tuple[Image, Array, Affine], x0: int, y0: int) -> Array:
    """Return the drawn inside (h, w, 3) with what the photo itself shows over it; see :meth:`MouthPainter.paint`."""
    pixels, opacity, affine = own
    size = light.shape[::-1]
    affine = affine - np.array([[0, 0, x0], [0, 0, y0]])
    theirs = cv2.warpAffine(pixels, affine, size, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    alpha = cv2.warpAffine(opacity, affine, size, flags=cv2.INTER_LINEAR)[..., None]
    dark, full = OWN_LIGHT
    return np.asarray(inside + (theirs * (dark + full * light[..., None]) - inside) * alpha)


def _subpixel(points: npt.NDArray[np.floating]) -> npt.NDArray[np.int32]:
    """Return points (N, 2) px as cv2 takes them with ``shift=SUBPIXEL_BITS``."""
    return np.asarray(np.round(points * 2**SUBPIXEL_BITS), np.int32)


def _soft_line(points: npt.NDArray[np.floating], thickness: int, blur: float, shape: tuple[int, ...]) -> Array:
    """Return (h, w) = ``shape`` 0..1, a line through points (N, 2) px, blurred by a Gaussian of ``blur`` px."""
    line = np.zeros(shape, np.uint8)
    cv2.polylines(line, [_subpixel(points)], False, 255, thickness, cv2.LINE_AA, SUBPIXEL_BITS)
    return np.asarray(cv2.GaussianBlur(line.astype(np.float32), (0, 0), blur) / 255)


def _towards_corners(points: npt.NDArray[np.floating], width: int, ends: tuple[float, float]) -> Array:
    """Return (width,) 1 at the middle column of points (N, 2) px, fading to 0 at ``ends`` (see ``SEAM_ENDS``)."""
    half = max(float(np.ptp(points[:, 0])) / 2, 1.0)
    away = np.abs(np.arange(width) - points[:, 0].mean()) / half
    return soft_step(ends[0] - away, ends[1])


def _lip_mask(loop: Array, size: Size) -> Array:
    """Return (h, w) 0..1 coverage of a closed smooth curve (Catmull-Rom) through ``loop`` (N, 2) px, antialiased."""
    n = len(loop)
    steps = np.arange(0, n, CURVE_STEP)
    i = steps.astype(int)
    t = (steps - i)[:, None]  # (S, 1) way from point i to the next
    p0, p1, p2, p3 = (loop[(i + k) % n] for k in (-1, 0, 1, 2))
    curve = 0.5 * (2 * p1 + (p2 - p0) * t + (2 * p0 - 5 * p1 + 4 * p2 - p3) * t**2 + (3 * p1 - p0 - 3 * p2 + p3) * t**3)
    mask = np.zeros((size[1], size[0]), np.uint8)
    cv2.fillPoly(mask, [_subpixel(curve)], 255, cv2.LINE_AA, SUBPIXEL_BITS)
    return np.asarray(mask, np.float32) / np.float32(255)


def own_opening(loop: Array, shape: tuple[int, int], scale: float) -> tuple[slice, slice, Array]:
    """Return what a photo with an open mouth shows of it: a box (rows, columns) and the opacity of each pixel there.

    Args:
        loop: (20, 2) px, the inner lips in the photo.
        shape: (H, W) of the photo.
        scale: px an IOD.

    Returns:
        Slices of the box and its (h, w) opacity: 1 between the lips, fading out before it reaches them.
    """
    x0, y0 = (int(max(0, v)) for v in np.floor(loop.min(0)) - OWN_MARGIN_PX)
    right, bottom = loop.max(0) + (OWN_MARGIN_PX + 1)
    x1, y1 = int(min(shape[1], right)), int(min(shape[0], bottom))
    mask = _lip_mask(loop - np.array([x0, y0], np.float32), (x1 - x0, y1 - y0))
    size = 2 * max(1, round(EDGE_BLUR * scale)) + 1
    mask = cv2.erode(mask, np.ones((size, size), np.uint8))
    mask = cv2.GaussianBlur(mask, (0, 0), max(EDGE_BLUR_PX, EDGE_BLUR * scale))
    return slice(y0, y1), slice(x0, x1), np.asarray(mask, np.float32)
