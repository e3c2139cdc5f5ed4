"""The Python interface: animate() and Animator on a real photo and real speech."""

from __future__ import annotations

import gc
import inspect
import itertools
import subprocess
import sys
import threading
import tracemalloc
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from conftest import ROOT
from PIL import Image

from portrait_anim import Animation, Animator, animate
from portrait_anim.drivers.voice import VoiceDriver
from portrait_anim.errors import NoFaceError, OptionError, OutputError
from portrait_anim.options import MotionOptions
from portrait_anim.provenance.record import Provenance
from portrait_anim.render.scene import Box
from portrait_anim.stages import draw, perform
from portrait_anim.system.threads import MAX_AHEAD
from portrait_anim.video.reader import probe, read_frames

pytestmark = pytest.mark.media


@pytest.fixture(scope="module")
def animator(small_astronaut: Path) -> Animator:
    return Animator(small_astronaut)


def stacked(animator: Animator, sound: Path, **options: float) -> np.ndarray:
    return np.stack(list(animator.frames(sound, **options)))  # type: ignore[arg-type]


def test_signature_is_the_promised_one() -> None:
    promised = {
        "photo": inspect.Parameter.empty, "audio": None, "output": None, "actor": None, "emotion": None,
        "head_motion": 1.0, "blinks": 1.0, "seed": 0, "face": None, "fps": 25, "max_size": None, "weights": "default",
        "device": "auto", "landmarker": "facemesh", "progress": None, "overwrite": False,
    }  # fmt: skip
    there = inspect.signature(animate).parameters
    assert {name: there[name].default for name in promised} == promised
    assert [name for name, one in there.items() if one.kind is not one.KEYWORD_ONLY] == ["photo", "audio", "output"]


def test_animate_from_memory(tmp_path: Path, small_astronaut: Path, second_of_speech: Path) -> None:
    samples, rate = soundfile.read(second_of_speech, dtype="float32")
    seen: list[tuple[int, int]] = []
    film = animate(
        Image.open(small_astronaut), (samples, rate), tmp_path / "film.mp4", seed=5, fps=30,
        progress=lambda done, total: seen.append((done, total)),
    )  # fmt: skip
    assert isinstance(film, Animation)
    assert (film.path, film.n_frames, film.fps, film.size, film.seed) == (tmp_path / "film.mp4", 30, 30, (256, 256), 5)
    assert film.duration_s == pytest.approx(1.0)
    assert len(film.motion) == 30
    assert film.motion.fps == 30
    assert seen == [(i, 30) for i in range(1, 31)]
    clip = probe(film.path)
    assert (clip.n_frames, clip.fps, clip.size, clip.has_audio) == (30, 30, (256, 256), True)


def test_same_seed_same_frames(animator: Animator, small_astronaut: Path, second_of_speech: Path) -> None:
    first = stacked(animator, second_of_speech, seed=1)
    assert first.shape == (25, 256, 256, 3)
    assert first.dtype == np.uint8
    np.testing.assert_array_equal(first, stacked(Animator(small_astronaut), second_of_speech, seed=1))
    assert (first != stacked(animator, second_of_speech, seed=2)).any()


def test_frames_are_the_films(animator: Animator, tmp_path: Path, second_of_speech: Path) -> None:
    film = animator.animate(second_of_speech, tmp_path / "film.mp4", seed=1)
    written = np.stack(list(read_frames(film.path))).astype(float)
    difference = written - stacked(animator, second_of_speech, seed=1)
    assert np.sqrt((difference**2).mean()) < 6  # grey levels, lost by the encoder


def test_the_mouth_moves_and_the_corner_does_not(animator: Animator, second_of_speech: Path) -> None:
    frames = stacked(animator, second_of_speech, head_motion=0, blinks=0).astype(int)
    x, y = animator.faces[0].landmarks[[13, 14], :2].mean(0).round().astype(int)
    assert np.ptp(frames[:, y - 3 : y + 10, x - 8 : x + 8], axis=0).mean() > 8
    assert (frames[:, -8:, :8] == frames[0, -8:, :8]).all()


def test_motion_options(animator: Animator, second_of_speech: Path) -> None:
    (still,) = animator.motions(second_of_speech, head_motion=0, blinks=0)
    assert not still.rotation.any()
    assert not still.shift.any()
    assert not still.blink.any()
    (lively,) = animator.motions(second_of_speech, head_motion=2, seed=3)
    assert np.abs(lively.rotation).max() > 0
    (other,) = animator.motions(second_of_speech, head_motion=0, blinks=0, seed=9)
    np.testing.assert_array_equal(still.mouth, other.mouth)
    assert np.ptp(still.mouth, axis=0).max() > 0.01


@pytest.mark.parametrize(("fps", "n_frames"), [(1, 1), (12.5, 12), (29.97, 30), (60, 60)])
def test_frame_rates(animator: Animator, second_of_speech: Path, fps: float, n_frames: int) -> None:
    (motion,) = animator.motions(second_of_speech, fps=fps)
    assert len(motion) == n_frames
    assert motion.fps == pytest.approx(fps, rel=1e-4)


def test_frames_come_one_by_one(animator: Animator, second_of_speech: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rendered = itertools.count(1)
    count = 0
    draw = animator._scene.draw

    def counting(*given: Any) -> Box:
        nonlocal count
        count = next(rendered)
        return draw(*given)

    monkeypatch.setattr(animator._scene, "draw", counting)
    frames = animator.frames(second_of_speech)
    next(frames)
    frames.close()
    assert 1 <= count <= MAX_AHEAD + 1
    assert not [thread.name for thread in threading.enumerate() if thread.name.startswith("render")]


class _StopError(Exception):
    pass


@pytest.mark.parametrize("error", [_StopError, KeyboardInterrupt])
def test_an_exception_on_the_way_leaves_nothing(
    animator: Animator, tmp_path: Path, second_of_speech: Path, error: type[BaseException]
) -> None:
    def stop(done: int, total: int) -> None:
        if done == 5:
            raise error

    with pytest.raises(error):
        animator.animate(second_of_speech, tmp_path / "film.mp4", progress=stop)
    assert not list(tmp_path.iterdir())


def test_an_exception_while_rendering_leaves_nothing(
    animator: Animator, tmp_path: Path, second_of_speech: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*given: Any) -> Box:
        raise _StopError

    monkeypatch.setattr(animator._scene, "draw", fail)
    with pytest.raises(_StopError):
        animator.animate(second_of_speech, tmp_path / "film.mp4")
    assert not list(tmp_path.iterdir())


def test_progress_names_its_steps_to_those_who_take_three_values(
    animator: Animator, tmp_path: Path, second_of_speech: Path
) -> None:
    said: list[tuple[str, int, int]] = []
    animator.animate(
        second_of_speech, tmp_path / "a.mp4", progress=lambda step, n, total: said.append((step, n, total))
    )
    names = [step for step, _, _ in said]
    assert list(dict.fromkeys(names)) == ["reading", "listening", "drawing", "signing"]
    for name in dict.fromkeys(names):
        counts = [(done, total) for step, done, total in said if step == name]
        assert counts[0][0] == 0
        assert counts[-1][0] == counts[-1][1]
    assert [done for step, done, _ in said if step == "drawing"] == list(range(26))
    frames: list[tuple[int, ...]] = []
    animator.animate(second_of_speech, tmp_path / "b.mp4", progress=lambda done, total: frames.append((done, total)))
    assert frames == [(done, 25) for done in range(1, 26)]
    frames = []
    animator.animate(second_of_speech, tmp_path / "c.mp4", progress=lambda *both: frames.append(both))
    assert frames == [(done, 25) for done in range(1, 26)]


def test_a_frame_knows_its_time_and_what_changed(animator: Animator, second_of_speech: Path) -> None:
    options = MotionOptions(fps=30)
    driver = VoiceDriver.load([second_of_speech], 1, animator._nets, options)
    record = Provenance.of(animator._scene.facts, driver.facts(options), options)
    marker = record.marker(animator._scene.still, 30)
    still = marker.mark(animator._scene.still)
    motions = perform(driver, animator._targets, options, animator._scene)
    frames = list(draw(motions, animator._nets.space, animator._scene, marker))
    assert [frame.time_s for frame in frames] == pytest.approx([i / 30 for i in range(30)])
    for frame in frames:
        x0, y0, x1, y1 = frame.box
        outside = np.ones(still.shape[:2], bool)
        outside[y0:y1, x0:x1] = False
        assert 0 < outside.mean() < 1
        np.testing.assert_array_equal(frame.pixels[outside], still[outside])


def test_motion_is_drawn_without_loading_speech_nets(small_astronaut: Path, tmp_path: Path) -> None:
    code = f"""
import sys
from portrait_anim.face.choose import choose_faces
from portrait_anim.face.detect import shared_landmarker
from portrait_anim.face.photo import load_photo
from portrait_anim.motion.space import Motion, MotionSpace
from portrait_anim.render.group import Group
photo = load_photo({str(small_astronaut)!r})
scene = Group(photo, choose_faces(photo, shared_landmarker()))
space, motion = MotionSpace.from_weights(), Motion.rest(3)
motion.blink[1] = 1
out = scene.still.copy()
scene.draw([space.state(motion, 1)], 0.04, out)
print((out != scene.still).any(), 'torch' in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.split() == ["True", "False"]


def test_default_name_and_overwrite(
    animator: Animator, tmp_path: Path, second_of_speech: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    film = animator.animate(second_of_speech)
    assert film.path == Path("small_second.mp4")
    before = film.path.read_bytes()
    with pytest.raises(OutputError, match="exists already"):
        animator.animate(second_of_speech)
    assert film.path.read_bytes() == before
    animator.animate(second_of_speech, seed=4, overwrite=True)
    assert film.path.read_bytes() != before


def test_silence_gives_a_resting_mouth(animator: Animator) -> None:
    (motion,) = animator.motions((np.zeros(24_000, np.float32), 24_000))
    assert len(motion) == 25
    assert np.abs(motion.mouth).max() < 0.02  # IOD


def test_every_kind_of_sound_array(animator: Animator, second_of_speech: Path) -> None:
    samples, rate = soundfile.read(second_of_speech, dtype="int16")
    from_file = animator.motions(second_of_speech)[0].mouth
    stereo = np.stack([samples, samples], axis=1)
    for given in ((samples, rate), (stereo, rate), (samples / 32768, rate)):
        np.testing.assert_allclose(animator.motions(given)[0].mouth, from_file, atol=1e-3)


def test_options_are_checked_before_anything_is_read(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="head_motion 5"):
        animate("gone.jpg", "gone.wav", tmp_path / "film.mp4", head_motion=5)
    with pytest.raises(OutputError, match="must end in"):
        animate("gone.jpg", "gone.wav", tmp_path / "film.avi")


def test_no_face_in_an_array() -> None:
    with pytest.raises(NoFaceError, match="no face found in the picture"):
        Animator(np.full((128, 128, 3), 90, np.uint8))


@pytest.mark.parametrize(
    "options",
    [
        {"fps": np.float32(25), "seed": np.uint8(3), "blinks": np.float64(1), "head_motion": np.float16(0.5)},
        {"fps": np.int64(25), "seed": np.int16(3), "blinks": np.uint8(1), "head_motion": Fraction(1, 2)},
        {"fps": Fraction(25), "seed": np.array(3), "blinks": Decimal(1), "head_motion": np.array(0.5, np.float32)},
    ],
)
def test_numbers_of_any_type(options: dict[str, Any], animator: Animator, tmp_path: Path) -> None:
    plain = {"fps": 25, "seed": 3, "blinks": 1, "head_motion": 0.5}
    sound = (np.sin(np.arange(9600) * 0.05), np.int32(16_000))
    film = animator.animate(sound, tmp_path / "film.mp4", **options)
    assert (type(film.fps) in (int, float), type(film.seed), film.seed) == (True, int, 3)
    for one, other in zip(animator.frames(sound, **options), animator.frames(sound, **plain), strict=True):
        np.testing.assert_array_equal(one, other)
    live = {name: value for name, value in options.items() if name != "fps"}
    assert len(list(animator.live([sound[0]], **live))) == 15
    assert len(animator.motions(sound, **options)[0]) == 15


@pytest.mark.parametrize("which", [np.int64(1), np.array([1]), [np.uint8(1)], (1,), np.array(1), np.str_("all")])
def test_faces_of_any_type(which: Any, small_astronaut: Path) -> None:
    animator = Animator(small_astronaut, face=which, max_size=np.int32(128), weights=np.str_("open"))
    assert animator.size == (128, 128)
    assert len(animator.faces) == 1


@pytest.mark.parametrize(
    "options",
    [
        {"fps": np.bool_(True)}, {"fps": 25j}, {"fps": "25"}, {"fps": np.array([25, 25])}, {"fps": Decimal("NaN")},
        {"seed": np.float64(1)}, {"seed": np.bool_(False)}, {"seed": None}, {"blinks": np.float32("nan")},
        {"head_motion": Decimal("sNaN")}, {"head_motion": [1.0]}, {"blinks": np.zeros(1000)}, {"seed": Decimal(1)},
    ],
)  # fmt: skip
def test_what_is_no_such_number_is_one_line(options: dict[str, Any], animator: Animator) -> None:
    name = next(iter(options))
    with pytest.raises(OptionError, match=rf"^{name} .* is out of range: give a (whole )?number [^\n]*$"):
        animator.motions((np.zeros(9600), 16_000), **options)


def test_what_is_no_face_is_one_line(small_astronaut: Path) -> None:
    for which in (np.array([]), np.array([[1]]), 1.0, np.bool_(True), [1, np.int8(1)], {1}, np.float32(1)):
        with pytest.raises(OptionError, match=r"^face [^\n]*$"):
            Animator(small_astronaut, face=which)  # type: ignore[arg-type]


def test_the_sound_is_not_kept_while_the_film_is_drawn(animator: Animator, tmp_path: Path) -> None:
    """No block of memory of its size is there; an hour takes 230 MB."""
    samples = (np.sin(np.arange(99_999) * 0.05) * 0.3).astype(np.float32)
    found = []

    def look(done: int, total: int) -> None:
        if done == 1:
            gc.collect()
            found.append(sum(trace.size == samples.nbytes for trace in tracemalloc.take_snapshot().traces))

    tracemalloc.start()
    try:
        animator.animate((samples, 16_000), tmp_path / "film.mp4", fps=1, progress=look)
    finally:
        tracemalloc.stop()
    assert found == [0]
