"""How fast films are made: end to end and per stage, as a ratio to x264 encoding the same frames.

    PYTHONPATH=. python benchmarks/speed.py [--quick] [--sizes 512x512 ...] [--seconds 8] [--repeats 5] [--json OUT]

The picture is examples/astronaut.jpg resampled (1080x1920: its middle, cropped; -closeup: its face), the sound
examples/speech.flac.
Three things take turns, so that a busy machine slows them alike, and the table shows medians over the turns:

- encode: the product's own ``Writer`` on the film's finished frames, kept in memory, and the same sound, no signing;
- film: ``Animator.animate`` with models and photo loaded, from the sound file to the signed mp4, all threads at work;
- stages: the film's steps one after the other in one thread, so they add up to more than the film takes.

Then once per size the command line in a process of its own, from its start to its end, with its peak memory. Ratios
are medians of the ratio within a turn. CPU seconds are of this process and its ffmpeg children together; on a machine
that does other work they are the steadier measure. OMP_NUM_THREADS sets torch's threads. Linux only (/proc). Prints
Markdown.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import soundfile
import torch
from PIL import Image

from portrait_anim import Animator
from portrait_anim.audio.load import load_audio
from portrait_anim.config import FPS
from portrait_anim.face.choose import choose_faces
from portrait_anim.face.detect import shared_landmarker
from portrait_anim.face.photo import load_photo
from portrait_anim.motion.model import MotionModel
from portrait_anim.provenance.record import Provenance
from portrait_anim.render.portrait import Portrait
from portrait_anim.system.opencv import cv2
from portrait_anim.system.threads import N_WORKERS
from portrait_anim.video.formats import CRF, PRESET
from portrait_anim.video.writer import Writer

ROOT = Path(__file__).resolve().parents[1]
PHOTO, SOUND = ROOT / "examples" / "astronaut.jpg", ROOT / "examples" / "speech.flac"
CLOSEUP = "-closeup"  # the face fills the picture
SIZES = ("256x256", "512x512", f"512x512{CLOSEUP}", "1024x1024", "1080x1920")
ROUND_FACE = 0.9  # face heights to each side of its middle that a close-up shows
STAGES = ("photo", "listen", "motion", "render", "mark", "encode", "sign")
GOAL, GOAL_SIZE = 3.0, "512x512"  # film over encode

Frame = npt.NDArray[np.uint8]
Times = dict[str, float]


def make_photo(size: str, folder: Path) -> Path:
    """Write the picture at ``size`` (WxH): scaled to cover it, then cut to it; for a close-up cut to the face first."""
    width, height = map(int, size.removesuffix(CLOSEUP).split("x"))
    image = Image.open(PHOTO).convert("RGB")
    if size.endswith(CLOSEUP):
        x0, y0, x1, y1 = shared_landmarker().detect(np.asarray(image))[0].bbox
        x, y, half = (x0 + x1) / 2, (y0 + y1) / 2, ROUND_FACE * (y1 - y0)
        half = min(half, x, y, image.width - x, image.height - y)
        image = image.crop((round(x - half), round(y - half), round(x + half), round(y + half)))
    factor = max(width / image.width, height / image.height)
    image = image.resize((round(image.width * factor), round(image.height * factor)), Image.Resampling.LANCZOS)
    left, top = (image.width - width) // 2, (image.height - height) // 2
    path = folder / f"{size}.png"
    image.crop((left, top, left + width, top + height)).save(path)
    return path


def make_sound(seconds: float, folder: Path) -> Path:
    """Write the first ``seconds`` of the speech, said again from the start where it is too short."""
    samples, rate = soundfile.read(SOUND)
    path = folder / "sound.wav"
    soundfile.write(path, np.resize(samples, round(seconds * rate)), rate, "PCM_16")
    return path


@contextmanager
def timed(into: Times, name: str) -> Iterator[None]:
    """Add wall seconds to ``into[name]`` and CPU seconds (own and ended children's) to ``into[name + " cpu"]``."""
    wall, cpu = time.perf_counter(), sum(os.times()[:4])
    yield
    into[name] = into.get(name, 0.0) + time.perf_counter() - wall
    into[f"{name} cpu"] = into.get(f"{name} cpu", 0.0) + sum(os.times()[:4]) - cpu


def encode(frames: list[Frame], sound: Path, out: Path) -> None:
    height, width = frames[0].shape[:2]
    with Writer(out, (width, height), FPS, sound, overwrite=True) as writer:
        for frame in frames:
            writer.write(frame)


def stages(photo: Path, sound: Path, model: MotionModel, out: Path) -> tuple[Times, list[Frame]]:
    """Run the film's steps one by one; return their times and the marked frames."""
    times: Times = {}
    with timed(times, "photo"):
        picture = load_photo(photo)
        face = choose_faces(picture, shared_landmarker())[0]
        portrait = Portrait(picture, face)
    waveform = load_audio(sound)
    with timed(times, "listen"):
        heard = model.analyse(waveform)
    with timed(times, "motion"):
        motion = model.motion(heard)
        faces = [model.space.state(motion, i) for i in range(len(motion))]
    with timed(times, "render"):
        plain = [portrait.render(state) for state in faces]
    with timed(times, "mark"):
        marks = Provenance(photo, sound, seed=0, models={"none": "0" * 64})
        marker = marks.marker(picture.pixels, FPS)
        for i, frame in enumerate(plain):
            plain[i] = marker.mark(frame, i)
    with timed(times, "encode"):
        encode(plain, sound, out)
    with timed(times, "sign"):
        marks.finish(out)
    return times, plain


def command(photo: Path, sound: Path, out: Path) -> Times:
    """Run the command line in a process of its own; its peak memory and, apart, its encoder's."""
    arguments = [sys.executable, "-m", "portrait_anim", "animate", str(photo), str(sound), "-o", str(out)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    start = time.perf_counter()
    process = os.posix_spawn(sys.executable, [*arguments, "--force", "--quiet"], environment)
    program = encoder = 0
    while (done := os.wait4(process, os.WNOHANG))[0] == 0:
        program = max(program, peak_kib(process))
        encoder = max([encoder, *(peak_kib(child, "ffmpeg") for child in children(process))])
        time.sleep(0.02)
    wall = time.perf_counter() - start
    if done[1]:
        raise SystemExit(f"the command line failed with {os.waitstatus_to_exitcode(done[1])}")
    usage = done[2]
    return {
        "command": wall,
        "command cpu": usage.ru_utime + usage.ru_stime,
        "program_mib": program / 1024,
        "encoder_mib": encoder / 1024,
    }


def children(pid: int) -> list[int]:
    try:
        lists = [(task / "children").read_text() for task in Path(f"/proc/{pid}/task").iterdir()]
    except OSError:
        return []
    return [int(child) for text in lists for child in text.split()]


def peak_kib(pid: int, name: str = "") -> int:
    """Peak resident memory of a running process in KiB; 0 when it is gone or another program than ``name`` (yet)."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    fields = dict(line.split(":", 1) for line in lines)
    return int(fields["VmHWM"].split()[0]) if "VmHWM" in fields and fields["Name"].strip().startswith(name) else 0


def measure(size: str, seconds: float, repeats: int, folder: Path) -> dict[str, Any]:
    """Take all measurements of one size."""
    photo, sound, out = make_photo(size, folder), make_sound(seconds, folder), folder / "film.mp4"
    animator = Animator(photo)
    n_frames = animator.animate(sound, out, overwrite=True).n_frames  # loads the models
    model = MotionModel.from_weights()
    model.analyse(load_audio(sound))
    turns = []
    for _ in range(repeats):
        turn, frames = stages(photo, sound, model, out)
        with timed(turn, "film"):
            animator.animate(sound, out, overwrite=True)
        before: Times = {}
        with timed(before, "encode"):
            encode(frames, sound, out)
        for name, value in before.items():  # once before the film, once after it
            turn[name] = (turn[name] + value) / 2
        del frames
        turns.append(turn)
    row: dict[str, Any] = {"size": size, "frames": n_frames, "load_1min": os.getloadavg()[0]}
    row |= {name: statistics.median(turn[name] for turn in turns) for name in turns[0]}
    for suffix in ("", " cpu"):
        ratios = [turn[f"film{suffix}"] / turn[f"encode{suffix}"] for turn in turns]
        row |= {f"ratio{suffix}": statistics.median(ratios), f"ratio{suffix} range": [min(ratios), max(ratios)]}
    return row | command(photo, sound, out)


def table(rows: list[dict[str, Any]]) -> Iterator[str]:
    """Yield the Markdown tables."""
    yield "| size | frames | encode s | film s | film fps | film / encode (range) | CPU: film / encode | command s |"
    yield "|---|---|---|---|---|---|---|---|"
    for row in rows:
        low, high = row["ratio range"]
        yield (
            f"| {row['size']} | {row['frames']} | {row['encode']:.2f} | {row['film']:.2f} "
            f"| {row['frames'] / row['film']:.0f} | **{row['ratio']:.2f}** ({low:.2f}-{high:.2f}) "
            f"| {row['film cpu']:.2f} s / {row['encode cpu']:.2f} s = {row['ratio cpu']:.2f} | {row['command']:.1f} |"
        )
    yield ""
    yield f"| stage, ms of CPU time a frame | {' | '.join(row['size'] for row in rows)} |"
    yield "|---|" + "---|" * len(rows)
    for stage in STAGES:
        cells = (f"{1000 * row[f'{stage} cpu'] / row['frames']:.2f}" for row in rows)
        yield f"| {stage} | {' | '.join(cells)} |"
    yield f"| peak memory, MiB: program + encoder | {' | '.join(_memory(row) for row in rows)} |"


def _memory(row: dict[str, Any]) -> str:
    return f"{row['program_mib']:.0f} + {row['encoder_mib']:.0f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="256 and 512, 2 s, two turns")
    parser.add_argument("--sizes", nargs="+", metavar="WxH")
    parser.add_argument("--seconds", type=float)
    parser.add_argument("--repeats", type=int)
    parser.add_argument("--json", type=Path, metavar="OUT")
    options = parser.parse_args()
    sizes = options.sizes or (SIZES[:2] if options.quick else SIZES)
    seconds = options.seconds or (2.0 if options.quick else 8.0)
    repeats = options.repeats or (2 if options.quick else 5)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    print(
        f"{platform.machine()}, {cores} cores; film: {N_WORKERS} render threads, torch "
        f"{torch.get_num_threads()}, OpenCV {cv2.getNumThreads()}; x264 {PRESET} CRF {CRF}, its own choice of "
        f"threads; {seconds:g} s of sound, {repeats} turns; other load before: {os.getloadavg()[0]:.1f}\n"
    )
    with tempfile.TemporaryDirectory(prefix="portrait_anim-speed-") as name:
        os.environ.setdefault("PORTRAIT_ANIM_HOME", name)  # the signing key
        rows = [measure(size, seconds, repeats, Path(name)) for size in sizes]
    print("\n".join(table(rows)))
    for row in rows:
        if row["size"] == GOAL_SIZE:
            verdict = "reached" if row["ratio"] <= GOAL else "missed"
            print(f"\nGoal at {GOAL_SIZE}: film <= {GOAL:g} x encode: {verdict} ({row['ratio']:.2f})")
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
