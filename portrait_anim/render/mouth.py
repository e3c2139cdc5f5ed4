"""The inside of the mouth, which the photo does not show: drawn from the photo's light and colours.

Upper teeth belong to the skull, lower teeth and tongue to the jaw; a cavity lies behind. They are painted once as
textures in mouth-local units and placed frame by frame. A photo that shows its own teeth keeps them.

Mouth-local axes: u to the picture's right from the middle of the resting mouth, v up from the line between the lips,
both IOD.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from portrait_anim.render.light import MouthLook
from portrait_anim.render.warp import Image
from portrait_anim.system.opencv import cv2

Array = npt.NDArray[np.float32]
Affine = npt.NDArray[np.float64]

U_REACH, V_TOP, V_BOTTOM = 0.42, 0.16, 0.34  # IOD that the textures cover
TEXTURE_SCALE = (120, 500)  # px an IOD, at least and at most
UPPER_WIDTHS = (0.092, 0.066, 0.058, 0.046, 0.036)  # IOD seen from the front: central to second premolar
LOWER_WIDTHS = (0.058, 0.062, 0.060, 0.046, 0.036)
UPPER_EDGE = -0.034  # v of the upper teeth's edge in the middle
LOWER_EDGE = -0.058  # v of the lower teeth's, jaw shut
FLESH_LIGHT = 0.35  # how much of the gums' colour shaded teeth take on
SHADE_TINT = np.array([0.80, 1.0, 1.05], np.float32)  # exponents of RGB: light that comes through flesh is red
PLANE = 0.08  # IOD, how far behind the lips the teeth's plane lies
SMALLEST = 0.012  # IOD: lips closer than this show the photo's own dark line
DRAWN_FROM = 0.040  # from here on the drawn mouth replaces it
SEAM_WIDTH = 0.012  # IOD
SEAM_SHADE = 0.6
NARROW_LIGHT = (0.03, 0.16, 0.80)  # IOD: a narrow opening, one that lets all light in, the narrow one's light
NARROW_SHADE = 0.25  # of it that full shade takes away
LIP_SHADOW = 0.020  # IOD, how far down the upper lip's shadow falls
LONGER_SHADOW = 0.022  # IOD further in full shade
GAP_DEPTH, SHADED_GAP_DEPTH = 0.16, 0.50  # how much darker teeth are where they meet, in open light and in full shade
GREY = np.array([0.299, 0.587, 0.114], np.float32)
LIP_ROLL = (0.007, 0.024)  # IOD: how far the lower lip's inner side is seen, and how far below its colour is taken
LIP_ROLL_LIGHT = 0.88  # of the lip's: it turns away from the light
LIP_ROLL_SHARE = 0.75  # its opacity
OPENED = (0.004, 0.016)  # the same where the photo's mouth is open and has no such line


def _edge(x: npt.NDArray[np.floating], softness: float) -> Array:
    """Return a smooth 0..1 step over ``x``, ``softness`` wide."""
    t = np.clip(x / softness + 0.5, 0, 1)
    return np.asarray(t * t * (3 - 2 * t), np.float32)


def _row_of_teeth(u: Array, widths: tuple[float, ...], rng: np.random.Generator) -> tuple[Array, Array, Array]:
    """Lay out a row of teeth over ``u``: how far each edge is drawn back (IOD), brightness, darkness between them."""
    back, bright, gap = np.full_like(u, 0.02), np.full_like(u, 0.3), np.zeros_like(u)
    for side in (-1, 1):
        start = 0.0
        for k, width in enumerate(widths):
            width = width * float(1 + 0.05 * rng.standard_normal())
            local = (side * u - start - width / 2) / (width / 2)  # -1..1 within the tooth
            here = np.abs(local) <= 1
            longer = (0.0, 0.006, 0.001, 0.008, 0.012)[k] + 0.0025 * float(rng.standard_normal())
            back[here] = (longer + 0.006 * np.abs(local) ** 4)[here]
            turned = (1.0, 0.93, 0.76, 0.54, 0.34)[k] * float(1 + 0.02 * rng.standard_normal())
            following = (0.93, 0.76, 0.54, 0.34, 0.2)[k]
            slope = turned + (following - turned) * np.clip(local, 0, 1) * 0.5
            bright[here] = (slope * (1 - 0.10 * local**2))[here]
            start += width
            gap = np.maximum(gap, np.exp(-0.5 * ((side * u - start) / 0.005) ** 2))
    return back, bright, np.maximum(gap, np.exp(-0.5 * (u / 0.0045) ** 2))


class MouthPainter:
    """Draws one photo's mouth.

    Args:
        look: the photo's light.
        scale: px an IOD.
        mouth_open: whether the photo's mouth is open.
        seed: which teeth.
    """

    def __init__(self, look: MouthLook, scale: float, mouth_open: bool, seed: int) -> None:
        self._look, self._scale = look, scale
        self._gap = GAP_DEPTH + (SHADED_GAP_DEPTH - GAP_DEPTH) * look.shade
        self._seam = mouth_open
        self._fade = OPENED if mouth_open else (SMALLEST, DRAWN_FROM)
        self._texture_scale = float(np.clip(scale, *TEXTURE_SCALE))
        step = 1 / self._texture_scale
        u, v = np.meshgrid(
            np.arange(-U_REACH, U_REACH, step, dtype=np.float32), np.arange(V_TOP, -V_BOTTOM, -step, dtype=np.float32)
        )
        rng = np.random.default_rng(seed)
        bend = look.bend * u * u
        soft = 1.5 * max(step, 1 / scale)
        self._upper = self._paint_upper(u, v - bend, soft, rng)
        self._lower = self._paint_lower(u, v - bend, soft, rng)
        self._back = self._paint_back(u, v)
        noise = rng.standard_normal((96, 96)).astype(np.float32)
        noise = cv2.GaussianBlur(noise, (0, 0), max(0.5, look.blur))
        self._noise = noise / max(float(noise.std()), 1e-6)

    # ------------------------------------------------------------ textures, (h, w, 4) float32, premultiplied

    def _paint_upper(self, u: Array, v: Array, soft: float, rng: np.random.Generator) -> Array:
        back, bright, gap = _row_of_teeth(u, UPPER_WIDTHS, rng)
        edge = v - (UPPER_EDGE + 0.10 * u * u) - back
        root = v - (0.052 + 0.10 * u * u + 0.02 * gap)  # the gum starts here
        bright = bright * (1 - self._gap * gap * _edge(0.03 - root, 0.05))
        bright = bright * (1 - 0.10 * _edge(0.012 - edge, 0.02)) * (1 - 0.18 * _edge(root + 0.035, 0.06))
        colour = self._shaded_teeth(bright)
        gum = _edge(root, max(soft, 0.012))[..., None]
        colour = colour + (self._look.gum * (0.4 + 0.6 * bright[..., None]) - colour) * gum
        alpha = _edge(edge, soft) * _edge(0.335 - np.abs(u), 0.08)
        return np.dstack([colour * alpha[..., None], alpha]).astype(np.float32)

    def _paint_lower(self, u: Array, v: Array, soft: float, rng: np.random.Generator) -> Array:
        back, bright, gap = _row_of_teeth(u, LOWER_WIDTHS, rng)
        edge = (LOWER_EDGE - 0.06 * u * u) - 0.7 * back - v
        bright = 0.58 * bright * (1 - 0.15 * gap) * (1 - 0.45 * _edge(edge - 0.06, 0.08))
        colour = self._shaded_teeth(bright)
        gum = _edge(edge - 0.085, 0.03)[..., None]
        colour = colour + (self._look.gum * 0.6 - colour) * gum
        alpha = _edge(edge, soft) * _edge(0.29 - np.abs(u), 0.08)
        return np.dstack([colour * alpha[..., None], alpha]).astype(np.float32)

    def _shaded_teeth(self, bright: Array) -> Array:
        """Return (h, w, 3) teeth: in the dark they take on the red of the flesh round them."""
        shade = 1 - bright[..., None]
        return np.asarray(self._look.teeth * bright[..., None] + self._look.gum * (FLESH_LIGHT * shade), np.float32)

    def _paint_back(self, u: Array, v: Array) -> Array:
        """The cavity with the tongue, opaque, in the jaw's frame."""
        look = self._look
        mound = 1 - (u / 0.25) ** 2 - ((v + 0.12) / 0.17) ** 2
        body = _edge(mound, 1.1)
        groove = 1 - 0.16 * np.exp(-0.5 * (u / 0.022) ** 2) * _edge(-v - 0.05, 0.08)
        tongue = look.tongue * (groove * (0.55 + 0.45 * body))[..., None]
        return np.asarray(look.cavity + (tongue - look.cavity) * (0.92 * body)[..., None], np.float32)

    # ------------------------------------------------------------ one frame

    def paint(
        self, frame: Image, loop: Array, skull: Affine, jaw: Affine, own: tuple[Image, Array, Affine] | None
    ) -> None:
        """Fill the opening between the inner lips, in place.

        Args:
            frame: (H, W, 3) the warped photo.
            loop: (20, 2) px, the inner lips, image-left corner first, along the upper lip and back.
            skull: (2, 3) affine from mouth-local (u, v, 1) to px for what rides on the skull.
            jaw: the same for what rides on the jaw.
            own: what the photo itself shows of the mouth: its pixels, (h, w) opacity float32, and (2, 3) affine from
                there to the frame's px.
        """
        gaps = np.linalg.norm(loop[1:10] - loop[:10:-1], axis=1) / self._scale
        start, stop = self._fade
        openness = float(_edge(np.array(gaps.max() - (start + stop) / 2), stop - start))
        look, scale = self._look, self._scale
        height, width = frame.shape[:2]
        margin = 4 + round(2 * LIP_ROLL[1] * scale)
        x0, y0 = (int(max(0, v)) for v in np.floor(loop.min(0)) - margin)
        x1, y1 = (int(min(end, v + margin + 1)) for end, v in zip((width, height), loop.max(0), strict=True))
        if x1 - x0 < 3 or y1 - y0 < 3:
            return
        size = (x1 - x0, y1 - y0)
        view = frame[y0:y1, x0:x1]
        if self._seam and openness < 1:
            middle = np.concatenate([loop[:1], (loop[1:10] + loop[:10:-1]) / 2, loop[10:11]])
            self._draw_seam(view, middle - [x0, y0], 1 - openness)
        if openness <= 0:
            return
        inside = self._place(self._back, jaw, x0, y0, size)
        for layer, axes in ((self._lower, jaw), (self._upper, skull)):
            placed = self._place(layer, axes, x0, y0, size)
            inside = inside * (1 - placed[..., 3:]) + placed[..., :3]
        mask = _lip_mask(loop - np.array([x0, y0], np.float32), size)
        # light falls in from the front and from above: little near the lips, less still under the upper one
        reach = max(0.028 * scale, 0.8)
        drop = np.array([[1, 0, 0], [0, 1, (LIP_SHADOW + LONGER_SHADOW * look.shade) * scale]], np.float32)
        lowered = cv2.warpAffine(mask, drop, size, flags=cv2.INTER_LINEAR)
        light = cv2.GaussianBlur(np.minimum(mask, lowered), (0, 0), reach)
        narrow, full, least = NARROW_LIGHT
        least -= NARROW_SHADE * look.shade
        falls_in = least + (1 - least) * float(np.clip((gaps.max() - narrow) / (full - narrow), 0, 1))
        light = falls_in * (0.30 + 0.70 * np.clip((light - 0.10) / 0.62, 0, 1))
        inside = inside * light[..., None] ** (1 + (SHADE_TINT - 1) * look.flesh)
        if own is not None:
            pixels, opacity, affine = own
            affine = affine - np.array([[0, 0, x0], [0, 0, y0]])
            theirs = cv2.warpAffine(pixels, affine, size, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
            alpha = cv2.warpAffine(opacity, affine, size, flags=cv2.INTER_LINEAR)[..., None]
            inside = inside + (theirs * (0.45 + 0.55 * light[..., None]) - inside) * alpha
        inside = cv2.GaussianBlur(inside, (0, 0), look.blur)
        if look.grain > 0.3:
            rows, columns = np.arange(y0, y1) % 96, np.arange(x0, x1) % 96
            inside = inside + look.grain * self._noise[np.ix_(rows, columns)][..., None]
        if look.monochrome:
            inside = np.repeat((inside @ GREY)[..., None], 3, axis=2)
        if look.brightest < 255:
            grey = inside @ GREY
            inside = inside * np.minimum(1, look.brightest / np.maximum(grey, 1))[..., None]
        cover = cv2.GaussianBlur(mask, (0, 0), max(0.5, look.blur, 0.004 * scale)) * openness
        filled = view + (inside - view) * cover[..., None]
        filled = self._roll_lip(filled, loop - np.array([x0, y0], np.float32), jaw, openness)
        view[...] = np.clip(filled + 0.5, 0, 255).astype(np.uint8)

    def _roll_lip(self, filled: Array, loop: Array, jaw: Affine, strength: float) -> Array:
        """Let the lower lip's inner side catch the light: the dark line of the closed mouth is softened.

        Args:
            filled: (h, w, 3) the mouth with its inside.
            loop: (20, 2) px there, the inner lips.
            jaw: (2, 3) affine from mouth-local (u, v, 1) to px.
            strength: 0..1.
        """
        seen, below = LIP_ROLL
        down = -jaw[:, 1] * below  # px
        rim = np.concatenate([loop[:1], loop[:9:-1]]) + 0.15 * down  # the lower row, image-left corner first
        line = np.zeros(filled.shape[:2], np.uint8)
        thickness = max(1, round(2 * seen * self._scale))
        cv2.polylines(line, [np.round(rim * 16).astype(np.int32)], False, 255, thickness, cv2.LINE_AA, 4)
        soft = cv2.GaussianBlur(line.astype(np.float32), (0, 0), max(0.5, 0.5 * seen * self._scale)) / 255
        ends = np.abs(np.arange(filled.shape[1]) - rim[:, 0].mean()) / max(float(np.ptp(rim[:, 0])) / 2, 1.0)
        soft *= _edge(0.8 - ends, 0.4) * (LIP_ROLL_SHARE * strength)
        size = (filled.shape[1], filled.shape[0])
        lip = cv2.warpAffine(
            filled, np.array([[1, 0, -down[0]], [0, 1, -down[1]]]), size,
            flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE,
        )  # fmt: skip
        spread = max(0.5, 0.5 * below * self._scale)  # no second highlight
        lip = cv2.GaussianBlur(lip, (0, 0), spread) * LIP_ROLL_LIGHT
        return np.asarray(filled + (lip - filled) * soft[..., None], np.float32)

    def _draw_seam(self, view: Image, middle: npt.NDArray[np.floating], strength: float) -> None:
        """Darken the line (N, 2) px where the lips of a photo with an open mouth meet, in place."""
        line = np.zeros(view.shape[:2], np.uint8)
        thickness = max(1, round(SEAM_WIDTH * self._scale))
        cv2.polylines(line, [np.round(middle * 16).astype(np.int32)], False, 255, thickness, cv2.LINE_AA, 4)
        soft = cv2.GaussianBlur(line.astype(np.float32), (0, 0), max(self._look.blur, 0.4 * thickness)) / 255
        ends = np.abs(np.arange(view.shape[1]) - middle[:, 0].mean()) / max(float(np.ptp(middle[:, 0])) / 2, 1.0)
        soft *= _edge(1.0 - ends, 0.3) * (SEAM_SHADE * strength)
        view[...] = (view + (self._look.cavity - view) * soft[..., None] + 0.5).astype(np.uint8)

    def _place(self, texture: Array, axes: Affine, x0: int, y0: int, size: tuple[int, int]) -> Array:
        """Bring a texture into the frame's box."""
        step = 1 / self._texture_scale
        to_local = np.array([[step, 0, -U_REACH], [0, -step, V_TOP], [0, 0, 1]])
        affine = axes @ to_local - np.array([[0, 0, x0], [0, 0, y0]])
        placed = cv2.warpAffine(texture, affine, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        return np.asarray(placed, np.float32)


def _lip_mask(loop: Array, size: tuple[int, int]) -> Array:
    """Return (h, w) 0..1 coverage of a closed smooth curve through ``loop`` (N, 2) px, antialiased."""
    n = len(loop)
    steps = np.arange(0, n, 0.25)
    i = steps.astype(int)
    t = (steps - i)[:, None]
    p0, p1, p2, p3 = (loop[(i + k) % n] for k in (-1, 0, 1, 2))
    curve = 0.5 * (2 * p1 + (p2 - p0) * t + (2 * p0 - 5 * p1 + 4 * p2 - p3) * t**2 + (3 * p1 - p0 - 3 * p2 + p3) * t**3)
    mask = np.zeros((size[1], size[0]), np.uint8)
    cv2.fillPoly(mask, [np.round(curve * 16).astype(np.int32)], 255, cv2.LINE_AA, 4)
    return np.asarray(mask, np.float32) / np.float32(255)


def own_opening(loop: Array, shape: tuple[int, int], scale: float) -> tuple[slice, slice, Array]:
    """What a photo with an open mouth shows of it: the box (rows, columns) and how far to trust each pixel there.

    Args:
        loop: (20, 2) px, the inner lips in the photo.
        shape: (H, W) of the photo.
        scale: px an IOD.

    Returns:
        Slices of the box and its (h, w) opacity: full in the upper part, fading out above the lower lip.
    """
    x0, y0 = (int(max(0, v)) for v in np.floor(loop.min(0)) - 3)
    x1, y1 = int(min(shape[1], loop[:, 0].max() + 4)), int(min(shape[0], loop[:, 1].max() + 4))
    mask = _lip_mask(loop - np.array([x0, y0], np.float32), (x1 - x0, y1 - y0))
    size = 2 * max(1, round(0.004 * scale)) + 1
    mask = cv2.erode(mask, np.ones((size, size), np.uint8))
    mask = cv2.GaussianBlur(mask, (0, 0), max(0.5, 0.004 * scale))
    return slice(y0, y1), slice(x0, x1), np.asarray(mask, np.float32)
