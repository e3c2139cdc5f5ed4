"""Squares cut out of a picture for the face nets, and how boxes overlap."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from portrait_anim.face.mesh import OUTER_EYE_CORNERS
from portrait_anim.face.types import Array, Crop, Face, Image
from portrait_anim.system.opencv import cv2

CROP_SCALE = 1.5  # crop side over the longer side of the face's box
SAME_FACE_IOU = 0.3  # overlap from which on two boxes are one face's


def crop_of(landmarks: Array) -> Crop:
    """Return the crop round known points (478, 3): their box, turned to the eyes, as in MediaPipe's tracking."""
    left, right = (landmarks[i, :2] for i in OUTER_EYE_CORNERS)
    angle = float(np.arctan2(*(right - left)[::-1]))
    cos, sin = np.cos(angle), np.sin(angle)
    turn = np.array([[cos, sin], [-sin, cos]])
    xy = landmarks[:, :2]
    upright = xy @ turn.T
    low, high = upright.min(0), upright.max(0)
    cx, cy = turn.T @ ((low + high) / 2)
    return Crop(float(cx), float(cy), CROP_SCALE * float((high - low).max()), angle)


def cut_crop(image: Image, crop: Crop, size: int, border: int) -> npt.NDArray[np.float32]:
    """Return a crop as (size, size, 3) values 0..255; ``border`` is OpenCV's mode for what lies beyond the picture."""
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return np.asarray(
        cv2.warpAffine(image, crop.to_image(size), (size, size), flags=flags, borderMode=border), np.float32
    )


def sample_crop(image: Image, crop: Crop, size: int, border: int) -> npt.NDArray[np.float32]:
    """Return the same as :func:`cut_crop`, but with the pixels of a large crop averaged, against aliasing."""
    shrink = int(crop.side // (2 * size))
    if shrink <= 1:
        return cut_crop(image, crop, size, border)
    pixels = cut_crop(image, crop, size * shrink, border)
    return np.asarray(cv2.resize(pixels, (size, size), interpolation=cv2.INTER_AREA), np.float32)


def sigmoid(x: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    """Return 1 / (1 + exp(-x)), without overflow."""
    return np.asarray(1 / (1 + np.exp(-np.clip(x, -60, 60))))


def iou(a: npt.NDArray[np.floating], boxes: npt.NDArray[np.floating]) -> npt.NDArray[np.floating]:
    """Return the overlap of box ``a`` (4,) xyxy with ``boxes`` (N, 4): intersection over union, (N,)."""
    low, high = np.maximum(a[:2], boxes[:, :2]), np.minimum(a[2:], boxes[:, 2:])
    inter = np.prod(np.clip(high - low, 0, None), axis=1)
    area = np.prod(a[2:] - a[:2])
    return np.asarray(inter / np.maximum(area + np.prod(boxes[:, 2:] - boxes[:, :2], axis=1) - inter, 1e-9))


def share_in(face: Face, other: Face) -> float:
    """Return the share of a face's box that lies in another's."""
    low, high = np.maximum(face.bbox[:2], other.bbox[:2]), np.minimum(face.bbox[2:], other.bbox[2:])
    return float(np.prod(np.clip(high - low, 0, None))) / max(face.area, 1e-9)


def in_middle(crop: Crop, face: Face) -> bool:
    """Return whether a crop shows a known face: its centre lies in the middle half of that face's box."""
    offset = np.array([crop.cx, crop.cy]) - (face.bbox[:2] + face.bbox[2:]) / 2
    return bool((np.abs(offset) < (face.bbox[2:] - face.bbox[:2]) / 4).all())


def weighted_nms(rows: npt.NDArray[np.floating], scores: npt.NDArray[np.floating]) -> list[npt.NDArray[np.floating]]:
    """Merge overlapping rows (N, 16) by their score-weighted mean; rows start with xyxy."""
    kept = []
    order = np.argsort(-scores)
    while order.size:
        near = iou(rows[order[0], :4], rows[order, :4]) > SAME_FACE_IOU
        near[0] = True
        group = order[near]
        kept.append(np.average(rows[group], axis=0, weights=scores[group]))
        order = order[~near]
    return kept


def spread(length: float, side: float) -> list[float]:
    """Return the centres of half-overlapping tiles of ``side`` that cover ``length``; a single one in the middle."""
    if length <= side:
        return [length / 2]
    count = int(np.ceil(2 * length / side)) - 1
    return [float(x) for x in np.linspace(side / 2, length - side / 2, max(count, 2))]
