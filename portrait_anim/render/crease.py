"""Where one fold lies in a photo and how it changes the brightness there.

A fold is a curve drawn on the mean face (:mod:`portrait_anim.render.folds`). Here it is carried over to the face of the
photo and moved onto the photo's own crease where there is one. Its shade is a dark line along the curve and a soft
shade on the skin beside it.

Convention:
    * Points and lengths are on the grid of :class:`portrait_anim.render.skin_look.SkinLook`: (x, y), x right, y down,
      grid points at integers; ``unit`` grid points are an IOD.
    * Brightness is a natural logarithm: adding -.1 makes a place about a tenth darker.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.interpolate import CubicSpline
from scipy.ndimage import gaussian_filter1d
from scipy.spatial import cKDTree

from portrait_anim.face.mesh import topology
from portrait_anim.render.folds import Fold
from portrait_anim.render.path import cheapest_path
from portrait_anim.render.skin_look import FROM_ABOVE, SkinLook, sampled

Array = npt.NDArray[np.float32]
Float = npt.NDArray[np.float64]

SAMPLES = 48  # along a curve
REACH = 3.0  # deviations from a curve within which it shades
BESIDE_IOD = 0.035  # how far to either side of a crease the skin is that it is compared with

# finding the photo's own crease
SNAP_ROWS = 25  # places looked at across the curve
SNAP_BEND = 0.35  # cost of a step to the next row
SNAP_OFF = 1.2  # cost of the outermost rows over that of the middle one
SNAP_DARK = (-0.05, 0.12)  # log brightness, limits of a place's depth
SNAP_UNIT = 0.05  # depth that makes a place cheaper by 1
SNAP_SMOOTH = 3  # samples, Gaussian deviation of the found curve
ALONG = 2  # samples, Gaussian deviation of a crease's depth along the curve
DEEPEST_OWN = 0.3  # log brightness, depth of the photo's own crease that counts at most

# the dark line
NARROWEST = 0.9  # grid points, a line's deviation; finer ones are drawn as wide as that and fainter in proportion
SMOOTH, CREASED = 0.25, 0.05  # share of the line that smooth skin gets; depth of the photo's own that adds a whole line
DEEPEST = 1.6  # times the line at most, where the photo's own crease is deep
EVEN = 4  # samples, Gaussian deviation along the curve of line and soft shade
FADES = 0.8  # share of the photo's own crease that a fold takes away when the skin is stretched
OWN_COLOUR = 0.01  # squared depth of the photo's own crease at which its colour counts as much as the usual shade's

# the ends of a curve
ENDS = (0.1, 0.8, 0.8)  # strength along it: sin(pi * (first + second * t)) ** third for t from 0 to 1
BEYOND = 0.02  # IOD, Gaussian deviation with which it ends beyond the last sample, at least
BEYOND_SHADE = 0.7  # the same over the width of the soft shade

# the soft shade
LIT, LIT_RANGE = 1.5, (0.5, 1.5)  # it is deeper on the side turned from the light: factor, and its limits


def _on_mesh(curve: Float, points: Float) -> Float:
    """Carry places (N, 2) of the mean face over to a face with points (478, 2): same triangle, same weights in it."""
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


def fold_field(fold: Fold, side: int, look: SkinLook, points: Float) -> tuple[int, int, Array, Array] | None:
    """Return where a fold lies on the grid and what it adds to the brightness there.

    Args:
        fold: the fold.
        side: 1 for the one at image left, -1 for its mirror.
        look: what the photo says of the skin.
        points: (478, 2) the landmarks on the grid.

    Returns:
        first row, first column, and two fields (h, w, 3) of log R, G, B: what is added at activation 1, and what is
        added at activation -1, where the photo's own crease is smoothed away. None where it lies outside.
    """
    # the curve on this face, sampled evenly
    unit = look.unit
    curve = np.array(fold.curve) * [side, 1]
    knots = _on_mesh(curve, points)  # (K, 2)
    way = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(knots, axis=0), axis=1) + 1e-3)])
    along = np.linspace(0, way[-1], SAMPLES)
    spline = CubicSpline(way, knots)
    line, tangent = spline(along), spline(along, 1)
    # across it, towards the skin that bulges; then onto the photo's own crease
    normal = np.stack([tangent[:, 1], -tangent[:, 0]], axis=1) * -side
    normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-9)
    if fold.snap:
        line = line + _snap(look.log, line, normal, fold.snap, unit)[:, None] * normal
    # how deep the photo's own crease is
    own_depth = gaussian_filter1d(_valley(look.channels, line, normal, unit), ALONG, axis=0)
    valley = np.clip(own_depth, 0, DEEPEST_OWN)  # (N, 3)
    depth = valley.mean(axis=1)  # (N,)
    # the box that it changes
    reach = REACH * unit * max(fold.width, *fold.spread)
    low, high = np.floor(line.min(0) - reach).astype(int), np.ceil(line.max(0) + reach).astype(int) + 1
    low, high = np.maximum(low, 0), np.minimum(high, look.log.shape[::-1])
    if (high - low < 2).any():
        return None
    # where each place of the box lies: nearest sample, distance across the curve, distance past its ends
    x, y = np.meshgrid(np.arange(low[0], high[0]), np.arange(low[1], high[1]))
    place = np.stack([x, y], axis=-1).reshape(-1, 2)  # (P, 2)
    _, nearest = cKDTree(line).query(place)
    over = place - line[nearest]
    n = (over * normal[nearest]).sum(1) / unit  # (P,) IOD, towards the bulge
    beyond = np.abs(over[:, 0] * normal[nearest, 1] - over[:, 1] * normal[nearest, 0]) / unit  # (P,) IOD
    # strength there: less towards the ends and where there is no skin
    t = nearest / (SAMPLES - 1)
    ends = max(BEYOND, BEYOND_SHADE * max(fold.spread) if fold.shade else 0)
    first, second, power = ENDS
    window = np.sin(np.pi * (first + second * t)) ** power * np.exp(-0.5 * (beyond / ends) ** 2)
    window = window * sampled(place, look.skin)
    # the dark line, and what takes the photo's own away
    width = max(fold.width, NARROWEST / unit)
    line_at = np.exp(-0.5 * (n / width) ** 2)
    own = gaussian_filter1d(np.clip(SMOOTH + depth / CREASED, 0, DEEPEST), EVEN)  # (N,) softer where the skin is smooth
    fade = FADES * (window * line_at)[:, None] * valley[nearest]  # (P, 3)
    line_at = fold.crease * fold.width / width * own[nearest] * line_at
    known = (depth @ valley + OWN_COLOUR * look.tint) / (depth @ depth + OWN_COLOUR)  # (3,) colour of the photo's own
    # the soft shade beside it, deeper where the skin is turned from the light
    soft = np.exp(-0.5 * (n / np.where(n > 0, *fold.spread)) ** 2)
    turned = np.clip(1 + LIT * (normal @ (look.light - FROM_ABOVE)), *LIT_RANGE)
    lit = turned if fold.shade > 0 else np.ones(SAMPLES)  # (N,)
    soft = fold.shade * gaussian_filter1d(lit, EVEN)[nearest] * soft
    # both together
    deepen = -window[:, None] * (line_at[:, None] * known + soft[:, None] * look.tint)  # (P, 3)
    shape = *x.shape, 3
    return int(low[1]), int(low[0]), deepen.reshape(shape).astype(np.float32), fade.reshape(shape).astype(np.float32)


def _snap(log: Array, line: Float, normal: Float, reach: float, unit: float) -> Float:
    """Return how far (N,) to move a curve along its normals onto the dark line that runs beside it, grid points.

    Args:
        log: (h, w) log brightness.
        line: (N, 2) the curve.
        normal: (N, 2) unit vectors across it.
        reach: IOD to either side that are searched.
        unit: grid points an IOD.
    """
    shift = np.linspace(-reach, reach, SNAP_ROWS) * unit  # (R,)
    at = line[None] + normal[None] * shift[:, None, None]  # (R, N, 2)
    valley = gaussian_filter1d(_valley(log, at, normal, unit), ALONG, axis=1)  # (R, N)
    cost = -np.clip(valley, *SNAP_DARK) / SNAP_UNIT + SNAP_OFF * (shift / (reach * unit))[:, None] ** 2
    path = cheapest_path(cost, SNAP_BEND)
    return np.asarray(gaussian_filter1d(shift[path], SNAP_SMOOTH))


def _valley(log: Array, at: Float, normal: Float, unit: float) -> Float:
    """Return how much darker places (..., N, 2) are than the skin on both sides of them.

    Args:
        log: (h, w) or (h, w, 3) log brightness.
        at: (..., N, 2) the places.
        normal: (N, 2) unit vectors towards one side.
        unit: grid points an IOD.
    """
    sides = [sampled(at + sign * BESIDE_IOD * unit * normal, log) for sign in (1, -1)]
    return np.asarray(np.minimum(*sides) - sampled(at, log))
