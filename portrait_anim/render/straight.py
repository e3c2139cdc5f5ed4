"""Finds straight-edged things beside the head that must stay still: inset pictures, posters, screens, a desk's edge.

The matte marks what belongs to a person. It also marks the picture of another person, or a card held before the
shoulder, and the mesh would then move those with the head. A rectangle whose four sides are all seen is not behind the
hair, so it may be held still. So may everything beyond a straight line that crosses the whole photo.

Convention:
    * Places are (x, y) px of the searched picture: the face's surroundings, ``FINER`` times as fine as the matte.
      Pixel centres are at integers, y points down.
    * ``to_matte`` is a (2, 3) matrix from (x, y, 1) px of the photo to px of the matte.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from portrait_anim.face.mesh import CHIN, FACE_OVAL
from portrait_anim.system.opencv import cv2

Float = npt.NDArray[np.float64]
Image = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]

FINER = 3  # px of the searched picture for each px of the matte, along x and along y
FOREHEAD_TOP = 10  # landmark

# lines
PIECE = 0.12  # IOD, least length of the pieces that a line is put together from
APART = 0.20  # IOD, greatest gap between two pieces of a line
ASIDE_PX = 1.5  # px, greatest distance of a piece from its line
SHORTEST = 0.40  # IOD, least length of a line and of a rectangle's side
MOST_PIECES, MOST_LINES = 300, 60  # only the longest are looked at

# shapes
MEETING = 0.35  # IOD, greatest distance of two lines' ends from the corner in which they would meet
SQUARE = float(np.sin(np.radians(8)))  # sine of a corner's greatest deviation from a right angle
LEVEL = float(np.sin(np.radians(1.5)))  # the same for a line across the photo, from level or upright
BORDER = 0.05  # IOD; a side that ends so near to the photo's border lies on it
SAME = 0.03  # IOD; ends of a side that differ less are taken for one

# whether a shape has edges for its sides
SAMPLES = 48  # places at which a side is looked at, a multiple of 3
STEEP = 5.0  # grey levels a px; a steeper slope is an edge
ALONG = float(np.cos(np.radians(20)))  # cosine of the greatest angle between an edge and the side
SEEN = 0.35  # least share of a side's places that lie on an edge
SEEN_IN_ALL = 0.65  # least share on average over a shape's sides
SEEN_ALONE = 0.8  # least share of a shape's only side, when the others lie on the photo's border
SEEN_IN_THIRD = 0.2  # least share in each third of a side; otherwise the side is shorter than the shape
WHOLE = 0.5  # share from which on a side counts as seen along its whole length
WORSE = 0.08  # of shapes in one place, those whose share is lower than the best by more than this are dropped

# the head
HAIR = 0.25  # share of the face's height above it that hair and hats take
BESIDE_FACE = 0.06  # IOD beyond the face's outline that still belong to the face


def straight_edged(
    pixels: Image, person: Mask, to_matte: Float, landmarks: npt.NDArray[np.float32], iod_px: float
) -> Mask:
    """Return which pixels of a matte belong to straight-edged things that stand free of the head.

    Args:
        pixels: (H, W, 3) the photo.
        person: (S, S) a matte's pixels that it takes for the person.
        to_matte: (2, 3) map from image px to the matte's.
        landmarks: (478, 3) px.
        iod_px: px an IOD in the image.

    Returns:
        (S, S) mask. Hair may lie over a thing whose side towards the face is seen only in part: of such a thing, pixels
        that the matte takes for the person are left out.
    """
    # the searched picture
    place = to_matte * FINER
    place[:, 2] += (FINER - 1) / 2  # pixel centres: fine = FINER * (x + .5) - .5
    size = len(person)
    side, unit = size * FINER, iod_px * float(place[0, 0])  # px; px an IOD in the searched picture
    first, last = np.array([[0, 0], pixels.shape[1::-1]]) @ place[:, :2].T + place[:, 2]
    x0, y0 = (int(value) for value in np.ceil(np.maximum(first, 0)))
    x1, y1 = (int(value) for value in np.floor(np.minimum(last, side - 1)))
    grey = _searched(pixels, place, side)[y0 : y1 + 1, x0 : x1 + 1]
    # the head, which no thing may cover
    oval = landmarks[list(FACE_OVAL), :2] @ place[:, :2].T + place[:, 2] - [x0, y0]
    face = np.zeros(grey.shape, np.uint8)
    upwards = (oval[FACE_OVAL.index(FOREHEAD_TOP)] - oval[FACE_OVAL.index(CHIN)]) * HAIR
    for part in (oval, oval + upwards):
        cv2.fillPoly(face, [np.round(part).astype(np.int32)], 1)
    reach = 2 * max(1, round(BESIDE_FACE * unit)) + 1
    face = cv2.dilate(face, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (reach, reach)))
    # shapes that the lines make, with edges for their sides
    lines = _lines(grey, unit)
    right, bottom = grey.shape[1] - 1.0, grey.shape[0] - 1.0
    frame = np.array([[0, 0], [right, 0], [right, bottom], [0, bottom]])
    slopes = np.stack([cv2.Sobel(grey, cv2.CV_32F, 1, 0), cv2.Sobel(grey, cv2.CV_32F, 0, 1)], axis=-1) / 8
    slopes *= max(1.0, float(place[0, 0]))  # per px of the photo where that was enlarged
    middle = oval.mean(axis=0)
    edges = _Edges(slopes, BORDER * unit)
    things = []  # mean share of the sides that is seen, whether hair may lie over it, the shape
    for shape in _rectangles(lines, frame, unit) + _strips(lines, frame, middle):
        sides = edges.sides(shape)
        seen = edges.outline(sides)
        if len(seen) and seen.min() >= SEEN and seen.mean() >= (SEEN_IN_ALL if len(seen) > 1 else SEEN_ALONE):
            hidden = any(share < WHOLE and _faces(at, shape, middle) for share, at in zip(seen, sides, strict=True))
            things.append((float(seen.mean()), hidden, shape))
    # the best ones in each place, drawn and reduced to the matte's size
    found = np.zeros((2, side, side), np.uint8)  # those seen whole, those that hair may hide in part
    best = np.zeros(grey.shape, np.float32)
    for mean, hidden, shape in sorted(things, key=lambda thing: -thing[0]):
        drawn = np.zeros(grey.shape, np.uint8)
        cv2.fillPoly(drawn, [np.round(shape).astype(np.int32)], 1)
        if not (drawn & face).any() and best[drawn > 0].max(initial=0) <= mean + WORSE:
            best[drawn > 0] = np.maximum(best[drawn > 0], mean)
            found[int(hidden), y0 : y1 + 1, x0 : x1 + 1] |= drawn
    whole, partly = found.reshape(2, size, FINER, size, FINER).max(axis=(2, 4)) > 0
    return np.asarray(whole | (partly & ~person))


def _searched(pixels: Image, place: Float, side: int) -> Image:
    """Return the (side, side) grey surroundings of the face; a large photo is averaged first."""
    grey = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
    scale = float(place[0, 0])
    if scale < 0.7:
        grey = cv2.resize(grey, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        place = place.copy()
        place[:, :2] = np.eye(2)
        place[:, 2] += 0.5 * scale - 0.5  # small = scale * (x + .5) - .5
    return np.asarray(cv2.warpAffine(grey, place, (side, side), borderMode=cv2.BORDER_REPLICATE))


def _lines(grey: Image, unit: float) -> Float:
    """Return the long straight edges (N, 2, 2), x, y of both ends, put together from their pieces."""
    pieces = cv2.createLineSegmentDetector(cv2.LSD_REFINE_STD).detect(np.ascontiguousarray(grey))[0]
    if pieces is None:
        return np.zeros((0, 2, 2))
    pieces = pieces.reshape(-1, 2, 2).astype(np.float64)
    lengths = np.linalg.norm(pieces[:, 1] - pieces[:, 0], axis=1)
    order = np.argsort(-lengths)
    left = pieces[order[lengths[order] > PIECE * unit]][:MOST_PIECES]
    lines: list[Float] = []
    while len(left):
        line, left = left[0], left[1:]
        while (on_it := _continues(line, left, APART * unit)).any():
            along = (line[1] - line[0]) / np.linalg.norm(line[1] - line[0])
            at = np.append((np.concatenate([line[None], left[on_it]]) - line[0]) @ along, 0.0)
            line, left = np.stack([line[0] + along * at.min(), line[0] + along * at.max()]), left[~on_it]
        if np.linalg.norm(line[1] - line[0]) >= SHORTEST * unit:
            lines.append(line)
    return np.array(lines[:MOST_LINES]).reshape(-1, 2, 2)


def _continues(line: Float, pieces: Float, apart: float) -> Mask:
    """Return which pieces (N, 2, 2) lie on ``line`` (2, 2), or on its prolongation by at most ``apart`` px."""
    length = float(np.linalg.norm(line[1] - line[0]))
    along = (line[1] - line[0]) / length
    off = pieces - line[0]  # (N, 2, 2)
    at = off @ along  # (N, 2)
    aside = np.abs(off[..., 0] * along[1] - off[..., 1] * along[0]).max(axis=1)
    straight = aside <= ASIDE_PX + 0.01 * np.abs(at).max(axis=1, initial=0)
    return np.asarray(
        straight & (at.min(axis=1, initial=np.inf) <= length + apart) & (at.max(axis=1, initial=-np.inf) >= -apart)
    )


def _rectangles(lines: Float, frame: Float, unit: float) -> list[Float]:
    """Return the rectangles (4, 2) that lines with a common corner may span.

    A side ends where its line does, where another line crosses it, or at the border of the frame (4, 2).
    """
    borders = np.stack([frame, np.roll(frame, -1, axis=0)], axis=1)
    shapes = []
    for i, one in enumerate(lines):
        for other in lines[i + 1 :]:
            corner = _crossing(one, other)
            if corner is None or max(np.linalg.norm(line - corner, axis=1).min() for line in (one, other)) > (
                MEETING * unit
            ):
                continue
            ends = []
            for line in (one, other):
                far = line[int(np.linalg.norm(line - corner, axis=1).argmax())]
                crossed = [_crossing(line, third) for third in (*lines, *borders)]
                ways = np.array([point - corner for point in (far, *crossed) if point is not None])
                forward = ways @ (far - corner) / np.linalg.norm(far - corner)
                inside = ((corner + ways >= -1) & (corner + ways <= frame[2] + 1)).all(axis=1)
                ends.append(_apart(ways[inside & (forward >= SHORTEST * unit)], SAME * unit))
            shapes += [corner + np.stack([0 * a, a, a + b, b]) for a in ends[0] for b in ends[1]]
    return shapes


def _crossing(one: Float, other: Float) -> Float | None:
    """Return where two lines (2, 2) or their prolongations cross, (2,); None unless they do so at about a right angle."""
    u, v = ((line[1] - line[0]) / np.linalg.norm(line[1] - line[0]) for line in (one, other))
    if abs(float(u @ v)) > SQUARE:
        return None
    t = np.linalg.solve(np.stack([u, -v], axis=1), other[0] - one[0])
    return np.asarray(one[0] + t[0] * u)


def _apart(ways: Float, least: float) -> Float:
    """Return vectors (N, 2), the longest first, without those that differ from the one before by less than ``least``."""
    ways = ways[np.argsort(-np.linalg.norm(ways, axis=1))]
    kept: list[Float] = []
    for way in ways:
        if not kept or np.linalg.norm(kept[-1] - way) >= least:
            kept.append(way)
    return np.array(kept).reshape(-1, 2)


def _strips(lines: Float, frame: Float, face: Float) -> list[Float]:
    """Return what lies beyond level and upright lines, prolonged across the frame (4, 2), seen from the face (2,)."""
    shapes = []
    for line in lines:
        along = (line[1] - line[0]) / np.linalg.norm(line[1] - line[0])
        if np.abs(along).min() > LEVEL:
            continue
        normal = np.array([-along[1], along[0]])
        normal = normal * -np.sign((face - line[0]) @ normal)  # away from the face
        depth = (frame - line[0]) @ normal
        shape = []
        for k in range(4):  # the frame cut along the line
            if depth[k] >= 0:
                shape.append(frame[k])
            after = (k + 1) % 4
            if depth[k] * depth[after] < 0:
                shape.append(frame[k] + (frame[after] - frame[k]) * depth[k] / (depth[k] - depth[after]))
        if len(shape) >= 3:
            shapes.append(np.array(shape))
    return shapes


def _faces(side: tuple[Float, Float], shape: Float, face: Float) -> bool:
    """Return whether a side of a shape (N, 2) lies between the shape and the face's middle (2,)."""
    start, end = side
    along = end - start
    normal = np.array([-along[1], along[0]])
    return bool(((face - start) @ normal) * ((shape.mean(axis=0) - start) @ normal) < 0)


class _Edges:
    """The edges of a picture: tells how much of a shape's outline lies on them.

    Args:
        slopes: (H, W, 2) grey levels a px, along x and y.
        border: px from the border within which a side lies on it.
    """

    def __init__(self, slopes: npt.NDArray[np.floating], border: float) -> None:
        self._slopes, self._border = slopes, border
        self._last = np.array(slopes.shape[1::-1]) - 1

    def outline(self, sides: list[tuple[Float, Float]]) -> Float:
        """Return the share of each side that lies on an edge; after a side below ``SEEN`` the rest are not looked at (0)."""
        seen = np.zeros(len(sides))
        for k, side in enumerate(sides):
            seen[k] = self._seen(*side)
            if seen[k] < SEEN:
                break
        return seen

    def sides(self, shape: Float) -> list[tuple[Float, Float]]:
        """Return start and end of the sides of ``shape`` (N, 2) that do not lie on the border."""
        found = []
        for start, end in zip(shape, np.roll(shape, -1, axis=0), strict=True):
            low, high = np.minimum(start, end), np.maximum(start, end)
            if not ((high <= self._border).any() or (low >= self._last - self._border).any()):
                found.append((start, end))
        return found

    def _seen(self, start: Float, end: Float) -> float:
        """Return the share of a side that lies on an edge; 0 when one third of it hardly does (``SEEN_IN_THIRD``)."""
        along = (end - start) / max(float(np.linalg.norm(end - start)), 1e-6)
        normal = np.array([-along[1], along[0]])
        at = start + np.linspace(0.04, 0.96, SAMPLES)[:, None] * (end - start)  # (S, 2)
        near = at[:, None] + np.arange(-3, 4)[:, None] * normal  # (S, 7, 2)
        x, y = np.clip(near.round().astype(int), 0, self._last).transpose(2, 0, 1)
        slope = self._slopes[y, x]  # (S, 7, 2)
        across, size = np.abs(slope @ normal), np.linalg.norm(slope, axis=-1)
        thirds = ((across >= STEEP) & (across >= ALONG * size)).any(axis=1).reshape(3, -1).mean(axis=1)
        return float(thirds.mean()) if thirds.min() >= SEEN_IN_THIRD else 0.0
