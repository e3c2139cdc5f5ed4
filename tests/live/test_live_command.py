"""``portrait-anim live``: sound through a pipe, a film out of another."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import EXAMPLES

from portrait_anim.audio.load import load_audio
from portrait_anim.motion.metrics import correlation
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
