"""Average how faces move with each action unit over many stills, and write ``action_units.safetensors``.

    python -m portrait_anim.training.action_units FOLDER [--out checkpoints]

FOLDER holds index.csv (file, emotion) and the pictures. The mesh net places 478
points on each face, and its pose is removed. MediaPipe's blendshape net (face/blendshapes.py)
gives 52 scores, such as how much a face smiles, from 146 of the points. A ridge regression of the points on the scores,
yaw and pitch then gives the field of each score: how the mesh moves with it. Every face counts twice, as it is and
mirrored. No picture and no single face is stored.
"""

from __future__ import annotations

import argparse
import csv
import logging
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from portrait_anim.errors import DataError, PhotoError
from portrait_anim.face.blendshapes import SCORES
from portrait_anim.face.blendshapes import scores as blendshape_scores
from portrait_anim.face.mesh import EYE_LEFT, EYE_RIGHT, IRIS_LEFT, IRIS_RIGHT, topology
from portrait_anim.motion.action_units import (
    JAW,
    REACH,
    Field,
    above_lids,
    drawn_units,
    measure,
    mirrored,
    scaled,
    sealed,
)
from portrait_anim.system.easing import eased

logger = logging.getLogger(__name__)

RIDGE = 10.0  # on scores of 0..1, about two thousand rows
MAX_TURN_DEG = 25.0
LICENCE = "CC-BY-NC-4.0 (averages over many people; the pictures' own rights are unclear, none of them ships)"
COMMAND = "python -m portrait_anim.training.action_units DATA/expression_stills"

# unit -> the score whose field it takes, and the region of the face where that field is used
SOURCES = {
    "AU1": ("browInnerUp", "raised brows"),
    "AU2": ("browOuterUp", "raised brows"),
    "AU4": ("browDown", "lowered brows"),
    "AU7": ("eyeSquint", "eyes"),
    "AU10": ("mouthUpperUp", "mouth"),
    "AU12": ("mouthSmile", "mouth"),
    "AU17": ("mouthShrugLower", "mouth"),
    "AU20": ("mouthStretch", "mouth"),
    "AU26": ("jawOpen", "mouth"),
}
HALF_DRAWN = ("AU4",)  # half average, half drawn: the average lowers the brows, the drawn field adds the frown between


class Faces(NamedTuple):
    """Faces without their pose.

    Attributes:
        points: (N, 478, 3) IOD.
        turn: (N, 2) yaw and pitch, radians.
        scores: (N, 52), 0..1.
    """

    points: Field
    turn: Field
    scores: Field


def read_faces(folder: Path) -> Faces:
    """Place the largest face of every picture of the index and score it.

    Raises:
        DataError: no index, or fewer than 500 usable faces: no average over many people.
    """
    from portrait_anim.face.detect import make_landmarker
    from portrait_anim.face.normalise import normalise
    from portrait_anim.face.photo import load_photo

    index = folder / "index.csv"
    if not index.is_file():
        raise DataError(f"no index.csv in {folder}: give the folder of expression_stills")
    landmarker = make_landmarker("facemesh")
    points, turns, scores = [], [], []
    for line in csv.DictReader(index.open(encoding="utf-8")):
        try:
            faces = landmarker.detect(load_photo(folder / line["file"]).pixels)
        except PhotoError as e:  # a few are too small
            logger.info(str(e))
            continue
        if not faces:
            continue
        shape, pose = normalise(faces[0].landmarks)
        yaw, pitch = np.arcsin(np.clip(pose.rotation[:2, 2], -1, 1))
        if max(abs(yaw), abs(pitch)) > np.radians(MAX_TURN_DEG):
            continue
        points.append(shape)
        turns.append((yaw, pitch))
        scores.append(blendshape_scores(faces[0].landmarks))
    if len(points) < 500:
        raise DataError(f"only {len(points)} usable faces in {folder}: an average needs at least 500")
    return Faces(np.array(points, np.float64), np.array(turns, np.float64), np.array(scores, np.float64))


def regress(faces: Faces) -> tuple[dict[str, Field], float]:
    """Regress the mesh on the scores.

    Returns:
        For each score, left and right summed, the field (478, 3) in IOD for a score of 1; and the share of the
        points' variance that is explained.
    """
    swap = [SCORES.index(_other_side(name)) for name in SCORES]
    points = np.concatenate([faces.points, mirrored(faces.points)])
    scores = np.concatenate([faces.scores, faces.scores[:, swap]])[:, 1:]
    yaw, pitch = np.concatenate([faces.turn, faces.turn * [-1, 1]]).T
    nuisance = np.stack([3 * yaw, 9 * yaw**2, 3 * pitch, 9 * pitch**2], axis=1)
    x = np.concatenate([scores, nuisance], axis=1)
    x = x - x.mean(0)
    y = (points - points.mean(0)).reshape(len(points), -1)  # (2N, 1434)
    weights = np.linalg.solve(x.T @ x + RIDGE * np.eye(x.shape[1]), x.T @ y)
    explained = 1 - ((y - x @ weights) ** 2).sum() / (y**2).sum()
    fields: dict[str, Field] = {}
    for name, row in zip(SCORES[1:], weights, strict=False):
        both = name.removesuffix("Left").removesuffix("Right")
        fields[both] = fields.get(both, 0) + row.reshape(-1, 3)
    return {name: (field + mirrored(field)) / 2 for name, field in fields.items()}, float(explained)


def _other_side(name: str) -> str:
    if name.endswith("Left"):
        return name.removesuffix("Left") + "Right"
    return name.removesuffix("Right") + "Left" if name.endswith("Right") else name


def regions() -> dict[str, npt.NDArray[np.float64]]:
    """Return (478,) weights 0..1 of the brows with the forehead, the eyes and the mouth with cheeks and chin.

    Outside its region a score's field shows what people do with the rest of the face at the same time, or remains of
    the pose.
    """
    x, y = topology().vertices[:, :2].astype(np.float64).T
    raised, lowered = above_lids()
    mouth = _ramp((-0.22 - y) / 0.25)
    eyes = np.zeros(len(x))
    for loop in (EYE_LEFT, EYE_RIGHT):
        rim = topology().vertices[list(loop), :2]
        away = np.linalg.norm(np.stack([x, y], 1)[:, None] - rim[None], axis=-1).min(1)
        eyes = np.maximum(eyes, np.exp(-0.5 * (away / 0.06) ** 2))
    for region in (raised, lowered, eyes, mouth):
        region[list(IRIS_LEFT + IRIS_RIGHT)] = 0
    return {"raised brows": raised, "lowered brows": lowered, "eyes": eyes, "mouth": mouth}


def _ramp(x: Field) -> Field:
    x = np.clip(x, 0, 1)
    return np.asarray(eased(x))


def average_units(fields: dict[str, Field]) -> dict[str, Field]:
    """Limit each unit's field to its region, keep the lips together, scale it to its reach; mix :data:`HALF_DRAWN`."""
    region = regions()
    units = {unit: fields[score] * region[where][:, None] for unit, (score, where) in SOURCES.items()}
    units = {unit: scaled(field if unit == JAW else sealed(field), unit) for unit, field in units.items()}
    drawn = drawn_units()
    return units | {unit: scaled((units[unit] + drawn[unit]) / 2, unit) for unit in HALF_DRAWN}


def main(argv: list[str] | None = None) -> None:
    """Read the stills, average, write the weights and their registry entry."""
    from safetensors.numpy import save_file

    from portrait_anim.system.weights import register
    from portrait_anim.training.convert.facemesh import PACKAGE

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--out", type=Path, default=Path("checkpoints"))
    args = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO)
    faces = read_faces(args.folder)
    fields, explained = regress(faces)
    region = regions()
    found = {
        unit: round(measure(fields[score] * region[where][:, None], unit), 3)
        for unit, (score, where) in SOURCES.items()
    }
    logger.info("%d faces, %.2f of the variance explained, reach at score 1: %s", len(faces.points), explained, found)
    path = args.out / "action_units.safetensors"
    save_file({unit: field.astype(np.float16) for unit, field in average_units(fields).items()}, path)
    register(
        "action_units",
        path,
        licence=LICENCE,
        training_data=["expression_stills (only averages over many people)"],
        source=f"scores by face_blendshapes.tflite in {PACKAGE} (Apache-2.0, Google, MediaPipe)",
        command=COMMAND,
        figures={
            "faces": len(faces.points),
            "explained_variance": round(explained, 3),
            "iod_at_score_1": found,
            "iod_at_activation_1": {unit: REACH[unit].iod for unit in SOURCES},
        },
    )


if __name__ == "__main__":
    main()
