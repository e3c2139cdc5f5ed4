"""A real Chromium with a microphone and a camera that are files, before the page of a live face.

For benchmarks/call.py and tests/call: needs Debian's chromium (``apt-get install chromium``), playwright (its own
browsers are not needed) and the extra ``live``.
"""

from __future__ import annotations

import base64
import contextlib
import importlib.util
import io
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from portrait_anim.face.detect import make_landmarker
from portrait_anim.face.normalise import normalise
from portrait_anim.motion.space import INNER_LIPS
from portrait_anim.system.ffmpeg import ffmpeg_exe
from portrait_anim.system.opencv import cv2

CHROMIUM = Path(os.environ.get("CHROMIUM", "/usr/bin/chromium"))
RATE = 48_000  # Hz, of what a page records
FLAGS = (
    "--no-sandbox", "--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream",
    "--autoplay-policy=no-user-gesture-required",
)  # fmt: skip
START_S, LOOK_S = 60.0, 0.1  # that the first picture may take
EASED = 12  # frames of a film, at either end
THUMBNAIL = (64, 64)  # px, in which pictures are compared
FEWEST = 15  # frames that a correlation needs
MOST_LAG_S, LAG_STEP_S = 1.2, 0.005  # lags that are tried

RECORD = """
async (ms) => {
  const end = performance.now() + ms;
  const watch = (video, frames) => {
    const canvas = document.createElement("canvas"), paint = canvas.getContext("2d", { willReadFrequently: true });
    const look = (now, about) => {
      if (now > end) return;
      canvas.width = video.videoWidth; canvas.height = video.videoHeight;
      paint.drawImage(video, 0, 0);
      const picture = canvas.toDataURL("image/jpeg", 0.95);
      frames.push({ time: about.expectedDisplayTime, rtp: about.rtpTimestamp ?? 0, picture });
      video.requestVideoFrameCallback(look);
    };
    video.requestVideoFrameCallback(look);
  };
  const listen = async (track) => {
    if (!track) return [];
    const own = track.clone(), reader = new MediaStreamTrackProcessor({ track: own }).readable.getReader(), parts = [];
    while (performance.now() < end) {
      const { value, done } = await reader.read();
      if (done) break;
      const data = new Float32Array(value.numberOfFrames);
      value.copyTo(data, { planeIndex: 0, format: "f32-planar" });
      const bytes = new Uint8Array(Int16Array.from(data, (x) => Math.max(-1, Math.min(1, x)) * 32767).buffer);
      parts.push({ time: performance.now(), rate: value.sampleRate, data: btoa(String.fromCharCode(...bytes)) });
      value.close();
    }
    own.stop();
    return parts;
  };
  const face = document.getElementById("face"), frames = [], camera = [];
  watch(face, frames);
  if (call.own?.getVideoTracks().length) {
    const own = document.createElement("video");
    own.srcObject = new MediaStream(call.own.getVideoTracks());
    own.muted = true;
    await own.play();
    watch(own, camera);
  }
  const [own, back] = await Promise.all([
    listen(call.own?.getAudioTracks()[0]), listen(face.srcObject.getAudioTracks()[0]),
    new Promise((done) => setTimeout(done, ms)),
  ]);
  return { frames, camera, own, back };
}
"""


def missing() -> str | None:
    """Return what is missing here, None if nothing is."""
    if not CHROMIUM.exists():
        return f"no {CHROMIUM}: apt-get install chromium, or name it in CHROMIUM"
    for name in ("playwright", "aiortc"):
        if importlib.util.find_spec(name) is None:
            return f"no {name}: pip install {name}"
    return None


@dataclass(frozen=True)
class Seen:
    """Pictures that a page showed.

    Attributes:
        times: (T,) s, when they were shown.
        numbers: (T,) of the frames at 25 a second, from the stream's own times (a camera's: 0).
        frames: T pictures (H, W, 3).
    """

    times: np.ndarray
    numbers: np.ndarray
    frames: list[np.ndarray]


@dataclass(frozen=True)
class Heard:
    """Sound that a page got.

    Attributes:
        samples: (N,) at 48 kHz.
        start_s: of the first one, on the clock of :attr:`Seen.times`.
    """

    samples: np.ndarray
    start_s: float


@dataclass(frozen=True)
class Recording:
    """What a page showed and heard: the face and its sound, the user's own camera and microphone."""

    face: Seen
    camera: Seen
    back: Heard
    own: Heard


@contextlib.contextmanager
def served(*arguments: str, python: str = sys.executable) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Run ``portrait-anim live`` with a page at a free port meanwhile; yield its process and address."""
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[1])}
    command = [python, "-m", "portrait_anim", "live", *arguments, "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment) as child:
        said: list[str] = []
        reader = threading.Thread(target=lambda: said.extend(child.stderr or ()), daemon=True)
        reader.start()
        try:
            line = child.stdout.readline() if child.stdout else ""
            if not line.startswith("http"):
                child.wait(30)
                reader.join(5)
                raise RuntimeError(f"the page is not served: {line}{''.join(said)}")
            yield child, line.split()[0]
        finally:
            child.send_signal(signal.SIGINT)
            try:
                child.wait(20)
            except subprocess.TimeoutExpired:
                child.kill()
            reader.join(5)


@contextlib.contextmanager
def chromium(
    microphone: Path | None = None, camera: Path | None = None, *, allowed: bool = True, devices: bool = True
) -> Iterator[Any]:
    """Run a browser; its microphone plays a wav file, its camera a y4m film, over and over.

    Args:
        microphone: None: beeps.
        camera: None: a test picture.
        allowed: pages may use both.
        devices: there are any.
    """
    from playwright.sync_api import sync_playwright

    flags = [flag for flag in FLAGS if (allowed or "fake-ui" not in flag) and (devices or "fake-device" not in flag)]
    if microphone is not None:
        flags.append(f"--use-file-for-fake-audio-capture={microphone}")
    if camera is not None:
        flags.append(f"--use-file-for-fake-video-capture={camera}")
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=str(CHROMIUM), args=flags)
        try:
            yield browser
        finally:
            browser.close()


def start(page: Any, address: str, source: str | None = None) -> None:
    """Open the page and press Start; return when a picture is there.

    Args:
        page: of a browser.
        address: of the page.
        source: what drives the face; None: as the page offers.
    """
    page.goto(address)
    if source is not None:
        page.select_option("#source", source)
    page.get_by_role("button", name="Start").click()
    for _ in range(round(START_S / LOOK_S)):  # (waiting functions are evaluated in the page, which allows no eval)
        if page.evaluate("document.getElementById('face').videoWidth"):
            return
        page.wait_for_timeout(1000 * LOOK_S)
    raise RuntimeError(f"no picture within {START_S:g} s: {page.inner_text('#problem') or page.inner_text('#status')}")


def recorded(page: Any, seconds: float) -> Recording:
    """Record what a page shows and hears."""
    found = page.evaluate(RECORD, 1000 * seconds)
    face, camera = (_pictures(found[name]) for name in ("frames", "camera"))
    back, own = (_sound(found[name]) for name in ("back", "own"))
    return Recording(face, camera, back, own)


def _pictures(found: Sequence[dict[str, Any]]) -> Seen:
    frames = [
        np.asarray(Image.open(io.BytesIO(base64.b64decode(frame["picture"].split(",")[1]))).convert("RGB"))
        for frame in found
    ]
    stamps = np.array([frame["rtp"] for frame in found], np.float64)
    return Seen(np.array([frame["time"] for frame in found]) / 1000, (stamps - stamps[:1]) / 3600, frames)


def _sound(parts: Sequence[dict[str, Any]]) -> Heard:
    """Return sound at 48 kHz, and when it began if no part of it came earlier than it could."""
    if not parts:
        return Heard(np.zeros(0, np.float32), 0.0)
    samples = [np.frombuffer(base64.b64decode(part["data"]), np.int16) for part in parts]
    ends = np.cumsum([len(piece) for piece in samples]) / parts[0]["rate"]
    came = np.array([part["time"] for part in parts]) / 1000
    sound = np.concatenate(samples).astype(np.float32) / 32767
    if parts[0]["rate"] != RATE:
        at = np.arange(round(len(sound) * RATE / parts[0]["rate"])) / RATE * parts[0]["rate"]
        sound = np.interp(at, np.arange(len(sound)), sound).astype(np.float32)
    return Heard(sound, float((came - ends).min()))


def lips(frames: Sequence[np.ndarray]) -> np.ndarray:
    """Return (T,) how far the lips are apart in pictures of one face, IOD; NaN where no face is found."""
    landmarker, face, found = make_landmarker(), None, []
    upper, lower = INNER_LIPS
    for frame in frames:
        face = landmarker.track(frame, face)
        shape = None if face is None else normalise(face.landmarks)[0]
        found.append(np.nan if shape is None else float(np.linalg.norm(shape[upper] - shape[lower])))
    return np.array(found)


def matched(
    times: np.ndarray, values: np.ndarray, other_times: np.ndarray, others: np.ndarray,
    lags: tuple[float, float] = (0.0, MOST_LAG_S),
) -> tuple[float, float]:  # fmt: skip
    """Return how much later (s) a curve comes than another one, and their correlation (r) then.

    Args:
        times: (T,) s.
        values: (T,); NaN is left out, here and there.
        other_times: (N,) s, ascending.
        others: (N,).
        lags: s, least and greatest that is tried.
    """
    best = (0.0, -1.0)
    for lag in np.arange(lags[0], lags[1] + LAG_STEP_S, LAG_STEP_S):
        at = times - lag
        wanted = np.interp(at, other_times, others)
        there = (at >= other_times[0]) & (at <= other_times[-1]) & np.isfinite(values) & np.isfinite(wanted)
        if there.sum() < FEWEST or min(wanted[there].std(), values[there].std()) < 1e-6:
            continue
        r = float(np.corrcoef(values[there], wanted[there])[0, 1])
        best = max(best, (float(lag), r), key=lambda pair: pair[1])
    return best


def place(sound: np.ndarray, loop: np.ndarray) -> int:
    """Return at which sample of ``loop`` (N,), which goes on and on, ``sound`` begins."""
    part = np.resize(sound, len(loop)) if len(sound) >= len(loop) else np.pad(sound, (0, len(loop) - len(sound)))
    alike = np.fft.irfft(np.fft.rfft(loop) * np.fft.rfft(part).conj(), len(loop))
    return int(alike.argmax())


def acted(film: np.ndarray, shown: np.ndarray) -> np.ndarray:
    """Return (T,) a film's curve where its video shows these frames; NaN where the film eases from and to rest."""
    inside = film.copy()
    inside[:EASED], inside[-EASED:] = np.nan, np.nan
    return inside[np.minimum(shown, len(film) - 1)]


def same(frames: Sequence[np.ndarray], sources: Sequence[np.ndarray]) -> np.ndarray:
    """Return (T,) which of the sources each picture shows."""
    small = [np.stack([cv2.resize(one, THUMBNAIL).astype(np.float32) for one in some]) for some in (frames, sources)]
    return np.array([int(np.abs(small[1] - one).mean(axis=(1, 2, 3)).argmin()) for one in small[0]])


def y4m(frames: Sequence[np.ndarray], path: Path, fps: int = 25) -> Path:
    """Write pictures (H, W, 3) as the film that a fake camera shows."""
    height, width = frames[0].shape[:2]
    command = [
        ffmpeg_exe(), "-y", "-loglevel", "error", "-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{width}x{height}",
        "-r", str(fps), "-i", "pipe:0", "-pix_fmt", "yuv420p", str(path),
    ]  # fmt: skip
    subprocess.run(command, input=np.stack(frames).tobytes(), check=True)
    return path
