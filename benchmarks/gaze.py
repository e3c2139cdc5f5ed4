"""Where the eyes of films look, against the camera: the photo as it is, `--gaze photo` and `--gaze camera`.

    PYTHONPATH=. python benchmarks/gaze.py [PHOTO ...] [--seconds 4] [--sheet OUT.png]

Two films of each photo and gaze: the head sweeps from side to side and up and down (a motion that holds nothing else),
and a voice moves it (examples/speech.flac, head motion 2). The films' frames are tracked again. Printed, in degrees:

* past: how far from the camera the eyes look aside, median of the frames with open eyes; 0 looks into it;
* spread: its standard deviation;
* follows: what the irises make up for of the head's turn aside, 0: they stay in the head, 1: they stay on the viewer.

The tracker sees less of a turned iris than is drawn; *drawn* is the turn that the motion asks for in the first frame of
`camera`, whose head stands as in the photo.

Last row: the mean, of sizes but for *follows*. Prints Markdown.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from portrait_anim import Animator
from portrait_anim.config import FPS
from portrait_anim.face.detect import shared_landmarker
from portrait_anim.face.gaze import Sight, eyes_on_camera, iris_angles
from portrait_anim.face.normalise import normalise_clip
from portrait_anim.motion.lids import EYES
from portrait_anim.motion.space import Motion
from portrait_anim.system.opencv import cv2

ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT.parent / "shared" / "data"
SPEECH = ROOT / "examples" / "speech.flac"
PHOTOS = (
    "public_domain/harrison_swami_vivekananda_1893.jpg", "public_domain/unknown_sun_yat_sen_1910s.jpg",
    "public_domain/warren_frederick_douglass_1879.jpg", "public_domain/prince_liliuokalani_1898.jpg",
    "public_domain/unknown_grigori_rasputin_1916.jpg", "public_domain/unknown_albert_einstein_1921.jpg",
    "public_domain/nasa_kalpana_chawla_2001.jpg", "public_domain/nasa_guion_bluford_1992.jpg",
    "public_domain/davis_grace_hopper_1984.jpg", "public_domain/nasa_katherine_johnson_1966.jpg",
    "public_domain/leonardo_mona_lisa_1503.jpg", "public_domain/raphael_la_donna_velata_1516.jpg",
)  # fmt: skip
SWEEP_RAD = np.deg2rad([5.0, 9.0, 0.0])  # nod, turn
OPEN_SHARE = 0.8  # of the usual opening of the eyes, in frames that count
CELL = (420, 150)  # px
Frame = npt.NDArray[np.uint8]


def sweep(seconds: float) -> Motion:
    """Return a head that goes round once every two seconds."""
    motion = Motion.rest(round(seconds * FPS))
    at = 2 * np.pi * np.arange(len(motion)) / FPS / 2
    turns = np.stack([np.cos(at) - 1, np.sin(at), 0 * at], axis=1) * SWEEP_RAD
    return replace(motion, rotation=turns.astype(np.float32))


def measured(frames: list[Frame], animator: Animator) -> dict[str, float]:
    """Track frames and return the table's figures."""
    finder, face, found = shared_landmarker("facemesh"), animator.faces[0], []
    for frame in frames:
        face = finder.track(frame, face) or face
        found.append(face.landmarks)
    points, poses = normalise_clip(np.stack(found))
    opening = np.mean([points[:, upper[0], 1] - points[:, lower[0], 1] for upper, lower, _ in EYES], axis=0)
    counts = opening > OPEN_SHARE * np.quantile(opening, 0.8)
    irises = np.rad2deg(iris_angles(points)[counts, 0])
    camera = np.rad2deg(eyes_on_camera(np.stack([pose.rotation for pose in poses])))[counts, 0]
    past = irises - camera
    follows = float(np.polyfit(camera, irises, 1)[0]) if camera.std() > 1 else np.nan
    return {"past": float(np.median(past)), "spread": float(past.std()), "follows": follows}


def crop(frame: Frame, animator: Animator) -> Frame:
    """Return the eyes, enlarged."""
    points = animator.faces[0].landmarks[:, :2]
    scale = CELL[0] / (1.5 * float(np.linalg.norm(points[33] - points[263])))
    matrix = np.array([[scale, 0, 0], [0, scale, 0]], np.float64)
    matrix[:, 2] = np.array(CELL) / 2 - matrix[:, :2] @ points[[33, 263]].mean(0)
    return np.asarray(cv2.warpAffine(frame, matrix, CELL, flags=cv2.INTER_CUBIC if scale > 1 else cv2.INTER_AREA))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", nargs="*", type=Path)
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--sheet", type=Path, help="also draw the eyes: photo, then photo and camera in turn")
    args = parser.parse_args()
    photos = args.photos or [SHARED / name for name in PHOTOS if (SHARED / name).exists()]
    photos = photos or sorted((ROOT / "examples" / "portraits").glob("*.jpg"))
    ways = [(mover, gaze) for mover in ("sweep", "voice") for gaze in ("photo", "camera")]
    print("| | photo: past | " + " | ".join(f"{m}, {g}: past | spread | follows" for m, g in ways) + " | drawn |")
    print("|---" * (3 * len(ways) + 3) + "|")
    rows, sheet = [], []
    samples, rate = _speech(args.seconds)
    for path in photos:
        animator = Animator(path, max_size=768)
        sight = Sight.of(animator.faces[0].landmarks)
        still = np.rad2deg(iris_angles(normalise_clip(animator.faces[0].landmarks[None])[0])[0, 0])
        row = [float(still - np.rad2deg(eyes_on_camera(sight.rotation))[0])]
        cells = [crop(animator.photo.pixels, animator)]
        drawn = np.nan
        for mover, gaze in ways:
            motion = sweep(args.seconds) if mover == "sweep" else None
            sound = None if motion is not None else (samples, rate)
            options = {"gaze": gaze, "motion": motion, "head_motion": 1.0 if motion is not None else 2.0}
            frames = list(animator.frames(sound, **options))
            row += measured(frames, animator).values()
            if mover == "sweep":
                cells += [crop(frames[i], animator) for i in (12, 37)]
            if (mover, gaze) == ("sweep", "camera"):
                (motion,) = animator.motions(None, **options)
                drawn = float(np.rad2deg(motion.gaze[0, 0]))
        rows.append([*row, drawn])
        print(f"| {path.stem} | " + " | ".join(f"{value:.1f}" for value in rows[-1]) + " |", flush=True)
        sheet.append(np.hstack(cells))
    table = np.array(rows)
    sizes = np.arange(table.shape[1]) % 3 != 0
    sizes[0] = True  # every third column is `follows`, whose sign counts
    mean = np.nanmean(np.where(sizes, np.abs(table), table), axis=0)
    print("| **mean** | " + " | ".join(f"{value:.1f}" for value in mean) + " |")
    if args.sheet:
        Image.fromarray(np.vstack(sheet)).save(args.sheet)


def _speech(seconds: float) -> tuple[npt.NDArray[np.float32], int]:
    import soundfile

    samples, rate = soundfile.read(SPEECH, dtype="float32")
    return samples[: round(seconds * rate)], rate


if __name__ == "__main__":
    main()
