"""How time and memory grow with the sound's length, the photo's size and the number of faces.

    PYTHONPATH=. python benchmarks/growth.py [--minutes 1 10 60 180] [--sizes 256 512 ... 4096] [--faces 1 2 4]
        [--drawn SECONDS] [--json OUT]

Three tables, each row in a process of its own. Lengths: a 256 px film of examples/speech.flac said again and again:
processor seconds of program and encoder for each minute of film, and the program's peak memory. ``--drawn`` stops each
of them after so many seconds of its pictures: sound, nets and motion of all of it, and a sample of the drawing.
Sizes: milliseconds of processor time a frame for drawing and marking, a close-up scaled to each size.
Faces: the same for so many faces side by side, 256 px each. Linux only (/proc). Prints Markdown.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from PIL import Image
from speed import CLOSEUP, make_photo, make_sound

from portrait_anim import Animator

ROOT = Path(__file__).resolve().parents[1]
MINUTES, SIZES, FACES = (1.0, 10.0, 60.0, 180.0), (256, 512, 1024, 2048, 4096), (1, 2, 4)
FILM_PX = 256
BLOCK_S = 60  # s of sound written at a time
SAMPLE_S = 2.0  # s of film that sizes and faces are timed on
MEMORY_GOAL, MEMORY_LIMIT_MIB = 1.10, 1000  # peak of the longest over that of the shortest, and at most

Row = dict[str, Any]


def long_sound(seconds: float, folder: Path) -> Path:
    """Write a sound of any length in constant memory."""
    minute, rate = soundfile.read(make_sound(BLOCK_S, folder), dtype="int16")
    path = folder / "long.flac"
    with soundfile.SoundFile(path, "w", rate, 1, format="FLAC") as file:
        left = round(seconds * rate)
        while left > 0:
            file.write(minute[:left])
            left -= len(minute)
    return path


def peak_mib() -> float:
    fields = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(fields["VmHWM"].split()[0]) / 1024


def cpu_s() -> float:
    """Return processor seconds of this process and of its children that have ended."""
    return sum(sum(resource.getrusage(who)[:2]) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))


def length_row(minutes: float, drawn_s: float | None, folder: Path) -> Row:
    sound = long_sound(60 * minutes, folder)
    photo = make_photo(f"{FILM_PX}x{FILM_PX}", folder)
    animator = Animator(photo)
    before, wall = cpu_s(), time.perf_counter()
    if drawn_s is None:
        animator.animate(sound, folder / "film.mp4", max_duration=60 * minutes + 1, overwrite=True)
    else:
        frames = animator.frames(sound, max_duration=60 * minutes + 1)
        next(frames)
        first = cpu_s() - before, time.perf_counter() - wall
        for _ in islice(frames, round(25 * drawn_s)):
            pass
        frames.close()
    row = {
        "minutes": minutes, "cpu_s_a_minute": (cpu_s() - before) / minutes,
        "wall_s_a_minute": (time.perf_counter() - wall) / minutes, "peak_mib": peak_mib(),
    }  # fmt: skip
    if drawn_s is not None:
        row |= {"first_frame_cpu_s_a_minute": first[0] / minutes, "first_frame_wall_s": first[1]}
    return row


def frame_ms(photo: Path, sound: Path, n_faces: int = 1) -> float:
    """Return ms of processor time a frame, drawn and marked."""
    animator = Animator(photo, face="all") if n_faces > 1 else Animator(photo)
    frames = animator.frames(sound)
    next(frames)
    before = time.process_time()
    count = sum(1 for _ in frames)
    return 1000 * (time.process_time() - before) / count


def size_row(size: int, folder: Path) -> Row:
    photo = make_photo(f"{size}x{size}{CLOSEUP}", folder)
    return {"size": size, "ms_a_frame": frame_ms(photo, make_sound(SAMPLE_S, folder))}


def faces_row(n_faces: int, folder: Path) -> Row:
    one = np.asarray(Image.open(make_photo(f"{FILM_PX}x{FILM_PX}", folder)))
    path = folder / "row.png"
    Image.fromarray(np.concatenate([one] * n_faces, axis=1)).save(path)
    return {"faces": n_faces, "ms_a_frame": frame_ms(path, make_sound(SAMPLE_S, folder), n_faces)}


def alone(kind: str, value: float, drawn_s: float | None) -> Row:
    """Make one row in a process of its own, so that peaks do not mix."""
    given = [sys.executable, __file__, "--row", kind, str(value)]
    given += [] if drawn_s is None else ["--drawn", str(drawn_s)]
    done = subprocess.run(
        given, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)}, check=False
    )
    if done.returncode:
        raise SystemExit(done.stderr)
    row: Row = json.loads(done.stdout.splitlines()[-1])
    return row


def table(rows: list[Row]) -> Iterator[str]:
    yield "| " + " | ".join(rows[0]).replace("_", " ") + " |"
    yield "|---" * len(rows[0]) + "|"
    for row in rows:
        yield "| " + " | ".join(f"{value:.4g}" for value in row.values()) + " |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", nargs="*", type=float, default=MINUTES)
    parser.add_argument("--sizes", nargs="*", type=int, default=SIZES)
    parser.add_argument("--faces", nargs="*", type=int, default=FACES)
    parser.add_argument("--drawn", type=float, metavar="SECONDS")
    parser.add_argument("--json", type=Path, metavar="OUT")
    parser.add_argument("--row", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.row:
        with tempfile.TemporaryDirectory(prefix="portrait_anim-growth-") as name:
            os.environ.setdefault("PORTRAIT_ANIM_HOME", name)
            kind, value = options.row
            if kind == "length":
                row = length_row(float(value), options.drawn, Path(name))
            else:
                row = {"size": size_row, "faces": faces_row}[kind](round(float(value)), Path(name))
        print(json.dumps(row))
        return
    made = {}
    for kind, values in (("length", options.minutes), ("size", options.sizes), ("faces", options.faces)):
        made[kind] = [alone(kind, value, options.drawn if kind == "length" else None) for value in values]
        if made[kind]:
            print("\n".join(table(made[kind])) + "\n", flush=True)
    if len(made["length"]) > 1:
        first, last = made["length"][0]["peak_mib"], made["length"][-1]["peak_mib"]
        good = last <= MEMORY_GOAL * first and last < MEMORY_LIMIT_MIB
        print(f"Peak memory: {last / first:.2f} of the shortest, {last:.0f} MiB: {'reached' if good else 'missed'}")
    if options.json:
        options.json.write_text(json.dumps(made, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
