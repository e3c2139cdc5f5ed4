"""The page in a real Chromium whose microphone and camera are files; skipped where a part of it is missing."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from conftest import EXAMPLES, ROOT
from PIL import Image

sys.path.append(str(ROOT / "benchmarks"))
import browser
import live

from portrait_anim import Animator
from portrait_anim.audio.load import load_audio
from portrait_anim.config import FPS
from portrait_anim.video.reader import read_frames

pytestmark = [
    pytest.mark.media,
    pytest.mark.skipif(browser.missing() is not None, reason=str(browser.missing())),
]

SIZE = 256
PHONE = {"width": 360, "height": 740}
RECORDED_S = 8.0
LEAST = 0.7  # share of the frames that must have been shown for a comparison of curves


@pytest.fixture(scope="module")
def photo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("photo") / "photo.png"
    Image.fromarray(live.closeup(EXAMPLES / "astronaut.jpg", SIZE)).save(path)
    return path


@pytest.fixture(scope="module")
def microphone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    import soundfile
    import soxr

    path = tmp_path_factory.mktemp("sound") / "microphone.wav"
    speech = load_audio(EXAMPLES / "speech.flac")
    soundfile.write(path, soxr.resample(speech, 16_000, browser.RATE), browser.RATE, "PCM_16")
    return path


@pytest.fixture(scope="module")
def acting() -> list[np.ndarray]:
    return list(read_frames(EXAMPLES / "address.mp4", FPS, 640))


@pytest.fixture(scope="module")
def address(photo: Path) -> Iterator[str]:
    with browser.served(str(photo), "--input", "mic", "--size", str(SIZE), "--sessions", "1") as (_, address):
        yield address


def in_time(found: browser.Recording) -> None:
    """Skip a test of real time where the machine had none."""
    if (n_frames := len(found.face.frames)) < LEAST * RECORDED_S * FPS:
        pytest.skip(f"this machine is too busy for a live face: it showed {n_frames / RECORDED_S:.0f} frames a second")


def test_a_microphone_moves_the_lips_with_the_sound_that_comes_back(
    address: str, photo: Path, microphone: Path, tmp_path: Path
) -> None:
    with browser.chromium(microphone) as chromium:
        page = chromium.new_page(viewport=PHONE)
        browser.start(page, address)
        page.wait_for_timeout(3000)
        found = browser.recorded(page, RECORDED_S)
        assert "ms" in page.inner_text("#delay")
        assert float(page.inner_text("#fps")) > 0
        page.select_option("#emotion", "happy")
        page.select_option("#gaze", "photo")
        page.wait_for_timeout(1000)
        assert page.locator("#problem").is_hidden()
        page.get_by_role("button", name="Hang up").click()
        assert page.inner_text("#status") == "Hung up."
    in_time(found)
    # the same nets, given the sound that came back: what is left out on a slow machine is left out there, too
    heard = found.back.samples[::3]
    film = browser.lips(list(Animator(photo).live([heard])))
    times = found.back.start_s + (np.arange(len(film)) + 0.5) / FPS
    late_s, r = browser.matched(found.face.times, browser.lips(found.face.frames), times, film, lags=(-0.3, 0.3))
    assert r > 0.85, (r, late_s, len(found.face.frames))
    assert abs(late_s) < 0.1
    speech = load_audio(EXAMPLES / "speech.flac")
    assert np.corrcoef(np.sort(np.abs(speech[: len(heard)])), np.sort(np.abs(heard[: len(speech)])))[0, 1] > 0.8


def test_a_camera_moves_the_face_as_the_film_of_the_same_video_does(
    address: str, photo: Path, acting: list[np.ndarray], tmp_path: Path
) -> None:
    camera = browser.y4m(acting, tmp_path / "camera.y4m")
    with browser.chromium(None, camera) as chromium:
        page = chromium.new_page(viewport=PHONE)
        browser.start(page, address, "camera")
        page.wait_for_timeout(8000)  # once through: the lips have been shut
        found = browser.recorded(page, RECORDED_S)
        page.get_by_role("button", name="Hang up").click()
    in_time(found)
    film = browser.lips(list(Animator(photo).frames(actor=EXAMPLES / "address.mp4")))
    wanted = browser.acted(film, browser.same(found.camera.frames, acting))
    made = browser.lips(found.face.frames)
    late_s, r = browser.matched(found.face.times, made, found.camera.times, wanted)
    if r <= 0.9:
        pytest.xfail(
            f"the aim of r .9 was not reached here: {r:.2f} at {late_s:.2f} s, {len(found.face.frames)} frames"
        )
    assert late_s < 0.6


def started_again(page: Any, address: str) -> None:
    """Start while an earlier call may still be there; at most half a minute later it is gone."""
    page.goto(address)
    for _ in range(20):
        page.get_by_role("button", name="Start").click()
        page.wait_for_timeout(1500)
        if not page.inner_text("#problem"):
            break
        assert "1 calls go on" in page.inner_text("#problem")
    assert not page.inner_text("#problem")


def test_a_killed_browser_and_a_closed_tab_free_the_only_call(address: str, microphone: Path) -> None:
    for _ in range(2):
        with browser.chromium(microphone) as chromium:
            page = chromium.new_page(viewport=PHONE)
            started_again(page, address)
            page.close()
            page = chromium.new_page(viewport=PHONE)
            started_again(page, address)
            own = [one for one in psutil.process_iter() if str(browser.CHROMIUM.stem) in one.name()]
            for one in psutil.Process().children(recursive=True):
                if one in own:
                    one.kill()
    with browser.chromium(microphone) as chromium:
        started_again(chromium.new_page(viewport=PHONE), address)


def test_the_page_says_when_something_is_missing_and_fits_a_phone(address: str) -> None:
    with browser.chromium(allowed=False) as chromium:
        page = chromium.new_page(viewport=PHONE)
        page.goto(address)
        for name in ("Start", "Hang up"):
            box = page.get_by_role("button", name=name).bounding_box()
            assert box is not None
            assert box["x"] >= 0
            assert box["x"] + box["width"] <= PHONE["width"]
            assert box["y"] + box["height"] <= PHONE["height"]
            assert box["height"] >= 44  # px, of a finger
        assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
        page.get_by_role("button", name="Start").click()
        page.locator("#problem:not([hidden])").wait_for(timeout=20_000)
        assert "not allowed to use the microphone" in page.inner_text("#problem")
        assert page.get_by_role("button", name="Start").is_enabled()
        assert page.get_by_role("button", name="Hang up").is_disabled()
    with browser.chromium(devices=False) as chromium:
        page = chromium.new_page(viewport=PHONE)
        for source in ("microphone", "camera"):
            page.goto(address)
            page.select_option("#source", source)
            page.get_by_role("button", name="Start").click()
            page.locator(f"#problem:has-text('No {source} was found')").wait_for(timeout=20_000)
