"""The live face in figures: processor time, delay, clock, interruption, memory.

    PYTHONPATH=. OMP_NUM_THREADS=1 python benchmarks/live.py [PHOTO] [--size 512] [--seconds 20] [--json]

A close-up is cut from the photo. Share of a core: processor time of all threads for a tick, over its 40 ms, while
the face waits and while it speaks; beside it encoding alone (x264 veryfast, the same frames). Delay: a thread feeds
speech at a microphone's pace, in pieces of 20 ms, and frames are taken at the clock: from the last sample that a frame
plays being fed to the frame, 95th percentile. Late: more than one frame behind the clock.
"""

from __future__ import annotations

import argparse
import json
import resource
import tempfile
import threading
import time
from itertools import islice
from pathlib import Path

import numpy as np

from portrait_anim import LiveFace
from portrait_anim.audio.load import load_audio
from portrait_anim.config import FPS, SAMPLE_RATE
from portrait_anim.face.detect import shared_landmarker
from portrait_anim.face.photo import load_photo
from portrait_anim.live.clock import played
from portrait_anim.system.opencv import cv2
from portrait_anim.video.writer import Writer

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
ROUND_FACE = 0.9  # face heights to each side of the face's middle that a close-up shows
PIECE_S = 0.02


def closeup(path: Path, size: int) -> np.ndarray:
    pixels = load_photo(path).pixels
    x0, y0, x1, y1 = shared_landmarker().detect(pixels)[0].bbox
    half = int(min(ROUND_FACE * (y1 - y0), x0 / 2 + x1 / 2, y0 / 2 + y1 / 2))
    cx, cy = int((x0 + x1) / 2), int((y0 + y1) / 2)
    part = pixels[max(0, cy - half) : cy + half, max(0, cx - half) : cx + half]
    return cv2.resize(part, (size, size), interpolation=cv2.INTER_AREA if len(part) > size else cv2.INTER_CUBIC)


def cost(face: LiveFace, n_ticks: int) -> tuple[float, list[np.ndarray]]:
    frames = []
    start = time.process_time()
    for _ in range(n_ticks):
        frames.append(face.step().pixels)
    return (time.process_time() - start) / n_ticks * FPS, frames


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photo", type=Path, nargs="?", default=EXAMPLES / "astronaut.jpg")
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    picture, speech = closeup(args.photo, args.size), load_audio(EXAMPLES / "speech.flac")
    LiveFace(picture).step()  # nets are loaded and kernels compiled once a process
    found = {}
    start = time.monotonic()
    face = LiveFace(picture, seed=1)
    face.step()
    found["first frame, s"] = time.monotonic() - start

    n_ticks = round(min(args.seconds, len(speech) / SAMPLE_RATE - 1) * FPS)
    found["waiting, share of a core"], _ = cost(face, n_ticks)
    face.feed(speech, SAMPLE_RATE)
    found["speaking, share of a core"], frames = cost(face, n_ticks)
    face.interrupt()
    shut = next(i for i in range(10) if not face.step(draw=False).samples.any() and face._silent >= 3)
    found["shut after interrupt(), ms"] = (shut + 1) * 1000 / FPS
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    with tempfile.TemporaryDirectory() as folder, Writer(Path(folder) / "film.mp4", face.size, FPS, []) as writer:
        for frame in frames:
            writer.write(frame)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    coded_s = after.ru_utime + after.ru_stime - used.ru_utime - used.ru_stime
    found["encoding alone, share of a core"] = coded_s / len(frames) * FPS

    face = LiveFace(picture, seed=1)
    done = threading.Event()

    def microphone() -> None:
        begin, size, sent = time.monotonic(), round(PIECE_S * SAMPLE_RATE), 0
        while not done.is_set():
            at = sent % (len(speech) - size)
            face.feed(speech[at : at + size], SAMPLE_RATE)
            sent += size
            time.sleep(max(0.0, begin + sent / SAMPLE_RATE - time.monotonic()))

    thread = threading.Thread(target=microphone, daemon=True)
    thread.start()
    begin, late = time.monotonic(), 0
    n_frames = round(args.seconds * FPS)
    for i, _ in enumerate(islice(played(face), n_frames)):
        late += time.monotonic() - begin - (i + 1) / FPS > 1 / FPS
    done.set()
    thread.join()
    numbers = face.numbers
    found["delay p95, ms"] = 1000 * numbers.delay_s
    found["late frames, share"] = late / n_frames
    found["not drawn, share"] = numbers.dropped / n_frames
    found["drawing a frame, ms"] = 1000 * numbers.draw_s
    found["memory, MiB"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    if args.json:
        print(json.dumps(found))
    else:
        print(f"| {args.size}x{args.size} | |\n|---|---|")
        print("\n".join(f"| {name} | {value:.3g} |" for name, value in found.items()))


if __name__ == "__main__":
    main()
