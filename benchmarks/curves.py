"""How much of a motion survives as a file: motion -> csv (ARKit) -> motion, and motion -> npz -> motion.

    PYTHONPATH=. python benchmarks/curves.py [SOUND ...] [--clips 20] [--seconds 10] [--weights default] [--json OUT]

Motions are those that the voice makes of 20 sounds (those of ../shared/data/audio, or of examples/ when that folder is
not there, at several starts and seeds), every second one with an emotion. ``--clip VIDEO`` adds real motion: a face
tracked through a video, its displacement from its neutral as `Motion.mesh`. Printed for each way, mean over the clips
and the worst of them: r of the lips' opening, its amplitude, the share of frames with lips that meet in which they
still do; r and amplitude of the mouth's width, r of the lids and of the brows' height; the largest error of the head's
and the eyes' angles; and what the mesh is off, in % IOD. Baselines: rest (a csv of zeros) and another clip's csv.
Prints Markdown.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy.spatial.transform import Rotation

from portrait_anim.audio.load import load_audio
from portrait_anim.config import FPS, SAMPLE_RATE
from portrait_anim.face.mesh import BROW_LEFT, BROW_RIGHT, MOUTH_CORNERS
from portrait_anim.face.normalise import normalise_clip
from portrait_anim.face.track import track
from portrait_anim.motion.files import MotionFiles, read_motion
from portrait_anim.motion.metrics import amplitude, correlation, opening_p95
from portrait_anim.motion.model import MotionModel
from portrait_anim.motion.space import INNER_LIPS, Motion, MotionSpace, neutral_face
from portrait_anim.options import parse_emotion
from portrait_anim.video.reader import read_frames

ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT.parent / "shared" / "data" / "audio"
EMOTIONS = ("happy", "sad:0.8", "angry", "surprised", "fearful", "disgusted")
MEET_IOD, STILL_MEET_IOD = 0.004, 0.010  # openings of lips that meet, before and after
SPEAKS_IOD = 0.05  # 95th percentile of the opening, below which a sound holds hardly any voice
Row = dict[str, float]


def sounds(given: list[Path], n_clips: int) -> Iterator[tuple[Path, float]]:
    """Yield files and where to start in them (s), more than are needed: some hold no voice."""
    there = sorted(SHARED.glob("*/*.opus"))
    files = given or there[:: max(1, len(there) // (2 * n_clips))]
    files = files or [ROOT / "examples" / name for name in ("speech.flac", "song.flac")]
    for i in range(4 * n_clips):
        yield files[i % len(files)], 0.5 * (i // len(files))


def made(model: MotionModel, path: Path, start_s: float, seconds: float, number: int) -> Motion:
    """Return what a voice does; every second clip has an emotion."""
    waveform = load_audio(path)[round(start_s * SAMPLE_RATE) :][: round(seconds * SAMPLE_RATE)]
    emotion = EMOTIONS[number // 2 % len(EMOTIONS)] if number % 2 else None
    return model.motion(waveform, emotion=parse_emotion(emotion), seed=number, blinks=2.0)


def tracked(path: Path, seconds: float) -> Motion:
    """Return the motion of a real face: its displacement from its neutral, and its head's turns."""
    frames = (image for i, image in enumerate(read_frames(path)) if i < seconds * FPS)
    landmarks = track(frames).landmarks
    points, poses = normalise_clip(landmarks[np.isfinite(landmarks[:, 0, 0])])
    turns = Rotation.from_matrix(np.stack([pose.rotation for pose in poses]))
    relative = (turns.mean().inv() * turns).as_rotvec().astype(np.float32)
    return replace(Motion.rest(len(points)), mesh=points - neutral_face(points), rotation=relative)


def saved(motion: Motion, space: MotionSpace, suffix: str) -> Motion:
    """Return a motion as it comes back from a file."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"motion{suffix}"
        with MotionFiles(path, 1) as files:
            files.write([motion], space)
        return read_motion(path, space)


def brows(moved: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Return the mean height of the brows (T,), IOD."""
    return np.asarray(moved[:, list(BROW_LEFT + BROW_RIGHT), 1].mean(axis=1))


def compare(back: Motion, motion: Motion, space: MotionSpace) -> Row:
    """Measure a motion that came back beside the one that was saved."""
    n = min(len(back), len(motion))
    a, b = (space.displacement(one, slice(0, n)) for one in (back, motion))
    opening = [one[:, INNER_LIPS[0], 1] - one[:, INNER_LIPS[1], 1] for one in (a, b)]
    width = [one[:, MOUTH_CORNERS[1], 0] - one[:, MOUTH_CORNERS[0], 0] for one in (a, b)]
    turn = Rotation.from_rotvec(back.rotation[:n]) * Rotation.from_rotvec(motion.rotation[:n]).inv()
    row = {
        "opening r": correlation(*opening), "opening amp": amplitude(*opening),
        "width r": correlation(*width), "width amp": amplitude(*width),
        "brows r": correlation(brows(a), brows(b)),
        "head, deg": float(np.degrees(turn.magnitude()).max()),
        "gaze, deg": float(np.degrees(np.abs(back.gaze[:n] - motion.gaze[:n])).max()),
        "mesh, % IOD": 100 * float(np.sqrt(((a - b) ** 2).sum(-1).mean())),
    }  # fmt: skip
    if (meet := opening[1] < MEET_IOD).any():
        row["lips meet"] = float((opening[0][meet] < STILL_MEET_IOD).mean())
    if motion.blink.any():
        row["lids r"] = correlation(back.blink[:n].mean(axis=1), motion.blink[:n].mean(axis=1))
    return row


def table(name: str, rows: list[Row]) -> Iterator[str]:
    """Return two Markdown rows: mean and worst."""
    keys = ("opening r", "opening amp", "lips meet", "width r", "width amp", "lids r", "brows r", "head, deg",
            "gaze, deg", "mesh, % IOD")  # fmt: skip
    for kind in ("mean", "worst"):
        cells = []
        for key in keys:
            values = np.array([row[key] for row in rows if key in row])
            worst = np.max if key[-3:] in ("deg", "IOD") else np.min
            cells.append("-" if not len(values) else f"{values.mean() if kind == 'mean' else worst(values):.4f}")
        yield f"| {name}, {kind} | {' | '.join(cells)} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sounds", nargs="*", type=Path)
    parser.add_argument("--clips", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--weights", choices=("default", "open"), default="default")
    parser.add_argument("--clip", type=Path, action="append", default=[], metavar="VIDEO", help="also real motion")
    parser.add_argument("--json", type=Path, metavar="OUT")
    options = parser.parse_args()
    model = MotionModel.from_weights(options.weights)
    space = model.space
    motions: list[Motion] = []
    for path, start_s in sounds(options.sounds, options.clips):
        if len(motions) < options.clips:
            motion = made(model, path, start_s, options.seconds, len(motions))
            motions += [motion] if opening_p95(space.aperture(motion.mouth)) > SPEAKS_IOD else []
    csvs = [saved(motion, space, ".csv") for motion in motions]
    others = csvs[1:] + csvs[:1]
    results = {
        "csv": [compare(back, motion, space) for back, motion in zip(csvs, motions, strict=True)],
        "npz": [compare(saved(motion, space, ".npz"), motion, space) for motion in motions],
        "csv of csv": [compare(saved(back, space, ".csv"), back, space) for back in csvs],
        "baseline: rest": [compare(Motion.rest(len(motion)), motion, space) for motion in motions],
        "baseline: another clip's": [
            compare(back, motion, space) for back, motion in zip(others, motions, strict=True)
        ],
    }
    for path in options.clip:
        motion = tracked(path, options.seconds)
        results[f"csv of {path.stem}"] = [compare(saved(motion, space, ".csv"), motion, space)]
    print(f"{len(motions)} motions of up to {options.seconds:g} s, weights {options.weights}\n")
    print("| | opening r | amp | lips meet | width r | amp | lids r | brows r | head, deg | gaze, deg | mesh, % IOD |")
    print("|---|---|---|---|---|---|---|---|---|---|---|")
    for name, rows in results.items():
        print("\n".join(table(name, rows)))
    if options.json:
        options.json.write_text(json.dumps(results), "utf-8")


if __name__ == "__main__":
    main()
