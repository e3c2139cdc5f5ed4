"""The person as a layer with opacity over the filled background.

The mesh moves the person alone: hair's soft edge goes with the head, whatever is behind stands still, and what the head
leaves behind was filled beforehand. At rest both layers together are exactly the photo.

Convention:
    * ``person`` holds R, G, B times opacity, and the opacity, each 0..255. Over a background b it shows
      ``rgb + (255 - opacity) * b / 255``.
    * Arrays belong to a box of the photo and are indexed [row, column].
"""

from __future__ import annotations

import numba
import numpy as np
import numpy.typing as npt
from scipy.ndimage import gaussian_filter1d

from portrait_anim.face.alpha import person_alpha
from portrait_anim.face.matte import face_mask
from portrait_anim.face.mesh import FACE_OVAL
from portrait_anim.render.pixels import Stack, seen_behind
from portrait_anim.render.straight import straight_edged
from portrait_anim.system.opencv import cv2

Array = npt.NDArray[np.float32]
Float = npt.NDArray[np.float64]
Image = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]

PERSON = 0.25  # value of the coarse matte 0..1 from which on a pixel is taken for the person's
COVERED = 0.90  # share of the face that the coarse matte must mark as person; otherwise it is ignored
FILL_IOD = 40  # px an IOD at which the background is filled: only its slow changes go on behind the person
FILL_REACH_PX = 4  # px of that, how far the filling looks
HALF = 0.5  # of the coarse matte: the head's outline
OUTLINE, OUTLINE_STEPS = (1.08, 2.2), 57  # sizes of the face's outline among which the head's is looked for
OUTLINE_SMOOTH = 2.5  # directions, Gaussian deviation
USUAL_OUTLINE = 1.45
TAKEN = 0.05  # share of a thing that the matte takes for the person, from which on it stands before the person
LEAST_SEEN = 1e-6
BEHIND = 0.02  # opacity from which on a pixel is filled


def believable(matte: Array, to_matte: Float, landmarks: Array) -> bool:
    """Return whether a coarse matte (S, S) covers the face, (478, 3) px, that it was made for."""
    face = face_mask(landmarks[:, :2] @ to_matte[:, :2].T + to_matte[:, 2], matte.shape)
    return bool(face.any() and (matte > PERSON)[face > 0].mean() >= COVERED)


def head_outline(matte: Array, to_matte: Float, landmarks: Array) -> Float:
    """Return (36,) how much larger than the face's outline the head's is, hair included, in the outline's directions.

    Args:
        matte: (S, S) 0..1; where it is not believable, a usual head is assumed.
        to_matte: (2, 3) from px of the photo to px of the matte.
        landmarks: (478, 3) px in the photo.
    """
    if not believable(matte, to_matte, landmarks):
        return np.full(len(FACE_OVAL), USUAL_OUTLINE)
    oval = landmarks[list(FACE_OVAL), :2].astype(np.float64)
    centre = oval.mean(0)
    sizes = np.linspace(*OUTLINE, OUTLINE_STEPS)
    at = (centre + (oval - centre)[:, None] * sizes[:, None]) @ to_matte[:, :2].T + to_matte[:, 2]  # (36, S, 2)
    seen = cv2.remap(matte, at.astype(np.float32), None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    beyond = seen < HALF
    first = np.where(beyond.any(1), beyond.argmax(1), OUTLINE_STEPS - 1)
    around = np.concatenate([sizes[first]] * 3)  # it goes round
    return np.asarray(gaussian_filter1d(around, OUTLINE_SMOOTH)[len(oval) : 2 * len(oval)])


def taken_apart(
    pixels: Image, box: tuple[int, int, int, int], matte: Array, to_matte: Float, landmarks: Array, iod_px: float
) -> Layers:
    """Return person and background of a part of a photo.

    Args:
        pixels: (H, W, 3) the photo.
        box: x0, y0, x1, y1 px, the part.
        matte: (S, S) 0..1, from :func:`portrait_anim.face.matte.person_matte`. Where it misses more than a tenth of the
            face it is not believed, and everything moves.
        to_matte: (2, 3) from px of the photo to px of the matte.
        landmarks: (478, 3) px in the photo.
        iod_px: px an IOD.
    """
    x0, y0, x1, y1 = box
    part = np.ascontiguousarray(pixels[y0:y1, x0:x1])
    from_part = to_matte.copy()
    from_part[:, 2] += to_matte[:, :2] @ [x0, y0]
    alpha = front = None
    if believable(matte, to_matte, landmarks):
        alpha = person_alpha(part, matte, from_part, landmarks - np.array([x0, y0, 0], np.float32), iod_px)
    person = matte > PERSON
    held = _in_front(straight_edged(pixels, person, to_matte, landmarks, iod_px), person)
    if held.any():
        grown = cv2.dilate(held.astype(np.uint8), np.ones((3, 3), np.uint8))  # its edge, too
        front = cv2.warpAffine(
            grown, from_part, part.shape[1::-1], flags=cv2.INTER_NEAREST | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REPLICATE,
        ) > 0  # fmt: skip
    return Layers(part, alpha, front, iod_px)


class Layers:
    """A part of a photo, taken apart. Safe to share between threads.

    Args:
        pixels: (h, w, 3) the part.
        alpha: (h, w) 0..1, the person's opacity; None: everything moves.
        held: (h, w) True where something stands in front that nothing may cover: the person goes on behind it; None:
            nowhere.
        iod_px: px an IOD.

    Attributes:
        apart: whether person and background are told from each other.
        person: (h, w, 4) uint8.
        background: (h, w, 3) uint8, with what is behind the person filled.
        stack: what the moved person is laid over.
    """

    def __init__(self, pixels: Image, alpha: Array | None, held: Mask | None, iod_px: float) -> None:
        shape = pixels.shape[:2]
        opacity = np.ones(shape, np.float32) if alpha is None else alpha
        if held is not None:
            opacity = np.where(held, np.float32(0), opacity)
        scale, self.apart = min(1.0, FILL_IOD / iod_px), alpha is not None
        self.background = pixels if alpha is None else filled(pixels, opacity <= BEHIND, scale)
        self.person = _apart(pixels, self.background, np.round(opacity * 255).astype(np.uint8))
        free = np.ones(shape, bool)
        if held is not None and held.any():
            free = ~held
            colours, alphas = self.person[..., :3], np.repeat(self.person[..., 3:], 3, axis=2)
            self.person = np.dstack([filled(np.ascontiguousarray(part), free, scale) for part in (colours, alphas)])
            self.person = np.ascontiguousarray(self.person[..., :4])
        everywhere = np.empty((0, 0), np.bool_)
        self.stack = Stack(self.background, everywhere if free.all() else free)


class CutLayer:
    """The same for a part of people who were cut out (:mod:`portrait_anim.face.cutout`): nothing is behind them.

    Frames then hold the people alone, R, G, B times opacity, and their opacity beside that.

    Args:
        person: (h, w, 4) uint8 the part; copied.
    """

    apart = True

    def __init__(self, person: Image) -> None:
        self.person = person.copy()
        nothing = np.empty((0, 0, 3), np.uint8)
        self.stack = Stack(nothing, np.empty((0, 0), np.bool_))


def _in_front(things: Mask, person: Mask) -> Mask:
    """Return those of the straight-edged things (S, S) that the matte takes for a part of the person.

    The others hang on the wall: they stay, as the wall does, and the head passes before them.
    """
    count, numbers = cv2.connectedComponents(things.astype(np.uint8))
    taken = [k for k in range(1, count) if person[numbers == k].mean() > TAKEN]
    return np.asarray(np.isin(numbers, taken))


def filled(pixels: Image, seen: Mask, scale: float) -> Image:
    """Return (h, w, 3) pixels with those that are not ``seen`` filled from around them, at ``scale`` times the size."""
    if not seen.any():
        return pixels
    size = max(2, round(pixels.shape[1] * scale)), max(2, round(pixels.shape[0] * scale))
    share = seen.astype(np.float32)[..., None]
    weight = cv2.resize(share, size, interpolation=cv2.INTER_AREA)[..., None]  # averages of seen pixels only
    small = cv2.resize(pixels * share, size, interpolation=cv2.INTER_AREA) / np.maximum(weight, LEAST_SEEN)
    hidden = (weight[..., 0] < HALF).astype(np.uint8)
    small = cv2.inpaint(np.clip(small, 0, 255).astype(np.uint8), hidden, FILL_REACH_PX, cv2.INPAINT_TELEA)
    large = cv2.resize(small, pixels.shape[1::-1], interpolation=cv2.INTER_LINEAR)
    return np.where(seen[..., None], pixels, large)


@numba.njit(cache=True, nogil=True)
def _apart(pixels: Image, background: Image, opacity: Image) -> Image:
    """Return (h, w, 4) the person alone, so that laid over the background it is exactly the photo.

    The opacity is raised where no colour 0..255 of the person could give the photo's.
    """
    height, width = opacity.shape
    out = np.empty((height, width, 4), np.uint8)
    for row in range(height):
        for column in range(width):
            alpha = int(opacity[row, column])
            while alpha < 255:
                fits = True
                for k in range(3):
                    colour = int(pixels[row, column, k]) - seen_behind(alpha, background[row, column, k])
                    fits = fits and 0 <= colour <= alpha
                if fits:
                    break
                alpha += 1
            for k in range(3):
                out[row, column, k] = np.uint8(
                    int(pixels[row, column, k]) - seen_behind(alpha, background[row, column, k])
                )
            out[row, column, 3] = np.uint8(alpha)
    return out
