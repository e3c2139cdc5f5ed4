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
from scipy.spatial import cKDTree

from portrait_anim.face.mesh import FACE_OVAL, topology
from portrait_anim.render.folds import FOLDS, LEAST, Fold, activation, drive_weights
from portrait_anim.render.light import SKIN
from portrait_anim.render.path import cheapest_path
from portrait_anim.system.opencv import cv2

Array = npt.NDArray[np.float32]
Float = npt.NDArray[np.float64]
Image = npt.NDArray[np.uint8]

GRID_IOD = 100  # grid points an IOD at most; smaller faces are shaded pixel by pixel
SAMPLES = 48  # along a curve
REACH = 3.0  # deviations from a curve within which it shades
NARROWEST = 0.9  # grid points, a crease's deviation: finer ones are as much fainter
LIFT = 8.0  # grey levels added before a logarithm: noise in the dark is no crease
CREASE_IOD, BESIDE_IOD = 0.012, 0.035  # a crease's blur, and how far beside it the skin is that it is darker than
SMOOTH, CREASED = 0.25, 0.05  # share of a crease that smooth skin gets; depth of the photo's own that makes it whole
BEND = 0.35  # cost of a step aside while a crease is followed
FADES = 0.8  # share of the photo's own crease that smoothing takes away
DEEPEST = 1.6  # times the crease, where the photo's own is deeper still
FROM_ABOVE = np.array([0.0, -0.35])  # (x right, y down) log brightness for a slope of 1, light that is usual


class Skin:
    """The folds of one photo's face; safe to share between threads.

    Args:
        pixels: (H, W, 3) the photo.
        landmarks: (478, 3) px.
        iod_px: px an IOD.
        part: first column and row of the part of the photo that is shaded; it holds the whole face.
    """

    def __init__(self, pixels: Image, landmarks: Array, iod_px: float, part: tuple[int, int] = (0, 0)) -> None:
        height, width = pixels.shape[:2]
        xy = landmarks[:, :2].astype(np.float64)
        low, high = np.floor(xy.min(0)).astype(int), np.ceil(xy.max(0)).astype(int) + 1
        (x0, y0), (x1, y1) = np.clip(low, 0, [width - 8, height - 8]), np.clip(high, 8, [width, height])
        self._step = max(1, round(iod_px / GRID_IOD))
        self._corner = int(x0) - part[0], int(y0) - part[1]
        patch = pixels[y0:y1, x0:x1]
        size = -(-patch.shape[1] // self._step), -(-patch.shape[0] // self._step)
        self._shape = size[1], size[0]
        unit = iod_px / self._step  # grid points an IOD
        small = cv2.resize(patch, size, interpolation=cv2.INTER_AREA) if self._step > 1 else patch
        points = ((xy - [x0, y0] + 0.5) / self._step - 0.5).astype(np.float64)
        channels = np.log(small.astype(np.float32) + LIFT)
        log = np.log(cv2.cvtColor(small, cv2.COLOR_RGB2GRAY).astype(np.float32) + LIFT)
        skin = _skin_share(small, points, unit)
        light, tint = _light(log, skin, landmarks, points), _tint(log, channels, skin)
        log, channels = (cv2.GaussianBlur(values, (0, 0), max(CREASE_IOD * unit, 0.6)) for values in (log, channels))
        look = _Look(log, channels, skin, light, tint, unit)
        weights, self._fields = [], []
        for fold in FOLDS:
            for side in (1,) if fold.both else (1, -1):
                made = _shade(fold, side, look, points)
                if made is not None:
                    self._fields.append(made)
                    weights.append(drive_weights(fold, side))
        self._weights = np.array(weights, np.float32).reshape(-1, 2 * len(landmarks))  # (F, 478 * 2)

    def shade(self, pixels: Image, displacement: Array) -> Image:
        """Return (h, w, 3) pixels with the folds of a displacement (478, 3) IOD; the same array if it has none."""
        amounts = activation(self._weights @ displacement[:, :2].ravel())
        active = np.flatnonzero(np.abs(amounts) > LEAST)
        if not len(active):
            return pixels
        total = np.zeros((*self._shape, 3), np.float32)
        for k in active:
            top, left, deepen, fade = self._fields[k]
            _add(total, deepen if amounts[k] > 0 else fade, abs(float(amounts[k])), top, left)
        out = pixels.copy()
        _apply(out, total, *self._corner, self._step)
        return out


@dataclass(frozen=True)
class _Look:
    """What is read off the photo, on the grid."""

    log: Array  # (h, w) brightness
    channels: Array  # (h, w, 3) log of R, G, B
    skin: Array  # (h, w) share of skin
    light: Float  # (2,)
    tint: Float  # (3,) how the channels follow the brightness in the skin's shades
    unit: float  # grid points an IOD


@numba.njit(cache=True, nogil=True)
def _add(total: Array, field: Array, amount: float, top: int, left: int) -> None:
    """Add ``amount`` times a field (h, w, 3) to a larger one from row ``top`` and column ``left`` on, in place."""
    for row in range(field.shape[0]):
        for column in range(field.shape[1]):
            for k in range(3):
                total[top + row, left + column, k] += np.float32(amount) * field[row, column, k]


@numba.njit(cache=True, nogil=True)
def _apply(pixels: Image, total: Array, x0: int, y0: int, step: int) -> None:
    """Shade pixels (H, W, 3) by a (h, w, 3) grid of log brightness whose first cell starts at x0, y0, in place.

    The gain is exp to first order on either side, 1 + v and 1 / (1 - v): folds that lie together never grow black.
    """
    height, width = total.shape[0], total.shape[1]
    one, half = np.float32(1), np.float32(0.5)
    for row in range(min(height * step, pixels.shape[0] - y0)):
        y = min(max((row + half) / step - half, np.float32(0)), np.float32(height - 1))
        i = min(int(y), height - 2)
        a = np.float32(y - i)
        for column in range(min(width * step, pixels.shape[1] - x0)):
            x = min(max((column + half) / step - half, np.float32(0)), np.float32(width - 1))
            j = min(int(x), width - 2)
            b = np.float32(x - j)
            for k in range(3):
                if step == 1:
                    value = total[row, column, k]
                else:
                    value = (one - a) * ((one - b) * total[i, j, k] + b * total[i, j + 1, k]) + a * (
                        (one - b) * total[i + 1, j, k] + b * total[i + 1, j + 1, k]
                    )
                if abs(value) > np.float32(1e-3):
                    gain = one + value if value > 0 else one / (one - value)
                    shaded = pixels[y0 + row, x0 + column, k] * gain + half
                    pixels[y0 + row, x0 + column, k] = np.uint8(min(shaded, np.float32(255)))


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


def _tint(log: Array, channels: Array, skin: Array) -> Float:
    """Return (3,) how much the log of R, G, B changes with the log of brightness in this photo's skin.

    Skin grows redder in its shades, a painter's skin browner, a grey photo's not at all.
    """
    weight = skin / max(float(skin.sum()), 1e-6)
    apart = log - (weight * log).sum()
    variance = float((weight * apart**2).sum())
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
    path = cheapest_path(cost, BEND)
    return np.asarray(gaussian_filter1d(shift[path], 3))


def _valley(log: Array, at: Float, normal: Float, unit: float) -> Float:
    """Return how much darker (h, w[, 3]) values are at (..., N, 2) points than on both sides along normals (N, 2)."""
    sides = [_sampled(at + sign * BESIDE_IOD * unit * normal, log) for sign in (1, -1)]
    return np.asarray(np.minimum(*sides) - _sampled(at, log))


def _shade(fold: Fold, side: int, look: _Look, points: Float) -> tuple[int, int, Array, Array] | None:
    """Return a fold's first row and column on the grid, its shade at activation 1, and what takes it away at -1."""
    unit = look.unit
    curve = np.array(fold.curve) * [side, 1]
    knots = _on_mesh(curve, points)
    way = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(knots, axis=0), axis=1) + 1e-3)])
    along = np.linspace(0, way[-1], SAMPLES)
    spline = CubicSpline(way, knots)
    line, tangent = spline(along), spline(along, 1)
    # towards the bulge
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
    _, nearest = cKDTree(line).query(place)
    over = place - line[nearest]
    n = (over * normal[nearest]).sum(1) / unit  # IOD, towards the bulge
    beyond = np.abs(over[:, 0] * normal[nearest, 1] - over[:, 1] * normal[nearest, 0]) / unit  # past an end
    t = nearest / (SAMPLES - 1)
    ends = max(0.02, 0.7 * max(fold.spread) if fold.shade else 0)
    window = np.sin(np.pi * (0.1 + 0.8 * t)) ** 0.8 * np.exp(-0.5 * (beyond / ends) ** 2)
    width = max(fold.width, NARROWEST / unit)
    line_at = np.exp(-0.5 * (n / width) ** 2)
    soft = np.exp(-0.5 * (n / np.where(n > 0, *fold.spread)) ** 2)
    lit = np.clip(1 + 1.5 * (normal @ (look.light - FROM_ABOVE)), 0.5, 1.5) if fold.shade > 0 else np.ones(SAMPLES)
    own = gaussian_filter1d(np.clip(SMOOTH + depth / CREASED, 0, DEEPEST), 4)  # (N,) softer where the skin is smooth
    window = window * _sampled(place, look.skin)
    fade = FADES * (window * line_at)[:, None] * valley[nearest]
    # a crease that is there has its own colour
    known = (depth @ valley + 0.01 * look.tint) / (depth @ depth + 0.01)
    line_at = fold.crease * fold.width / width * own[nearest] * line_at
    soft = fold.shade * gaussian_filter1d(lit, 4)[nearest] * soft
    deepen = -window[:, None] * (line_at[:, None] * known + soft[:, None] * look.tint)
    shape = *x.shape, 3
    return int(low[1]), int(low[0]), deepen.reshape(shape).astype(np.float32), fade.reshape(shape).astype(np.float32)
