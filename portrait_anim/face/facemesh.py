"""The ``facemesh`` backend: MediaPipe's two face nets under LiteRT, without the framework.

BlazeFace (Bazarevsky et al. 2019) finds faces in square views of the picture, reduced to 128 px. The mesh net
(Kartynnik et al. 2019, Grishchenko et al. 2020) places 478 points in a crop of 256 px, turned so that the eyes lie
level. The crop is then taken again from the points found, as MediaPipe does for video but not for single images. So
photos and training videos are cropped alike; otherwise the lips differ by .005 IOD (distance between the outer eye
corners).
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from portrait_anim.config import N_LANDMARKS
from portrait_anim.face.crops import (
    CROP_SCALE,
    SAME_FACE_IOU,
    crop_of,
    cut_crop,
    in_middle,
    iou,
    sample_crop,
    share_in,
    sigmoid,
    spread,
    weighted_nms,
)
from portrait_anim.face.litert import interpreter
from portrait_anim.face.second_look import second_look
from portrait_anim.face.types import Array, Crop, Face, Image
from portrait_anim.system.opencv import cv2
from portrait_anim.system.weights import digests

WEIGHTS = ("face_detector", "face_landmarks_detector")
DETECTOR_SIZE = 128  # px, BlazeFace short range
MESH_SIZE = 256  # px
MIN_SCORE = 0.5  # 0..1, least score of the detector and least presence of a face that the mesh net reports
WITHIN = 0.5  # a detection is dropped when at least this share of its box lies in a larger face's box
SURE_SCORE = 0.9  # least presence of small faces beside others already found
SMALLEST_FACE = 20  # px, longer side of a face's box; BlazeFace finds nine tenths of the faces that are .15 of a tile
SMALLEST_TILE = 128  # px; smaller tiles only in pictures whose longer side is up to 4.5 times as long as a tile
TILE_OVER_FACE = 2  # tiles smaller than this many times the largest face found are left out
FLAT = 3.0  # grey levels between a view's darkest and lightest value; below, the view shows nothing
TURNS = (np.pi, np.pi / 2, -np.pi / 2)  # radians by which a picture is turned when no face is found upright


def _anchors() -> npt.NDArray[np.float64]:
    """Return the (896, 2) anchor centres in 0..1: 2 a cell on a 16 x 16 grid, then 6 a cell on 8 x 8."""
    centres = []
    for cells, per_cell in ((16, 2), (8, 6)):
        y, x = np.mgrid[:cells, :cells]
        grid = np.stack([x, y], -1).reshape(-1, 2)  # (cells**2, 2)
        centres.append(np.repeat((grid + 0.5) / cells, per_cell, axis=0))
    return np.concatenate(centres)


def _tiles(longer: float) -> Iterator[tuple[int, float]]:
    """Yield how many half-overlapping tiles lie along a picture's longer side (px), and the side of a tile (px)."""
    parts = 2
    side = 2 * longer / (parts + 1)
    while side >= DETECTOR_SIZE / 2 and (parts <= 8 or side > SMALLEST_TILE):
        yield parts, side
        parts *= 2
        side = 2 * longer / (parts + 1)
    if parts > 8 and 2 * longer / (parts / 2 + 1) > SMALLEST_TILE:
        yield parts, float(SMALLEST_TILE)


def _same(face: Face, faces: Sequence[Face]) -> bool:
    """Return whether a face is one of ``faces``: their boxes overlap."""
    return bool(faces) and bool(iou(face.bbox, np.stack([other.bbox for other in faces])).max() > SAME_FACE_IOU)


def _size(face: Face) -> float:
    """Return the longer side of a face's box in px."""
    return float((face.bbox[2:] - face.bbox[:2]).max())


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

    @property
    def nets(self) -> FacemeshLandmarker:
        """These nets."""
        return self

    def detect(self, image: Image, refine: int = 2) -> list[Face]:
        """Return the faces of ``image`` (H, W, 3) RGB, largest first.

        The search goes from large views to small ones: the whole picture (with a margin if nothing is found, for a face
        that fills it), half-overlapping tiles of two thirds of its side, of two fifths, and so on. Once faces are
        found, tiles are made no smaller than needed for faces of half their size. So a face is found by its own size
        in px, whatever the picture's. A small face beside others needs a higher score and is not enlarged. If nothing
        is found, the picture is searched upside down and lying on either side.

        Args:
            image: (H, W, 3) uint8 RGB.
            refine: how often the crop is taken again from the points found; 0 as MediaPipe does for images.
        """
        faces = self._look(image, refine)
        for turn in TURNS:
            faces = faces or self._look(image, refine, turn)
        return faces

    def _look(self, image: Image, refine: int, turn: float = 0.0) -> list[Face]:
        """Return the faces of a picture turned by ``turn`` radians (a multiple of a quarter turn), largest first."""
        height, width = image.shape[:2]
        longer = max(height, width)
        crops = self._propose(image, Crop(width / 2, height / 2, longer, turn))
        if not crops:
            crops = self._propose(image, Crop(width / 2, height / 2, 1.6 * longer, turn))
        faces = self._place_all(image, crops, refine)
        for parts, side in _tiles(longer):
            if parts > 4 and (turn or (faces and side < TILE_OVER_FACE * _size(faces[0]))):
                break
            if faces and parts > 2 and side < DETECTOR_SIZE:
                break
            sure = SURE_SCORE if faces and parts > 2 else MIN_SCORE
            tiles = [Crop(x, y, side, turn) for y in spread(height, side) for x in spread(width, side)]
            crops = [crop for tile in tiles for crop in self._propose(image, tile)]
            faces = self._place_all(image, crops, refine, faces, sure)
        return faces

    def track(self, image: Image, previous: Face | None) -> Face | None:
        """Return the face in a video's next frame; its crop comes from the last frame's points."""
        if previous is not None:
            found = self._place(image, crop_of(previous.landmarks))
            if found is not None:
                return found
        return next(iter(self.detect(image)), None)

    def scan(
        self, image: Image, view: Crop, *, averaged: bool = False
    ) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Run BlazeFace on a square view of the picture.

        Args:
            image: (H, W, 3) uint8 RGB.
            view: where to look.
            averaged: whether pixels of a large view are averaged when it is reduced, or single ones picked.

        Returns:
            Scores (896,), 0..1, and rows (896, 16): box x0 y0 x1 y1 and six key points, shares of the view's side.
        """
        view_of = sample_crop if averaged else cut_crop
        pixels = view_of(image, view, DETECTOR_SIZE, cv2.BORDER_CONSTANT)
        if np.ptp(pixels) < FLAT:
            return np.zeros(len(self._anchors)), np.zeros((len(self._anchors), 16))
        raw, logits = self._run("face_detector", pixels / 127.5 - 1)
        points = raw[0].reshape(-1, 8, 2) / DETECTOR_SIZE  # (896, 8, 2): centre, size, six key points
        centre, size = points[:, 0] + self._anchors, points[:, 1]
        keys = points[:, 2:] + self._anchors[:, None]  # (896, 6, 2)
        rows = np.concatenate([centre - size / 2, centre + size / 2, keys.reshape(-1, 12)], axis=1)
        return sigmoid(logits[0, :, 0]), rows

    def _propose(self, image: Image, view: Crop) -> list[Crop]:
        """Return crops that may show a face, found by BlazeFace in a square view of the picture."""
        scores, rows = self.scan(image, view)
        sure = scores >= MIN_SCORE
        if not sure.any():
            return []
        matrix = view.to_image(DETECTOR_SIZE)
        crops = []
        for row in weighted_nms(rows[sure], scores[sure]):
            xy = row.reshape(8, 2) * DETECTOR_SIZE @ matrix[:, :2].T + matrix[:, 2]
            (x0, y0), (x1, y1), left_eye, right_eye = xy[:4]
            angle = float(np.arctan2(*(right_eye - left_eye)[::-1]))
            side = CROP_SCALE * max(abs(x1 - x0), abs(y1 - y0))  # views are turned by quarters only
            crops.append(Crop((x0 + x1) / 2, (y0 + y1) / 2, side, angle))
        return crops

    def _place_all(
        self, image: Image, crops: list[Crop], refine: int, known: Sequence[Face] = (), sure: float = MIN_SCORE
    ) -> list[Face]:
        """Place the mesh in each crop; one face found twice (in two tiles) is kept once. Largest first.

        Args:
            image: (H, W, 3) uint8 RGB.
            crops: where to look.
            refine: how often a crop is taken again.
            known: faces found before; they are returned too, and crops in their middle are not looked at again.
            sure: least presence, 0..1, of a new face.
        """
        faces = list(known)
        for crop in crops:
            if any(in_middle(crop, face) for face in known):
                continue
            face = self.place(image, crop, refine)
            if face is None or face.score < sure or _size(face) < SMALLEST_FACE:
                continue
            if _same(face, faces):
                continue
            face = second_look(self, image, face, refine)
            if face is not None and not _same(face, faces):
                faces.append(face)
        faces.sort(key=lambda face: -face.area)
        return [face for i, face in enumerate(faces) if all(share_in(face, other) < WITHIN for other in faces[:i])]

    def place(self, image: Image, crop: Crop, refine: int = 0) -> Face | None:
        """Run the mesh net on a crop, then ``refine`` times on the crop of what it found; None: no face."""
        face = self._place(image, crop)
        for _ in range(refine):
            if face is None:
                break
            face = self._place(image, crop_of(face.landmarks))
        return face

    def at(self, image: Image, box: Array) -> Face:
        """Return the face in a box (4,) x0 y0 x1 y1 px, whether one is seen there or not; ``score`` tells.

        It may be turned by quarters. Where the net sees a face, the crop is taken again from its points, as after a
        search; else the points stay in the box.
        """
        cx, cy = float(box[0] + box[2]) / 2, float(box[1] + box[3]) / 2
        side = CROP_SCALE * float(max(box[2] - box[0], box[3] - box[1]))
        turned = [self._placed(image, Crop(cx, cy, side, turn)) for turn in (0.0, *TURNS)]
        first = turned[0] if turned[0].score >= MIN_SCORE else max(turned, key=lambda face: face.score)
        better = self.place(image, crop_of(first.landmarks), 1)
        return first if better is None or iou(better.bbox, box[None])[0] < SAME_FACE_IOU else better

    def _place(self, image: Image, crop: Crop) -> Face | None:
        """Run the mesh net on a crop once; None: no face."""
        face = self._placed(image, crop)
        return face if face.score >= MIN_SCORE else None

    def _placed(self, image: Image, crop: Crop) -> Face:
        """Run the mesh net on a crop once."""
        matrix = crop.to_image(MESH_SIZE)
        pixels = sample_crop(image, crop, MESH_SIZE, cv2.BORDER_REPLICATE)
        points, presence = self._run("face_landmarks_detector", pixels / 255)
        score = float(sigmoid(presence.reshape(-1))[0])
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
