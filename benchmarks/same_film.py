"""Whether a change of the code changed a film: hashes of what `Animator` makes, frame by frame, before encoding.

    PYTHONPATH=. python benchmarks/same_film.py --out before.json
    PYTHONPATH=. python benchmarks/same_film.py --against before.json

Seed 0, the pictures of examples/, a second and a half of examples/speech.flac. Frames carry their marks, so a change of
the marks shows too (the invisible mark holds a number made of the weights' and inputs' hashes: whatever changes those
changes every frame); ``--unmarked`` hashes frames before they get it. Motion is hashed beside them, so that one sees
where a difference begins. The same machine, the same libraries and threads give the same hashes; other machines may
not. Exit status: 0 all the same, 1 some differ.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from collections.abc import Iterable
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import soundfile
from PIL import Image

from portrait_anim import Animator
from portrait_anim.provenance.watermark import FrameMarker

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
SECONDS = 1.5
MAX_SIZE_PX = 384
SAMPLE_RATE = 16_000
TIMELINE = "happy@0-0.5,sad:0.6@0.5-1,surprised@1-"
EMOTIONS = ("happy", "angry", "fearful", "disgusted")
PIECES = (1, 700, 3000, 160, 9999)  # samples, in turn

Hashes = dict[str, list[str]]


def short_hash(values: npt.NDArray[Any]) -> str:
    return hashlib.sha256(np.ascontiguousarray(values).tobytes()).hexdigest()[:16]


def motion_hashes(motions: Iterable[Any]) -> list[str]:
    """Return one hash for each array of each motion that holds anything."""
    arrays = [getattr(motion, field.name) for motion in motions for field in fields(motion)]
    return [short_hash(array) for array in arrays if isinstance(array, np.ndarray) and array.size]


def sound(start_s: float = 0.5, seconds: float = SECONDS) -> tuple[npt.NDArray[np.float32], int]:
    samples, rate = soundfile.read(EXAMPLES / "speech.flac", dtype="float32")
    first = round(start_s * rate)
    return np.resize(samples[first : first + round(seconds * rate)], round(seconds * rate)), rate


def couple() -> npt.NDArray[np.uint8]:
    """Return two people side by side in one picture of 512x256 px."""
    names = ("astronaut.jpg", "portraits/raphael_la_donna_velata_1516.jpg")
    halves = [Image.open(EXAMPLES / name).convert("RGB").resize((256, 256)) for name in names]
    return np.concatenate([np.asarray(half) for half in halves], axis=1)


def pieces() -> Iterable[npt.NDArray[np.float32]]:
    samples, rate = sound()
    assert rate == SAMPLE_RATE  # noqa: S101
    at, turn = 0, 0
    while at < len(samples):
        size = PIECES[turn % len(PIECES)]
        yield samples[at : at + size]
        at, turn = at + size, turn + 1


def cases() -> Iterable[tuple[str, Hashes]]:
    """Make every film and return its name and hashes."""

    def film(animator: Animator, sounds: Any, **options: Any) -> Hashes:
        return {
            "motion": motion_hashes(animator.motions(sounds, **options)),
            "frames": [short_hash(frame) for frame in animator.frames(sounds, **options)],
        }

    astronaut = Animator(EXAMPLES / "astronaut.jpg")
    yield "astronaut", film(astronaut, sound())
    yield "astronaut, file", film(astronaut, EXAMPLES / "speech.flac", head_motion=0.5, blinks=2.0)
    yield "astronaut, 30 fps, lively", film(astronaut, sound(), fps=30, head_motion=2.0, blinks=3.0, seed=7)
    yield "astronaut, timeline", film(astronaut, sound(), emotion=TIMELINE)
    yield "astronaut, auto", film(astronaut, sound(), emotion="auto")
    for emotion in EMOTIONS:
        yield f"astronaut, {emotion}", film(astronaut, sound(1.0, 0.4), emotion=emotion)
    yield "astronaut, live", {"frames": [short_hash(frame) for frame in astronaut.live(pieces())]}
    yield "astronaut, open weights", film(Animator(EXAMPLES / "astronaut.jpg", weights="open"), sound())
    for path in sorted((EXAMPLES / "portraits").glob("*.jpg")):
        yield path.stem, film(Animator(path, max_size=MAX_SIZE_PX), sound())
    duet = Animator(couple(), face="all")
    yield "duet", film(duet, [sound(), sound(3.0, 1.0)])
    yield "one sound, two faces", film(duet, sound())
    yield "two faces, live", {"frames": [short_hash(frame) for frame in duet.live(pieces(), seed=3)]}


def difference(before: Hashes, now: Hashes) -> str:
    """Return where two films differ first, or an empty text."""
    for part in before:
        if before[part] != now.get(part):
            pairs = list(zip(before[part], now.get(part, []), strict=False))
            first = next((i for i, (a, b) in enumerate(pairs) if a != b), len(pairs))
            wrong = sum(a != b for a, b in pairs)
            return f"{part}: {wrong} of {len(before[part])} differ, first number {first}"
    return ""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, help="write the hashes here")
    parser.add_argument("--against", type=Path, help="compare with the hashes in this file")
    parser.add_argument("--unmarked", action="store_true", help="hash frames before they get the invisible mark")
    arguments = parser.parse_args()
    if arguments.unmarked:
        FrameMarker.mark = lambda self, frame: frame.copy()  # type: ignore[method-assign]
    before = json.loads(arguments.against.read_text("utf-8")) if arguments.against else {}
    made: dict[str, Hashes] = {}
    wrong = 0
    for name, hashes in cases():
        made[name] = hashes
        said = difference(before[name], hashes) if name in before else "new" if before else "made"
        wrong += name in before and bool(said)
        print(f"{name}: {said or 'same'}", flush=True)
    if arguments.out:
        arguments.out.write_text(json.dumps(made), "utf-8")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
