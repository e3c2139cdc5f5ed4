"""How much of each pixel is the person, down to single hairs: closed-form matting.

The matte of :mod:`portrait_anim.face.matte` is coarse. It says where the person surely is and where surely not; in
between the opacity is found from the colours: Levin, Lischinski and Weiss 2008, "A Closed-Form Solution to Natural
Image Matting". In every window of 3 x 3 px the opacity is taken for a linear function of the colour; what fits all
windows best is the solution of a sparse linear system.

The package pymatting solves the same system. It compiles for 54 s when it is first imported, longer than a first film
takes, so the system is set up here and solved by scipy.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_matrix
from scipy.sparse.linalg import cg

from portrait_anim.face.matte import face_mask
from portrait_anim.system.opencv import cv2

Array = npt.NDArray[np.float32]
Float = npt.NDArray[np.float64]
Image = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]

SURE, SURE_NOT = 0.8, 0.2  # of the coarse matte: surely the person, surely not
INWARDS, OUTWARDS = 0.08, 0.22  # IOD from those to where the opacity is looked for
WORK_IOD = 80  # px an IOD at which it is looked for, at most: hairs are as wide as that shows
SMOOTH = 1e-5  # of colours 0..1, squared: how far a window's colours may be off a line (Levin's epsilon)
CLOSE, MOST_STEPS = 1e-3, 400  # of the solver: residual over the right-hand side's, and steps
FAINT, SOLID = 0.06, 0.94  # opacities that count as 0 and as 1: what is left of a fog


def person_alpha(pixels: Image, matte: Array, to_matte: Float, landmarks: Array, iod_px: float) -> Array:
    """Return the opacity 0..1 (H, W) of the person in a part of a photo.

    Args:
        pixels: (H, W, 3) the part.
        matte: (S, S) 0..1, from :func:`portrait_anim.face.matte.person_matte`.
        to_matte: (2, 3) from px of the part to px of the matte.
        landmarks: (478, 3) px in the part; the face itself is surely the person.
        iod_px: px an IOD.
    """
    height, width = pixels.shape[:2]
    scale = min(1.0, WORK_IOD / iod_px)
    size = max(4, round(width * scale)), max(4, round(height * scale))
    small = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA) if scale < 1 else pixels
    grow = np.array([[width / size[0], 0], [0, height / size[1]]])
    from_small = to_matte.copy()  # pixel centres: large = grow * (small + .5) - .5
    from_small[:, :2] = to_matte[:, :2] @ grow
    from_small[:, 2] += to_matte[:, :2] @ (np.diag(grow) * 0.5 - 0.5)
    coarse = cv2.warpAffine(
        matte, from_small, (small.shape[1], small.shape[0]), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    )  # fmt: skip
    face = face_mask((landmarks[:, :2] + 0.5) / np.diag(grow) - 0.5, coarse.shape)
    alpha = alpha_between(small, coarse, face, iod_px * scale)
    return np.asarray(cv2.resize(alpha, (width, height), interpolation=cv2.INTER_LINEAR) if scale < 1 else alpha)


def alpha_between(pixels: Image, coarse: Array, surely: Image, iod_px: float) -> Array:
    """Return the opacity 0..1 (H, W) of the people in a picture.

    Args:
        pixels: (H, W, 3).
        coarse: (H, W) 0..1, a matte that is right away from the people's edges.
        surely: (H, W) uint8, not 0 where a person is, whatever the matte says.
        iod_px: px an IOD, which says how wide hair's edge is.
    """
    sure = cv2.erode(((coarse > SURE) | (surely > 0)).astype(np.uint8), _disc(INWARDS * iod_px)) | surely
    maybe = cv2.dilate(((coarse > SURE_NOT) | (surely > 0)).astype(np.uint8), _disc(OUTWARDS * iod_px))
    alpha = _solved(pixels.astype(np.float64) / 255, sure > 0, (maybe > 0) & (sure == 0))
    return np.asarray(np.clip((alpha - FAINT) / (SOLID - FAINT), 0, 1), np.float32)


def _disc(radius_px: float) -> Image:
    return np.asarray(cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * max(1, round(radius_px)) + 1,) * 2))


def _solved(image: Float, sure: Mask, open_: Mask) -> Float:
    """Return the opacity (h, w): 1 where ``sure``, found where ``open_``, 0 elsewhere; ``image`` (h, w, 3) 0..1."""
    alpha = sure.astype(np.float64)
    if not open_.any():
        return alpha
    height, width = open_.shape
    # the windows that hold a pixel to be found, by their middles
    near = cv2.dilate(open_.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    near[[0, -1]] = near[:, [0, -1]] = False
    rows, columns = np.nonzero(near)
    shift = np.array([(r, c) for r in (-1, 0, 1) for c in (-1, 0, 1)])
    inside = (rows[:, None] + shift[:, 0]) * width + columns[:, None] + shift[:, 1]  # (n, 9) pixel numbers
    colour = image.reshape(-1, 3)[inside]  # (n, 9, 3)
    off = colour - colour.mean(1, keepdims=True)
    spread = np.einsum("nik,nil->nkl", off, off) / 9 + SMOOTH / 9 * np.eye(3)
    affinity = (1 + np.einsum("nik,nkl,njl->nij", off, np.linalg.inv(spread), off, optimize=True)) / 9
    # the system for the pixels to be found, the others being known
    number = np.full(height * width, -1)
    found = np.flatnonzero(open_.ravel())
    number[found] = np.arange(len(found))
    i, j = np.repeat(inside, 9, axis=1).ravel(), np.tile(inside, (1, 9)).ravel()
    value = (np.eye(9) - affinity).ravel()
    mine = number[i] >= 0
    i, j, value = i[mine], j[mine], value[mine]
    among = number[j] >= 0
    system = coo_matrix((value[among], (number[i[among]], number[j[among]])), (len(found),) * 2).tocsr()
    known = np.bincount(number[i[~among]], value[~among] * alpha.ravel()[j[~among]], len(found))
    diagonal = np.maximum(system.diagonal(), 1e-9)
    scaled = 1 / np.sqrt(diagonal)
    scaling = coo_matrix((scaled, (np.arange(len(found)),) * 2)).tocsr()
    solution, _ = cg(scaling @ system @ scaling, -known * scaled, rtol=CLOSE, maxiter=MOST_STEPS)
    alpha.ravel()[found] = solution * scaled
    return np.clip(alpha, 0, 1)
