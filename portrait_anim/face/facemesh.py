"""The ``facemesh`` backend: MediaPipe's two face nets under LiteRT, without the framework.

BlazeFace (Bazarevsky et al. 2019) proposes boxes on a 128 px letterbox, the mesh net (Kartynnik et al. 2019,
Grishchenko et al. 2020) places 478 points on a 256 px crop turned to the eye line. Unlike MediaPipe's image mode,
the crop is then taken again from the points found, by the rule its video mode uses: photo and training video
are seen in the same framing, without which lips differ by .005 IOD.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from portrait_anim.config import N_LANDMARKS
from portrait_anim.face.detect import Array, Face, Image
from portrait_anim.face.litert import interpreter
from portrait_anim.face.mesh import OUTER_EYE_CORNERS
from portrait_anim.opencv import cv2
from portrait_anim.weights import digests

WEIGHTS = ("face_detector", "face_landmarks_detector")
DETECTOR_SIZE = 128  # px, BlazeFace short range
MESH_SIZE = 256  # px
CROP_SCALE = 1.5  # crop side over the longer side of the box
MIN_SCORE = 0.5  # of the detector and of the mesh net's presence
SAME_FACE_IOU = 0.3
WITHIN = 0.5  # share of its box that lies in a larger face's from which on a face is none
SURE_SCORE = 0.9  # of the mesh net for small faces beside others


@dataclass(frozen=True)
class _Crop:
    """A turned square in a picture: centre (px), side (px), angle (radians, clockwise as seen)."""

    cx: float
    cy: float
    side: float
    angle: float

    def to_image(self, size: int) -> npt.NDArray[np.float64]:
        """Return the (2, 3) map from crop pixels to image pixels.

        Pixel centres are at integers on both sides, corner 0 goes to corner 0: MediaPipe's convention, which its
        nets were trained with.
        """
        cos, sin = np.cos(self.angle) * self.side / size, np.sin(self.angle) * self.side / size
        half = size / 2
        return np.array([[cos, -sin, self.cx - half * (cos - sin)], [sin, cos, self.cy - half * (sin + cos)]])


def _sigmoid(x: npt.NDArray[np.floating]) -> npt.NDArray[np.floating]:
    return np.asarray(1 / (1 + np.exp(-np.clip(x, -60, 60))))


def _anchors() -> npt.NDArray[np.float64]:
    """Return the (896, 2) anchor centres in 0..1: 2 a cell on a 16 x 16 grid, then 6 a cell on 8 x 8."""
    centres = []
    for cells, per_cell in ((16, 2), (8, 6)):
        y, x = np.mgrid[:cells, :cells]
        grid = np.stack([x, y], -1).reshape(-1, 2)  # (cells**2, 2)
        centres.append(np.repeat((grid + 0.5) / cells, per_cell, axis=0))
    return np.concatenate(centres)


def _iou(a: npt.NDArray[np.floating], boxes: npt.NDArray[np.floating]) -> npt.NDArray[np.floating]:
    """Overlap of box ``a`` (4,) xyxy with ``boxes`` (N, 4): intersection over union, (N,)."""
    low, high = np.maximum(a[:2], boxes[:, :2]), np.minimum(a[2:], boxes[:, 2:])
    inter = np.prod(np.clip(high - low, 0, None), axis=1)
    area = np.prod(a[2:] - a[:2])
    return np.asarray(inter / np.maximum(area + np.prod(boxes[:, 2:] - boxes[:, :2], axis=1) - inter, 1e-9))


def _share_in(face: Face, other: Face) -> float:
    """Return the share of a face's box that lies in another's."""
    low, high = np.maximum(face.bbox[:2], other.bbox[:2]), np.minimum(face.bbox[2:], other.bbox[2:])
    return float(np.prod(np.clip(high - low, 0, None))) / max(face.area, 1e-9)


def _in_middle(crop: _Crop, face: Face) -> bool:
    """Whether a crop is of a known face: its centre in the middle half of that one's box."""
    offset = np.array([crop.cx, crop.cy]) - (face.bbox[:2] + face.bbox[2:]) / 2
    return bool((np.abs(offset) < (face.bbox[2:] - face.bbox[:2]) / 4).all())


def _weighted_nms(rows: npt.NDArray[np.floating], scores: npt.NDArray[np.floating]) -> list[npt.NDArray[np.floating]]:
    """Merge overlapping rows (N, 16) by their score-weighted mean; rows start with xyxy."""
    kept = []
    order = np.argsort(-scores)
    while order.size:
        near = _iou(rows[order[0], :4], rows[order, :4]) > SAME_FACE_IOU
        near[0] = True
        group = order[near]
        kept.append(np.average(rows[group], axis=0, weights=scores[group]))
        order = order[~near]
    return kept


def _cut(image: Image, matrix: npt.NDArray[np.float64], size: int, border: int) -> npt.NDArray[np.float32]:
    """Sample the (size, size, 3) crop given by ``matrix`` (crop -> image), values 0..255."""
    return np.asarray(
        cv2.warpAffine(image, matrix, (size, size), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP, borderMode=border),
        np.float32,
    )


def _spread(length: float, side: float) -> list[float]:
    """Centres of half-overlapping tiles of ``side`` that cover ``length``; one in the middle if one is enough."""
    if length <= side:
        return [length / 2]
    count = int(np.ceil(2 * length / side)) - 1
    return [float(x) for x in np.linspace(side / 2, length - side / 2, max(count, 2))]


class FacemeshLandmarker:
    """Finds faces and places 478 points; about 7 ms a face on one core. Safe to share between threads."""

    name = "facemesh"

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._nets: dict[str, Any] = {name: interpreter(name) for name in WEIGHTS}
        self._anchors = _anchors()

    def models(self) -> dict[str, str]:
        """Return name -> SHA-256 of the weight files."""
        return digests(*WEIGHTS)

    def detect(self, image: Image, refine: int = 2) -> list[Face]:
        """Return the faces of ``image`` (H, W, 3) RGB, largest first.

        The whole picture is looked at first (with a margin when it shows nothing: a face that fills it), then
        half-overlapping tiles of two thirds and of two fifths of it, then, while nothing is found, ever smaller
        ones. Beside other faces the small ones have to be surer, and to be seen without enlarging.

        Args:
            image: (H, W, 3) uint8 RGB.
            refine: how often the crop is taken again from the points found; 0 is MediaPipe's image mode.
        """
        height, width = image.shape[:2]
        longer = max(height, width)
        crops = self._propose(image, _Crop(width / 2, height / 2, longer, 0.0))
        if not crops:
            crops = self._propose(image, _Crop(width / 2, height / 2, 1.6 * longer, 0.0))
        faces = self._place_all(image, crops, refine)
        for parts in (2, 4, 8):
            side = 2 * longer / (parts + 1)
            if (faces and (parts > 4 or (parts > 2 and side < DETECTOR_SIZE))) or side < DETECTOR_SIZE / 2:
                break
            sure = SURE_SCORE if faces and parts > 2 else MIN_SCORE
            tiles = [_Crop(x, y, side, 0.0) for y in _spread(height, side) for x in _spread(width, side)]
            crops = [crop for tile in tiles for crop in self._propose(image, tile)]
            faces = self._place_all(image, crops, refine, faces, sure)
        return faces

    def track(self, image: Image, previous: Face | None) -> Face | None:
        """Return the face in a video's next frame; its crop comes from the last frame's points."""
        if previous is not None:
            found = self._place(image, self._crop_of(previous.landmarks))
            if found is not None:
                return found
        return next(iter(self.detect(image)), None)

    def _propose(self, image: Image, view: _Crop) -> list[_Crop]:
        """Run BlazeFace on a square view of the picture; return the crops to place the mesh in."""
        matrix = view.to_image(DETECTOR_SIZE)
        pixels = _cut(image, matrix, DETECTOR_SIZE, cv2.BORDER_CONSTANT) / 127.5 - 1
        raw, logits = self._run("face_detector", pixels)
        scores = _sigmoid(logits[0, :, 0])
        sure = scores >= MIN_SCORE
        if not sure.any():
            return []
        points = raw[0, sure].reshape(-1, 8, 2) / DETECTOR_SIZE  # (N, 8, 2): centre, size, six key points
        centre, size = points[:, 0] + self._anchors[sure], points[:, 1]
        keys = points[:, 2:] + self._anchors[sure][:, None]  # (N, 6, 2)
        rows = np.concatenate([centre - size / 2, centre + size / 2, keys.reshape(-1, 12)], axis=1)  # (N, 16)
        crops = []
        for row in _weighted_nms(rows, scores[sure]):
            xy = row.reshape(8, 2) * DETECTOR_SIZE @ matrix[:, :2].T + matrix[:, 2]
            (x0, y0), (x1, y1), left_eye, right_eye = xy[:4]
            angle = float(np.arctan2(*(right_eye - left_eye)[::-1]))
            side = CROP_SCALE * max(x1 - x0, y1 - y0)
            crops.append(_Crop((x0 + x1) / 2, (y0 + y1) / 2, side, angle))
        return crops

    @staticmethod
    def _crop_of(landmarks: Array) -> _Crop:
        """Return the crop for known points (478, 3): their turned bounding box, as MediaPipe's tracking takes it."""
        left, right = (landmarks[i, :2] for i in OUTER_EYE_CORNERS)
        angle = float(np.arctan2(*(right - left)[::-1]))
        cos, sin = np.cos(angle), np.sin(angle)
        turn = np.array([[cos, sin], [-sin, cos]])
        xy = landmarks[:, :2]
        upright = xy @ turn.T
        low, high = upright.min(0), upright.max(0)
        cx, cy = turn.T @ ((low + high) / 2)
        return _Crop(float(cx), float(cy), CROP_SCALE * float((high - low).max()), angle)

    def _place_all(
        self, image: Image, crops: list[_Crop], refine: int, known: Sequence[Face] = (), sure: float = MIN_SCORE
    ) -> list[Face]:
        """Place the mesh in each crop; one face found twice (in two tiles) is kept once. Largest first.

        Args:
            image: (H, W, 3) uint8 RGB.
            crops: where to look.
            refine: how often a crop is taken again.
            known: faces found before; they come back too, and crops in their middle are not looked at again.
            sure: presence a new face needs.
        """
        faces = list(known)
        for crop in crops:
            if any(_in_middle(crop, face) for face in known):
                continue
            face = self._place(image, crop)
            for _ in range(refine):
                face = face and self._place(image, self._crop_of(face.landmarks))
            if face is None or face.score < sure:
                continue
            if faces and _iou(face.bbox, np.stack([other.bbox for other in faces])).max() > SAME_FACE_IOU:
                continue
            faces.append(face)
        faces.sort(key=lambda face: -face.area)
        return [face for i, face in enumerate(faces) if all(_share_in(face, other) < WITHIN for other in faces[:i])]

    def _place(self, image: Image, crop: _Crop) -> Face | None:
        """Run the mesh net on a crop; ``None`` when it says that there is no face."""
        matrix = crop.to_image(MESH_SIZE)
        shrink = int(crop.side // (2 * MESH_SIZE))
        if shrink > 1:  # a large face: average first, or the net sees aliased skin
            pixels = _cut(image, crop.to_image(MESH_SIZE * shrink), MESH_SIZE * shrink, cv2.BORDER_REPLICATE)
            pixels = cv2.resize(pixels, (MESH_SIZE, MESH_SIZE), interpolation=cv2.INTER_AREA)
        else:
            pixels = _cut(image, matrix, MESH_SIZE, cv2.BORDER_REPLICATE)
        points, presence = self._run("face_landmarks_detector", pixels / 255)
        score = float(_sigmoid(presence.reshape(-1))[0])
        if score < MIN_SCORE:
            return None
        xyz = points.reshape(N_LANDMARKS, 3)
        xy = xyz[:, :2] @ matrix[:, :2].T + matrix[:, 2]
        z = xyz[:, 2:] * (crop.side / MESH_SIZE)
        return Face.from_landmarks(np.concatenate([xy, z], axis=1).astype(np.float32), score)

    def _run(self, entry: str, pixels: npt.NDArray[np.floating]) -> tuple[Array, Array]:
        """Run a net on (S, S, 3) values; return its first two outputs."""
        net = self._nets[entry]
        with self._lock:
            net.set_tensor(net.get_input_details()[0]["index"], pixels[None].astype(np.float32))
            net.invoke()
            first, second = (np.array(net.get_tensor(out["index"])) for out in net.get_output_details()[:2])
        return first, second
