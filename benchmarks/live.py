"""The live face in figures: processor time, delay, clock, interruption, memory.

    PYTHONPATH=. OMP_NUM_THREADS=1 python benchmarks/live.py [PHOTO] [--size 512] [--seconds 20] [--minutes 10] [--json]

A close-up is cut from the photo. Share of a core: processor time of all threads for a tick, over its 40 ms, while
the face waits and while it speaks; beside it encoding alone (x264 veryfast, the same frames). Delay: a thread feeds
speech at a microphone's pace, in pieces of 20 ms, and frames are taken at the clock: from the last sample that a frame
plays being fed to the frame, 95th percentile. Late: more than one frame behind the clock.

With --minutes another process is busy all the time, and the face speaks and waits by turns at the clock: late frames,
the largest distance of picture and sound (both are counted: 40 ms of sound a frame), and memory in the second and the
last fifth. Where Pipecat is installed (docs/live.md), a real SmallWebRTC call is interrupted five times: from the
interruption to the last picture of dropped speech and to the last sound of it that reach the other side, queues and
codecs counted.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import resource
import subprocess
import sys
import tempfile
import threading
import time
from itertools import islice
from pathlib import Path

import numpy as np
import psutil

from portrait_anim import LiveFace
from portrait_anim.audio.load import load_audio
from portrait_anim.config import FPS, SAMPLE_RATE
from portrait_anim.face.detect import shared_landmarker
from portrait_anim.face.photo import load_photo
from portrait_anim.live.clock import FAR_BEHIND_S, played
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


def microphone(face: LiveFace, speech: np.ndarray, seconds: float) -> dict[str, float]:
    done = threading.Event()

    def speak() -> None:
        begin, size, sent = time.monotonic(), round(PIECE_S * SAMPLE_RATE), 0
        while not done.is_set():
            at = sent % (len(speech) - size)
            face.feed(speech[at : at + size], SAMPLE_RATE)
            sent += size
            time.sleep(max(0.0, begin + sent / SAMPLE_RATE - time.monotonic()))

    thread = threading.Thread(target=speak, daemon=True)
    thread.start()
    begin, late = time.monotonic(), 0
    n_frames = round(seconds * FPS)
    for i, _ in enumerate(islice(played(face), n_frames)):
        late += time.monotonic() - begin - (i + 1) / FPS > 1 / FPS
    done.set()
    thread.join()
    numbers = face.numbers
    return {
        "delay p95, ms": 1000 * numbers.delay_s, "late frames, share": late / n_frames,
        "not drawn, share": numbers.dropped / n_frames, "drawing a frame, ms": 1000 * numbers.draw_s,
    }  # fmt: skip


def steady(picture: np.ndarray, speech: np.ndarray, minutes: float) -> dict[str, float]:
    face, process = LiveFace(picture, seed=1), psutil.Process()
    face.step()
    n_frames = round(minutes * 60 * FPS)
    late, back, lag_s, n_samples, memory = 0, 0, 0.0, 0, []
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as other:
        begin = time.monotonic()
        for i, frame in enumerate(islice(played(face), n_frames)):
            behind = time.monotonic() - begin - i / FPS
            late += behind > 2 / FPS
            if behind > FAR_BEHIND_S:  # the clock is set back
                begin, back = begin + behind, back + 1
            lag_s = max(lag_s, abs(frame.time_s - 1 / FPS - n_samples / face.sample_rate))
            n_samples += len(frame.samples)
            memory.append(process.memory_info().rss / 2**20)
            if i % (14 * FPS) == 0:
                face.feed(speech, SAMPLE_RATE)
                face.end_of_speech()
        other.kill()
    fifth = len(memory) // 5
    return {
        f"{minutes:g} minutes beside a busy process: late frames, share": late / n_frames,
        "clock set back there, times": back,
        "not drawn, share, there": face.numbers.dropped / n_frames,
        "picture to sound, largest distance there, ms": 1000 * lag_s,
        "memory there, second fifth, MiB": float(np.mean(memory[fifth : 2 * fifth])),
        "memory there, last fifth, MiB": float(np.mean(memory[-fifth:])),
    }  # fmt: skip


def interrupted_call(picture: np.ndarray, speech: np.ndarray) -> dict[str, float]:
    from live_pipecat import barge_ins

    face = LiveFace(picture, sample_rate=24_000, seed=1)
    face.step()
    pictures, sounds = barge_ins(face, speech)
    return {
        "interrupted call (Pipecat, WebRTC): last picture of dropped speech leaves the face, ms": max(pictures[0]),
        "mouth shut on the other side, ms, median": float(np.median(pictures[1])),
        "mouth shut on the other side, ms, most": max(pictures[1]),
        "last sound of dropped speech there, ms, most": max(sounds),
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photo", type=Path, nargs="?", default=EXAMPLES / "astronaut.jpg")
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--minutes", type=float, default=0.0, help="of the steady clock beside a busy process")
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
    found |= microphone(face, speech, args.seconds)
    if args.minutes:
        found |= steady(picture, speech, args.minutes)
    found["memory, MiB"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    if importlib.util.find_spec("pipecat") and importlib.util.find_spec("aiortc"):
        found |= interrupted_call(picture, speech)
    if args.json:
        print(json.dumps(found))
    else:
        print(f"| {args.size}x{args.size} | |\n|---|---|")
        print("\n".join(f"| {name} | {value:.3g} |" for name, value in found.items()))


if __name__ == "__main__":
    main()
