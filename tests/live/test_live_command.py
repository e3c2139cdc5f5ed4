"""``portrait-anim live``: sound through a pipe, a film out of another."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile
from conftest import EXAMPLES

from portrait_anim.audio.load import load_audio
from portrait_anim.motion.arkit import VALUES
from portrait_anim.motion.livelink_packet import decode, encode
from portrait_anim.motion.metrics import correlation
from portrait_anim.provenance.verify import verify
from portrait_anim.provenance.watermark import read_mark
from portrait_anim.video.reader import probe, read_frames

pytestmark = pytest.mark.package

PHOTO = EXAMPLES / "astronaut.jpg"
COMMAND = [sys.executable, "-m", "portrait_anim", "live", str(PHOTO), "--size", "256"]


@pytest.fixture(scope="module")
def speech() -> np.ndarray:
    return load_audio(EXAMPLES / "speech.flac")[: 3 * 16_000]


def test_a_pipe_of_sound_becomes_a_film_with_that_sound_and_the_mark(speech: np.ndarray, tmp_path: Path) -> None:
    data = (speech * 32767).astype("<i2").tobytes()
    done = subprocess.run(COMMAND, input=data, capture_output=True, timeout=180)
    assert done.returncode == 0, done.stderr.decode()
    film = tmp_path / "film.mp4"
    film.write_bytes(done.stdout)
    assert 3.0 < probe(film).duration_s < 8.0
    heard = load_audio(film)
    lag = np.correlate(heard, speech, "valid").argmax()
    assert correlation(heard[lag : lag + len(speech)], speech) > 0.95
    frames = list(read_frames(film))
    moving = np.abs(np.diff(np.stack(frames).astype(np.int16), axis=0)).mean(axis=(1, 2, 3))
    assert moving.max() > 0.1
    assert read_mark(frames).found


def test_a_file_into_a_file_and_raw_pictures(speech: np.ndarray, tmp_path: Path) -> None:
    film = tmp_path / "film.y4m"
    arguments = ["--input", str(EXAMPLES / "speech.flac"), "--output", str(film), "--format", "y4m"]
    done = subprocess.run([*COMMAND, *arguments], capture_output=True, timeout=180)
    assert done.returncode == 0, done.stderr.decode()
    assert film.read_bytes().startswith(b"YUV4MPEG2 W256 H256 F25:1")
    again = subprocess.run([*COMMAND, *arguments], capture_output=True, timeout=180)
    assert again.returncode == 2
    assert b"is there already" in again.stderr


def test_what_the_page_cannot_do_is_one_line(tmp_path: Path) -> None:
    for arguments, said in (
        (["--input", "mic", "--output", "film.mp4"], b"needs --output page"),
        (["--input", "-", "--output", "page"], b"hears no pipe"),
        (["--input", "camera", "--sessions", "0"], b"sessions"),
    ):
        done = subprocess.run([*COMMAND, *arguments], capture_output=True, timeout=180, cwd=tmp_path)
        assert done.returncode == 2
        if b"portrait-anim[live]" not in done.stderr:  # where aiortc is missing, that is what is told
            assert said in done.stderr
        assert done.stderr.count(b"error:") == 1
        assert not list(tmp_path.iterdir())


def test_a_reader_that_goes_away_ends_it(speech: np.ndarray) -> None:
    data = (np.tile(speech, 10) * 32767).astype("<i2").tobytes()
    with subprocess.Popen(COMMAND, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        child.stdin.write(data)
        child.stdin.close()
        assert child.stdout.read(100)
        child.stdout.close()
        assert child.wait(timeout=60) == 141


def test_a_live_film_is_recorded_and_signed_and_its_curves_are_sent(speech: np.ndarray, tmp_path: Path) -> None:
    sound, film = tmp_path / "sound.wav", tmp_path / "film.mp4"
    soundfile.write(sound, np.concatenate([np.zeros(8000), speech]), 16_000)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as ear:
        ear.bind(("127.0.0.1", 0))
        to = f"udp://127.0.0.1:{ear.getsockname()[1]}"
        arguments = ["--input", str(sound), "--record", str(film), "--curves", to]
        done = subprocess.run([*COMMAND, *arguments], capture_output=True, timeout=180)
        assert done.returncode == 0, done.stderr.decode()
        assert done.stdout == b""
        ear.settimeout(1)
        assert decode(ear.recv(2048)).values is not None
    found = verify(film)
    assert found.manifest.valid
    assert found.manifest.ours
    assert found.mark.found
    assert found.mark.content_id == found.manifest.content_id
    assert sorted(path.name for path in tmp_path.iterdir()) == ["film.mp4", "sound.wav"]
    again = subprocess.run([*COMMAND, *arguments], capture_output=True, timeout=180)
    assert again.returncode == 2
    assert b"film.mp4" in again.stderr


def test_ctrl_c_closes_a_recording_well(speech: np.ndarray, tmp_path: Path) -> None:
    film = tmp_path / "film.mp4"
    data = (np.tile(speech, 20) * 32767).astype("<i2").tobytes()
    with subprocess.Popen([*COMMAND, "--record", str(film)], stdin=subprocess.PIPE, stderr=subprocess.PIPE) as child:
        assert child.stdin is not None
        child.stdin.write(data)
        child.stdin.flush()
        for _ in range(600):
            if any(path.stat().st_size > 10_000 for path in tmp_path.iterdir()):  # frames are being written
                break
            time.sleep(0.1)
        child.send_signal(signal.SIGINT)
        assert child.wait(timeout=60) == 0
    assert [path.name for path in tmp_path.iterdir()] == ["film.mp4"]
    assert verify(film).manifest.valid
    assert 0.2 < probe(film).duration_s < 40


def test_a_phone_drives_the_photo_until_ctrl_c(tmp_path: Path) -> None:
    film = tmp_path / "film.mp4"
    arguments = ["--input", "udp://127.0.0.1:0", "--record", str(film)]
    refused = subprocess.run([*COMMAND, *arguments], capture_output=True, timeout=60)
    assert refused.returncode == 2
    assert b"HOST:PORT" in refused.stderr
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        one.bind(("127.0.0.1", 0))
        port = one.getsockname()[1]
    arguments[1] = f"udp://127.0.0.1:{port}"
    with (
        subprocess.Popen([*COMMAND, *arguments], stdin=subprocess.PIPE, stderr=subprocess.PIPE) as child,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as phone,
    ):
        for i in range(2000):
            shown = dict.fromkeys(VALUES, 0.0) | {"JawOpen": 0.7 * (i % 40 > 20)}
            phone.sendto(encode(shown, device="0" * 36, subject="phone", number=i, fps=60), ("127.0.0.1", port))
            if any(path.stat().st_size > 40_000 for path in tmp_path.iterdir()):
                break
            time.sleep(0.03)
        child.send_signal(signal.SIGTERM)
        assert child.wait(timeout=60) == 0
    frames = np.stack(list(read_frames(film))).astype(np.int16)
    assert np.abs(frames - frames[0]).mean(axis=(1, 2, 3)).max() > 0.5


def test_a_camera_that_is_not_there_is_one_line() -> None:
    done = subprocess.run(
        [*COMMAND, "--output", "camera", "--input", str(EXAMPLES / "speech.flac")], capture_output=True, timeout=120
    )
    if done.returncode == 0:
        pytest.skip("this machine has a virtual camera")
    assert done.returncode == 2
    assert done.stderr.decode().count("\n") == done.stderr.decode().count("note:") + 1
    assert b"camera" in done.stderr
