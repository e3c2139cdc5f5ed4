"""A live face in a call, in figures read off a real Chromium: how late it shows what a microphone or a camera gives.

    PYTHONPATH=. OMP_NUM_THREADS=1 python benchmarks/call.py [PHOTO] [--size 512] [--seconds 20] [--sessions 4] [--json]

Needs Debian's chromium, playwright and the extra ``live``. A close-up is cut from the photo.

Microphone: a wav file is the browser's microphone. The page records its microphone, the face's sound and pictures as
they are shown. Delay: of the lips tracked in the pictures against those of the film of the same sound, placed where the
page's microphone heard it, in windows of two seconds of which each moves on by half a second (95th percentile); of the
sound, and of the picture against the sound. r: tracked lips against the film of ``animate``, and against
that of ``Animator.live``, which hears as the page does; at the best delay.

Camera: a film of an actor is the browser's camera. The page records that and the face. Delay and r: lips tracked in the
face's pictures against those of the actor film of the same video, at the camera's own pictures.

Sessions: as many calls as named at 256x256, driven by the microphone: frames shown a second in the slowest one, and the
processor time of the program (not of the browser).
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from pathlib import Path
from typing import Any

import browser
import numpy as np
import psutil
import soundfile
import soxr
from live import EXAMPLES, closeup
from PIL import Image

from portrait_anim import Animator
from portrait_anim.audio.load import load_audio
from portrait_anim.config import FPS, SAMPLE_RATE
from portrait_anim.video.reader import read_frames

VIEW = {"width": 400, "height": 760}
SETTLE_S = 9.0  # before the recording: the clip has been through once
WINDOW_S, STEP_S = 2.0, 0.5
SURE_R = 0.5  # of a window whose delay counts
SMALL = 256  # px, of several calls


def delays(times: np.ndarray, values: np.ndarray, other_times: np.ndarray, others: np.ndarray) -> list[float]:
    """Return the delay (s) of each window in which the curves are alike."""
    found = []
    for start in np.arange(times[0], times[-1] - WINDOW_S, STEP_S):
        here = (times >= start) & (times < start + WINDOW_S)
        late, r = browser.matched(times[here], values[here], other_times, others)
        if r > SURE_R:
            found.append(late)
    return found


def spent(child: Any) -> float:
    used = psutil.Process(child.pid).cpu_times()
    return float(used.user + used.system)


def recorded(photo: Path, size: int, source: str, seconds: float, sound: Path, camera: Path | None) -> Any:
    """Return a recording, the share of the frames that were shown, and the cores that the program used."""
    arguments = (str(photo), "--input", "mic", "--size", str(size))
    with browser.served(*arguments) as (child, address), browser.chromium(sound, camera) as chromium:
        page = chromium.new_page(viewport=VIEW)
        browser.start(page, address, source)
        page.wait_for_timeout(1000 * SETTLE_S)
        before = spent(child)
        found = browser.recorded(page, seconds)
        cores = (spent(child) - before) / seconds
        told = page.inner_text("#delay")
        page.get_by_role("button", name="Hang up").click()
    return found, len(found.face.frames) / (seconds * FPS), cores, told


def by_microphone(photo: Path, size: int, seconds: float, sound: Path) -> dict[str, Any]:
    found, shown, cores, told = recorded(photo, size, "microphone", seconds, sound, None)
    loop = soundfile.read(sound, dtype="float32")[0]
    own_at, back_at = (browser.place(heard.samples, loop) for heard in (found.own, found.back))
    begin = found.own.start_s - own_at / browser.RATE
    late_s = (found.back.start_s - back_at / browser.RATE - begin) % (len(loop) / browser.RATE)
    made = browser.lips(found.face.frames)
    out: dict[str, Any] = {"frames shown, share": shown, "program, cores": cores, "told on the page": told}
    animator = Animator(photo)
    films = {"animate": animator.frames(str(sound)), "Animator.live": animator.live([load_audio(sound)])}
    for name, film in films.items():
        curve = browser.lips(list(film))[: round(len(loop) / browser.RATE * FPS)]
        rounds = int(np.ceil((found.face.times[-1] - begin) / (len(curve) / FPS))) + 1
        times = begin + (np.arange(rounds * len(curve)) + 0.5) / FPS
        lag, r = browser.matched(found.face.times, made, times, np.tile(curve, rounds))
        out[f"lips r, {name}"] = r
    each = delays(found.face.times, made, times, np.tile(curve, rounds))
    out["microphone to screen, median, ms"] = 1000 * float(np.median(each)) if each else None
    out["microphone to screen, p95, ms"] = 1000 * float(np.percentile(each, 95)) if each else None
    out["microphone to the face's sound, ms"] = 1000 * late_s
    out["picture after its sound, ms"] = 1000 * (lag - late_s)
    return out


def by_camera(photo: Path, size: int, seconds: float, sound: Path, camera: Path) -> dict[str, Any]:
    found, shown, cores, told = recorded(photo, size, "camera", seconds, sound, camera)
    acting = list(read_frames(EXAMPLES / "address.mp4", FPS, 640))
    film = browser.lips(list(Animator(photo).frames(actor=EXAMPLES / "address.mp4")))
    wanted = browser.acted(film, browser.same(found.camera.frames, acting))
    made = browser.lips(found.face.frames)
    lag, r = browser.matched(found.face.times, made, found.camera.times, wanted)
    each = delays(found.face.times, made, found.camera.times, wanted)
    loop = soundfile.read(sound, dtype="float32")[0]
    own_at, back_at = (browser.place(heard.samples, loop) for heard in (found.own, found.back))
    late = found.back.start_s - found.own.start_s + (own_at - back_at) / browser.RATE
    late %= len(loop) / browser.RATE
    return {
        "frames shown, share": shown, "program, cores": cores, "told on the page": told, "lips r, actor film": r,
        "camera to screen, median, ms": 1000 * float(np.median(each)) if each else None,
        "camera to screen, p95, ms": 1000 * float(np.percentile(each, 95)) if each else None,
        "microphone to the face's sound, ms": 1000 * late, "picture after its sound, ms": 1000 * (lag - late),
    }  # fmt: skip


def several(photo: Path, n_calls: int, seconds: float, sound: Path) -> dict[str, Any]:
    arguments = (str(photo), "--input", "mic", "--size", str(SMALL), "--sessions", str(n_calls))
    with browser.served(*arguments) as (child, address), browser.chromium(sound) as chromium:
        pages = [chromium.new_page(viewport=VIEW) for _ in range(n_calls)]
        for page in pages:
            browser.start(page, address)
        pages[0].wait_for_timeout(3000)
        before = spent(child)
        pages[0].wait_for_timeout(1000 * seconds)
        cores = (spent(child) - before) / seconds
        rates, left = [], []
        for page in pages:
            page.bring_to_front()
            page.wait_for_timeout(2500)
            rates.append(float(page.inner_text("#fps").replace("–", "0")))
            dropped, frames = (int(part) for part in page.inner_text("#dropped").split(" of "))
            left.append(dropped / max(frames, 1))
        memory = psutil.Process(child.pid).memory_info().rss / 2**20
    return {
        "calls": n_calls, "frames/s shown, least": min(rates), "frames left out, greatest share": max(left),
        "program, cores": cores, "program, MiB": memory,
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photo", type=Path, nargs="?", default=EXAMPLES / "astronaut.jpg")
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--sessions", type=int, default=4)
    parser.add_argument("--only", choices=("microphone", "camera", "sessions"), help="one of the three parts")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    if reason := browser.missing():
        parser.error(reason)
    found: dict[str, dict[str, Any]] = {}
    with tempfile.TemporaryDirectory() as folder:
        photo, small, sound = Path(folder) / "photo.png", Path(folder) / "small.png", Path(folder) / "microphone.wav"
        Image.fromarray(closeup(args.photo, args.size)).save(photo)
        Image.fromarray(closeup(args.photo, SMALL)).save(small)
        speech = soxr.resample(load_audio(EXAMPLES / "speech.flac"), SAMPLE_RATE, browser.RATE)
        soundfile.write(sound, speech, browser.RATE, "PCM_16")
        camera = browser.y4m(list(read_frames(EXAMPLES / "address.mp4", FPS, 640)), Path(folder) / "camera.y4m")
        if args.only in (None, "microphone"):
            found["microphone"] = by_microphone(photo, args.size, args.seconds, sound)
        if args.only in (None, "camera"):
            found["camera"] = by_camera(photo, args.size, args.seconds, sound, camera)
        if args.only in (None, "sessions"):
            found["sessions"] = several(small, args.sessions, args.seconds, sound)
    found["machine"] = {"cores": os.cpu_count(), "load, 1 min": os.getloadavg()[0]}
    if args.json:
        print(json.dumps(found))
        return
    for part, rows in found.items():
        print(f"| {part} | |\n|---|---|")
        for name, value in rows.items():
            print(f"| {name} | {value if isinstance(value, str | None) else f'{value:.3g}'} |")
        print()


if __name__ == "__main__":
    main()
