"""What each further face in a picture costs: ms a frame for 1, 2 and 4 faces, at rest and speaking, one thread.

    PYTHONPATH=. python benchmarks/faces.py [--size 1920x1080] [--repeats 5] [--json OUT]

The picture is the face of examples/astronaut.jpg, pasted four times side by side; the sound is examples/speech.flac.
The cases take turns, so that a busy machine slows them alike; the table shows medians over the turns. "Before" is the
earlier way: each face renders a copy of the whole picture, which is then compared with the photo. The frames of both
ways are compared. Prints Markdown.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from portrait_anim import Animator
from portrait_anim.audio.load import load_audio
from portrait_anim.face.state import FaceState
from portrait_anim.motion.model import MotionModel
from portrait_anim.render.group import Group
from portrait_anim.system.opencv import cv2

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
COUNTS = (1, 2, 4)
N_FRAMES = 20  # of the speech, one a fifth of a second
FACE_BOX = (110, 0, 366, 300)  # of the astronaut's face in the example, px


def make_picture(width: int, height: int) -> npt.NDArray[np.uint8]:
    """Return a picture of four faces in a row."""
    face = Image.open(EXAMPLES / "astronaut.jpg").convert("RGB").crop(FACE_BOX)
    scale = min(width / 4 / face.width, height / face.height)
    face = face.resize((int(face.width * scale), int(face.height * scale)), Image.Resampling.LANCZOS)
    picture = Image.new("RGB", (width, height), (90, 90, 100))
    for i in range(4):
        picture.paste(face, (i * width // 4, (height - face.height) // 2))
    return np.asarray(picture)


def drawn(group: Group, states: list[FaceState]) -> npt.NDArray[np.uint8]:
    frame = group.still.copy()
    group.draw(states, 0.0, frame)
    return frame


def whole_pictures(group: Group, states: list[FaceState]) -> npt.NDArray[np.uint8]:
    """Put faces together as it was done before: each renders a whole picture, which is compared with the photo."""
    frame, *others = (portrait.render(state) for portrait, state in zip(group.portraits, states, strict=True))
    for moved in others:
        np.copyto(frame, moved, where=(moved != group.photo.pixels).any(axis=2, keepdims=True))
    return frame


def measure(width: int, height: int, repeats: int) -> list[dict[str, float]]:
    """Return a row for each number of faces: ms a frame."""
    animator, model = Animator(make_picture(width, height), face="all"), MotionModel.from_weights()
    if len(animator.faces) != max(COUNTS):
        raise SystemExit(f"{len(animator.faces)} faces found instead of {max(COUNTS)}: choose another --size")
    motion = model.motion(load_audio(EXAMPLES / "speech.flac"))
    speaking = [model.space.state(motion, i) for i in range(5, len(motion), 5)][:N_FRAMES]
    groups = {count: Group(animator.photo, animator.faces[:count]) for count in COUNTS}
    times: dict[tuple[int, str], list[float]] = {}
    for turn in range(repeats + 1):
        for count, group in groups.items():
            for name, states in (("rest", [FaceState.rest()] * N_FRAMES), ("speech", speaking)):
                for way, render in (("", drawn), (" before", whole_pictures)):
                    start = time.perf_counter()
                    for state in states:
                        render(group, [state] * count)
                    if turn:  # the first one compiles
                        spent = (time.perf_counter() - start) / len(states)
                        times.setdefault((count, name + way), []).append(1000 * spent)
        for count, group in groups.items():
            for state in speaking[::5]:
                if not np.array_equal(drawn(group, [state] * count), whole_pictures(group, [state] * count)):
                    raise SystemExit("the frames differ")
    names = ("rest", "rest before", "speech", "speech before")
    return [{"faces": count, **{name: statistics.median(times[count, name]) for name in names}} for count in COUNTS]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", default="1920x1080", metavar="WxH")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--json", type=Path, metavar="OUT")
    options = parser.parse_args()
    cv2.setNumThreads(1)
    width, height = map(int, options.size.split("x"))
    rows = measure(width, height, options.repeats)
    print(f"{width}x{height}, ms a frame, one thread\n")
    print(f"| {' | '.join(rows[0])} |\n|{'---|' * len(rows[0])}")
    for row in rows:
        print(f"| {row['faces']} | {' | '.join(f'{row[name]:.1f}' for name in list(row)[1:])} |")
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
