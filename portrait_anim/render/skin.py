"""Folds of the skin that come and go with the motion: beside nose and mouth, chin, eyes, brows and forehead.

A warp moves a photo's skin but folds none. Here each fold is a curve drawn on the mesh (where Ekman, Friesen and Hager
2002, FACS, see each unit's wrinkles) that snaps to the photo's own crease where it has one, so that no fold is doubled.
Round the curve lies a shade in units of log brightness: a dark crease, and the slope of the skin that bulges beside
it, lit from where the photo's light comes. It is multiplied into the photo before that is warped: it rides on the skin,
keeps grain and colour, and is nothing where nothing has moved.
"""

from __future__ import annotations

from dataclasses import dataclass

import numba
import numpy as np
import numpy.typing as npt
from scipy.interpolate import CubicSpline
from scipy.ndimage import gaussian_filter1d

from portrait_anim.face.mesh import FACE_OVAL, mirror, topology
from portrait_anim.opencv import cv2
from portrait_anim.render.light import SKIN

Array = npt.NDArray[np.float32]
Float = npt.NDArray[np.float64]
Image = npt.NDArray[np.uint8]

GRID_IOD = 100  # grid points an IOD at most; smaller faces are shaded pixel by pixel
SAMPLES = 48  # along a curve
REACH = 3.0  # deviations from a curve within which it shades
LIFT = 8.0  # grey levels added before a logarithm: noise in the dark is no crease
MOST = 1.5  # activation
CREASE_IOD, BESIDE_IOD = 0.012, 0.035  # a crease's blur, and how far beside it the skin is that it is darker than
SOFT = 0.12  # activation below which a fold hardly shows: speech moves much, and folds little
SMOOTH, CREASED = 0.25, 0.05  # share of a crease that smooth skin gets; depth of the photo's own that makes it whole
FADES = 0.8  # share of the photo's own crease that smoothing takes away
DEEPEST = 1.6  # times the crease, where the photo's own is deeper still
FROM_ABOVE = np.array([0.0, -0.35])  # (x right, y down) log brightness for a slope of 1, light that is usual


@dataclass(frozen=True)
class Drive:
    """What deepens a fold: the mean displacement of image-left ``points`` along (out, up), in units of ``iod``."""

    points: tuple[int, ...]
    direction: tuple[float, float]
    iod: float


CORNER_UP, CORNER_OUT = Drive((61,), (0, 1), 0.16), Drive((61,), (1, 0), 0.19)
CORNER_DOWN = Drive((61,), (0, -1), 0.08), Drive((17,), (0, 1), 0.23)  # beyond what an open jaw draws it along
LIP_UP, NOSTRIL_UP = Drive((37, 39, 40), (0, 1), 0.10), Drive((64, 98), (0, 1), 0.11)
CHEEK_UP = Drive((50,), (0, 1), 0.07)
LOWER_LIP_UP, JAW_DOWN = Drive((84, 181), (0, 1), 0.07), Drive((17,), (0, -1), 0.20)
BROWS_DOWN, BROWS_IN = Drive((55, 107), (0, -1), 0.09), Drive((55, 107), (-1, 0), 0.10)
INNER_BROW_UP, OUTER_BROW_UP = Drive((55, 107), (0, 1), 0.09), Drive((46, 70), (0, 1), 0.08)


@dataclass(frozen=True)
class Fold:
    """One fold, drawn on the image-left side of the canonical face and mirrored; brightness is natural log.

    Attributes:
        curve: (x, y) IOD, canonical face; what bulges lies below it if it runs to the right, image-left if down.
        drive: what deepens it; the sum is its activation.
        crease: depth of the line at activation 1, where the photo has one to deepen.
        width: IOD, the line's deviation.
        shade: depth of the soft shade round it at activation 1; below 0 it is light.
        spread: IOD, the shade's deviation towards the bulge and away from it.
        snap: IOD within which the curve snaps to the photo's own crease.
        both: lies across the midline: one fold, driven by the mean of both sides.
    """

    curve: tuple[tuple[float, float], ...]
    drive: tuple[Drive, ...]
    crease: float = 0.0
    width: float = 0.014
    shade: float = 0.0
    spread: tuple[float, float] = (0.03, 0.03)
    snap: float = 0.0
    both: bool = False


_NASOLABIAL = ((-0.215, -0.39), (-0.275, -0.48), (-0.33, -0.57), (-0.375, -0.665), (-0.405, -0.75), (-0.415, -0.84))
FOLDS = (
    Fold(_NASOLABIAL, (CORNER_UP, CORNER_OUT), 0.12, 0.018, 0.10, (0.055, 0.085), 0.04),
    Fold(_NASOLABIAL[:4], (LIP_UP, NOSTRIL_UP), 0.14, 0.016, 0.08, (0.04, 0.05), 0.04),
    Fold(((-0.62, -0.44), (-0.54, -0.42), (-0.46, -0.39)), (CORNER_UP, CORNER_OUT), shade=-0.06, spread=(0.09, 0.07)),
    Fold(((-0.33, -0.82), (-0.36, -0.89), (-0.37, -0.97)), CORNER_DOWN, 0.05, 0.016, 0.045, (0.04, 0.05), 0.025),
    Fold(((-0.20, -0.94), (0, -0.955), (0.20, -0.94)), (LOWER_LIP_UP,), 0.08, 0.018, snap=0.03, both=True),
    Fold(((-0.14, -1.045), (0, -1.05), (0.14, -1.045)), (LOWER_LIP_UP,), shade=-0.05, spread=(0.05, 0.04), both=True),
    Fold(((-0.22, -1.07), (0, -1.09), (0.22, -1.07)), (JAW_DOWN,), shade=0.09, spread=(0.07, 0.05), both=True),
    Fold(((-0.54, -0.115), (-0.45, -0.15), (-0.33, -0.16), (-0.20, -0.125)), (CHEEK_UP,), 0.05, 0.013, 0.05, (0.03, 0.02), 0.03),
    *(
        Fold(curve, (CHEEK_UP,), 0.07, 0.009, 0.02, (0.015, 0.015), 0.015)
        for curve in (
            ((-0.60, 0.035), (-0.67, 0.060), (-0.74, 0.095)),
            ((-0.61, -0.020), (-0.69, -0.022), (-0.77, -0.020)),
            ((-0.59, -0.070), (-0.66, -0.100), (-0.72, -0.140)),
        )
    ),
    Fold(((-0.062, 0.12), (-0.078, 0.19), (-0.076, 0.26), (-0.066, 0.34)), (BROWS_DOWN, BROWS_IN), 0.12, 0.012, 0.06, (0.02, 0.025), 0.02),
    Fold(((-0.10, 0.035), (0, 0.050), (0.10, 0.035)), (NOSTRIL_UP, BROWS_DOWN), 0.08, 0.014, 0.03, (0.02, 0.02), 0.03, both=True),
    Fold(((-0.085, -0.03), (-0.12, -0.08), (-0.165, -0.11)), (NOSTRIL_UP,), 0.10, 0.011, 0.03, (0.015, 0.015), 0.015),
    *(
        Fold(((-0.36, y - 0.01), (-0.18, y + 0.012), (0, y), (0.18, y + 0.012), (0.36, y - 0.01)), (INNER_BROW_UP,),
             0.18, 0.014, 0.045, (0.025, 0.02), 0.035, both=True)
        for y in (0.385, 0.475, 0.565)
    ),
    *(
        Fold(((-0.62, y - 0.06), (-0.50, y), (-0.38, y + 0.015), (-0.26, y + 0.012)), (OUTER_BROW_UP,),
             0.16, 0.014, 0.04, (0.025, 0.02), 0.03)
        for y in (0.38, 0.465)
    ),
)  # fmt: skip
"""Where and how deep the soft shades are is what the means of smiling, shouting, sad and disgusted stills show against
neutral ones (docs/gallery.md): -.12 beside a smile, +.06 on the cheek, -.06 under the eye, -.10 on the chin of a
dropped jaw. Lines are drawn; nobody's lie where another's do."""


class Skin:
    """The folds of one photo's face; safe to share between threads.

    Args:
        pixels: (H, W, 3) the photo.
        landmarks: (478, 3) px.
        iod_px: px an IOD.
    """

    def __init__(self, pixels: Image, landmarks: Array, iod_px: float) -> None:
        height, width = pixels.shape[:2]
        xy = landmarks[:, :2].astype(np.float64)
        low, high = np.floor(xy.min(0)).astype(int), np.ceil(xy.max(0)).astype(int) + 1
        (x0, y0), (x1, y1) = np.clip(low, 0, [width - 8, height - 8]), np.clip(high, 8, [width, height])
        self._step = max(1, round(iod_px / GRID_IOD))
        self._corner = int(x0), int(y0)
        patch = pixels[y0:y1, x0:x1]
        size = -(-patch.shape[1] // self._step), -(-patch.shape[0] // self._step)
        self._shape = size[1], size[0]
        unit = iod_px / self._step  # grid points an IOD
        small = cv2.resize(patch, size, interpolation=cv2.INTER_AREA) if self._step > 1 else patch
        points = ((xy - [x0, y0] + 0.5) / self._step - 0.5).astype(np.float64)
        log = np.log(cv2.cvtColor(small, cv2.COLOR_RGB2GRAY).astype(np.float32) + LIFT)
        skin = _skin_share(small, points, unit)
        look = _Look(log, _channels(small), skin, _light(log, skin, landmarks, points), _tint(small, skin), unit)
        self._fields: list[tuple[Fold, int, slice, slice, Array, Array]] = []
        for fold in FOLDS:
            for side in (1,) if fold.both else (1, -1):
                made = _shade(fold, side, look, points)
                if made is not None:
                    self._fields.append((fold, side, *made))

    def shade(self, pixels: Image, displacement: Array) -> Image:
        """Return (H, W, 3) pixels with the folds of a displacement (478, 3) IOD; the same array if it has none."""
        total: Array | None = None
        for fold, side, rows, columns, deepen, fade in self._fields:
            amount = activation(fold, side, displacement)
            if amount == 0:
                continue
            if total is None:
                total = np.zeros((*self._shape, 3), np.float32)
            total[rows, columns] += deepen * min(amount, MOST) if amount > 0 else fade * min(-amount, 1)
        if total is None:
            return pixels
        out = pixels.copy()
        _apply(out, total, *self._corner, self._step)
        return out


def activation(fold: Fold, side: int, displacement: Array) -> np.float32:
    """Return how far a fold is activated: 0 at rest, soft at first, below 0 where the skin is drawn smooth.

    Args:
        fold: which.
        side: 1 for the image-left one, -1 for its mirror; folds across the midline take both.
        displacement: (478, 3) IOD.
    """
    raw = np.float32(0)
    for drive in fold.drive:
        for which in (1, -1) if fold.both else (side,):
            points = list(drive.points) if which == 1 else mirror()[list(drive.points)]
            out, up = displacement[points, 0].mean() * -which, displacement[points, 1].mean()
            raw += (drive.direction[0] * out + drive.direction[1] * up) / drive.iod / (2 if fold.both else 1)
    return np.float32(raw * abs(raw) / (abs(raw) + SOFT))


@dataclass(frozen=True)
class _Look:
    """What is read off the photo on the grid: log brightness (h, w), log channels (h, w, 3), share of skin (h, w), the
    light (2,), how each channel follows the brightness in the skin's shades (3,), grid points an IOD."""

    log: Array
    channels: Array
    skin: Array
    light: Float
    tint: Float
    unit: float


@numba.njit(cache=True, nogil=True)
def _apply(pixels: Image, total: Array, x0: int, y0: int, step: int) -> None:
    """Multiply pixels (H, W, 3) by exp of a (h, w, 3) grid whose first cell starts at x0, y0, in place."""
    height, width = total.shape[0], total.shape[1]
    for row in range(min(height * step, pixels.shape[0] - y0)):
        y = min(max((row + 0.5) / step - 0.5, 0.0), height - 1.0)
        i = min(int(y), height - 2)
        for column in range(min(width * step, pixels.shape[1] - x0)):
            x = min(max((column + 0.5) / step - 0.5, 0.0), width - 1.0)
            j = min(int(x), width - 2)
            a, b = y - i, x - j
            w00, w01, w10, w11 = (1 - a) * (1 - b), (1 - a) * b, a * (1 - b), a * b
            for k in range(3):
                value = w00 * total[i, j, k] + w01 * total[i, j + 1, k]
                value += w10 * total[i + 1, j, k] + w11 * total[i + 1, j + 1, k]
                if abs(value) > 1e-3:
                    pixels[y0 + row, x0 + column, k] = min(
                        int(pixels[y0 + row, x0 + column, k] * np.exp(value) + 0.5), 255
                    )


def _on_mesh(curve: Float, points: Float) -> Float:
    """Take (N, 2) places of the canonical face to where (478, 2) points have them: same triangle, same weights."""
    vertices, triangles = topology().vertices[:, :2].astype(np.float64), topology().triangles
    a, b, c = (vertices[triangles[:, k]] for k in range(3))
    area = (b - a)[:, 0] * (c - a)[:, 1] - (b - a)[:, 1] * (c - a)[:, 0]
    out = []
    for x, y in curve:
        wb = ((x - a[:, 0]) * (c - a)[:, 1] - (y - a[:, 1]) * (c - a)[:, 0]) / area
        wc = ((b - a)[:, 0] * (y - a[:, 1]) - (b - a)[:, 1] * (x - a[:, 0])) / area
        weights = np.stack([1 - wb - wc, wb, wc], axis=1)
        best = int(weights.min(axis=1).argmax())
        out.append(weights[best] @ points[triangles[best]])
    return np.array(out)


def _sampled(points: Float, values: npt.NDArray[np.floating]) -> Float:
    """Sample (h, w) values at (..., 2) points."""
    at = np.asarray(points, np.float32).reshape(-1, 1, 2)
    out = cv2.remap(values, at, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(out.reshape(points.shape[:-1] + values.shape[2:]), np.float64)


def _skin_share(small: Image, points: Float, unit: float) -> Array:
    """Return (h, w) how much a place looks like the cheeks' skin, 0..1: hair, beard, frames and hats do not."""
    lab = cv2.cvtColor(small.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)
    lab = cv2.GaussianBlur(lab, (0, 0), max(0.02 * unit, 0.5))
    at = np.stack([_sampled(points[list(SKIN)], np.ascontiguousarray(lab[..., k])) for k in range(3)], axis=1)
    middle = np.median(at, axis=0)
    tint = np.hypot(lab[..., 1] - middle[1], lab[..., 2] - middle[2])
    bright = lab[..., 0] / max(float(middle[0]), 1.0)
    grey = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY).astype(np.float32) / (255 * (middle[0] / 100))
    rough = cv2.GaussianBlur(np.abs(grey - cv2.GaussianBlur(grey, (0, 0), 0.02 * unit)), (0, 0), 0.04 * unit)
    share = np.clip(1.6 - tint / 14, 0, 1) * np.clip((bright - 0.35) / 0.25, 0, 1) * np.clip(1.6 - rough / 0.06, 0, 1)
    oval = np.zeros(share.shape, np.uint8)
    cv2.fillPoly(oval, [points[list(FACE_OVAL)].round().astype(np.int32)], 1)
    inside = np.clip(cv2.distanceTransform(oval, cv2.DIST_L2, cv2.DIST_MASK_PRECISE) / (0.06 * unit), 0, 1)
    return np.asarray(cv2.GaussianBlur((share * inside).astype(np.float32), (0, 0), 0.02 * unit))


def _channels(small: Image) -> Array:
    return np.log(small.astype(np.float32) + LIFT)


def _tint(small: Image, skin: Array) -> Float:
    """Return (3,) how much the log of R, G, B changes with the log of brightness in this photo's skin.

    Skin grows redder in its shades, a painter's skin browner, a grey photo's not at all.
    """
    grey = np.log(cv2.cvtColor(small, cv2.COLOR_RGB2GRAY).astype(np.float32) + LIFT)
    weight = skin / max(float(skin.sum()), 1e-6)
    apart = grey - (weight * grey).sum()
    variance = float((weight * apart**2).sum())
    channels = _channels(small)
    slope = (weight[..., None] * apart[..., None] * channels).sum((0, 1))
    mean = np.array([float((weight * channels[..., k]).sum()) for k in range(3)])
    prior = np.array([0.80, 1.06, 1.20]) if np.ptp(mean) > 0.02 else np.ones(3)
    return np.asarray(np.clip((slope + 0.02 * prior) / (variance + 0.02), 0.5, 1.7), np.float64)


def _light(log: Array, skin: Array, landmarks: Array, points: Float) -> Float:
    """Return (2,) where the light comes from, x right, y down, in log brightness for a slope of 1.

    Ridge regression of the skin's log brightness on the mesh's normals, drawn to light from above.
    """
    triangles = topology().triangles
    a, b, c = (landmarks[triangles[:, k]].astype(np.float64) for k in range(3))
    normal = np.cross(b - a, c - a)
    normal *= -np.sign(normal[:, 2:]) / np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-9)
    middle = points[triangles].mean(axis=1)
    weight = _sampled(middle, skin) * (np.abs(normal[:, 2]) > 0.5)
    value = _sampled(middle, log)
    centred = np.stack([normal[:, 0], normal[:, 1]], axis=1)
    total = max(float(weight.sum()), 1e-6)
    centred = centred - (weight @ centred) / total
    value = value - (weight @ value) / total
    trust = 0.03
    gram = centred.T @ (centred * weight[:, None]) / total + trust * np.eye(2)
    light = np.linalg.solve(gram, centred.T @ (value * weight) / total + trust * FROM_ABOVE)
    return np.asarray(light / max(1.0, float(np.linalg.norm(light)) / 0.6))


def _snap(log: Array, line: Float, normal: Float, reach: float, unit: float) -> Float:
    """Return how far (N,) to move a curve (N, 2) along its normals (N, 2) to the dark valley that runs along it."""
    rows = 25
    shift = np.linspace(-reach, reach, rows) * unit
    at = line[None] + normal[None] * shift[:, None, None]  # (R, N, 2)
    valley = gaussian_filter1d(_valley(log, at, normal, unit), 2, axis=1)  # (R, N)
    cost = -np.clip(valley, -0.05, 0.12) / 0.05 + 1.2 * (shift / (reach * unit))[:, None] ** 2
    total, steps = cost.copy(), np.zeros(cost.shape, np.int64)
    for column in range(1, cost.shape[1]):
        before = np.pad(total[:, column - 1], 1, constant_values=np.inf)
        options = np.stack([before[:-2] + 0.35, before[1:-1], before[2:] + 0.35])
        steps[:, column] = options.argmin(0) - 1
        total[:, column] += options.min(0)
    path = np.empty(cost.shape[1], np.int64)
    row = int(total[:, -1].argmin())
    for column in range(cost.shape[1] - 1, -1, -1):
        path[column] = row
        row = int(np.clip(row + steps[row, column], 0, rows - 1))
    return gaussian_filter1d(shift[path], 3)


def _valley(log: Array, at: Float, normal: Float, unit: float) -> Float:
    """Return how much darker (h, w[, 3]) values are at (..., N, 2) points than on both sides along the normals (N, 2)."""
    narrow = cv2.GaussianBlur(log, (0, 0), max(CREASE_IOD * unit, 0.6))
    sides = [_sampled(at + sign * BESIDE_IOD * unit * normal, narrow) for sign in (1, -1)]
    return np.minimum(*sides) - _sampled(at, narrow)


def _shade(
    fold: Fold, side: int, look: _Look, points: Float
) -> tuple[slice, slice, Array, Array] | None:
    """Return where a fold lies on the grid, its shade there at activation 1, and what takes it away at -1."""
    unit = look.unit
    curve = np.array(fold.curve) * [side, 1]
    knots = _on_mesh(curve, points)
    way = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(knots, axis=0), axis=1))])
    along = np.linspace(0, way[-1], SAMPLES)
    spline = CubicSpline(way, knots)
    line, tangent = spline(along), spline(along, 1)
    # to the bulge: left of the way as the image-left fold runs, y down
    normal = np.stack([tangent[:, 1], -tangent[:, 0]], axis=1) * -side
    normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-9)
    if fold.snap:
        line = line + _snap(look.log, line, normal, fold.snap, unit)[:, None] * normal
    valley = np.clip(gaussian_filter1d(_valley(look.channels, line, normal, unit), 2, axis=0), 0, 0.3)  # (N, 3)
    depth = valley.mean(axis=1)
    reach = REACH * unit * max(fold.width, *fold.spread)
    low, high = np.floor(line.min(0) - reach).astype(int), np.ceil(line.max(0) + reach).astype(int) + 1
    low, high = np.maximum(low, 0), np.minimum(high, look.log.shape[::-1])
    if (high - low < 2).any():
        return None
    x, y = np.meshgrid(np.arange(low[0], high[0]), np.arange(low[1], high[1]))
    place = np.stack([x, y], axis=-1).reshape(-1, 2)
    away = place[:, None] - line[None]  # (P, N, 2)
    nearest = (away**2).sum(-1).argmin(1)
    over = away[np.arange(len(place)), nearest]
    n = (over * normal[nearest]).sum(1) / unit  # IOD, towards the bulge
    beyond = np.abs(over[:, 0] * normal[nearest, 1] - over[:, 1] * normal[nearest, 0]) / unit  # past an end
    t = nearest / (SAMPLES - 1)
    ends = max(0.02, 0.7 * max(fold.spread) if fold.shade else 0)
    window = np.sin(np.pi * (0.1 + 0.8 * t)) ** 0.8 * np.exp(-0.5 * (beyond / ends) ** 2)
    line_at = np.exp(-0.5 * (n / max(fold.width, 0.9 / unit)) ** 2)
    soft = np.exp(-0.5 * (n / np.where(n > 0, *fold.spread)) ** 2)
    lit = np.clip(1 + 1.5 * (normal @ (look.light - FROM_ABOVE)), 0.5, 1.5) if fold.shade > 0 else np.ones(SAMPLES)
    own = gaussian_filter1d(np.clip(SMOOTH + depth / CREASED, 0, DEEPEST), 4)  # (N,) softer where the skin is smooth
    window = window * _sampled(place, look.skin)
    fade = FADES * (window * line_at)[:, None] * valley[nearest]
    # a crease that is there has its own colour
    known = (depth @ valley + 0.01 * look.tint) / (depth @ depth + 0.01)
    line_at = fold.crease * own[nearest] * line_at
    soft = fold.shade * gaussian_filter1d(lit, 4)[nearest] * soft
    deepen = -window[:, None] * (line_at[:, None] * known + soft[:, None] * look.tint)
    shape = *x.shape, 3
    rows, columns = slice(int(low[1]), int(high[1])), slice(int(low[0]), int(high[0]))
    return rows, columns, deepen.reshape(shape).astype(np.float32), fade.reshape(shape).astype(np.float32)
