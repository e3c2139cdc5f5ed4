"""Motion: the space, the upper face, and the shipped models on real sound."""

import numpy as np
import pytest
from conftest import EXAMPLES

from portrait_anim.audio.load import load_audio
from portrait_anim.config import SAMPLE_RATE
from portrait_anim.errors import OptionError
from portrait_anim.face.mesh import BROW_LEFT, EYE_LEFT, FACE_OVAL
from portrait_anim.motion.limits import FURTHEST_TURN
from portrait_anim.motion.model import MotionModel, SoundAnalysis
from portrait_anim.motion.space import Motion, MotionSpace, brow_fields, lower_face_weight, neutral_face
from portrait_anim.options import WEIGHT_SETS

pytestmark = pytest.mark.media


@pytest.fixture(scope="module")
def model() -> MotionModel:
    return MotionModel.from_weights()


@pytest.fixture(scope="module")
def speech() -> np.ndarray:
    return load_audio(EXAMPLES / "speech.flac")


def random_space(rng: np.random.Generator, n_components: int = 5) -> MotionSpace:
    weighted = rng.standard_normal((n_components, 478, 3)) * lower_face_weight()[:, None]
    q, _ = np.linalg.qr(weighted.reshape(n_components, -1).T)
    return MotionSpace(q.T.reshape(n_components, 478, 3))


def test_encode_inverts_decode_for_what_the_basis_holds() -> None:
    space = MotionModel.from_weights().space
    flat = space.basis.reshape(space.n_components, -1)
    np.testing.assert_allclose(flat @ flat.T, np.eye(space.n_components), atol=1e-4)


def test_aperture_is_the_decoded_points_distance() -> None:
    rng = np.random.default_rng(0)
    space = random_space(rng)
    mouth = rng.standard_normal((7, 5)).astype(np.float32)
    moved = space.decode(mouth)
    np.testing.assert_allclose(space.aperture(mouth), moved[:, 13, 1] - moved[:, 14, 1], atol=1e-5)
    np.testing.assert_allclose(space.width(mouth), moved[:, 291, 0] - moved[:, 61, 0], atol=1e-5)


def test_brows_leave_the_eyes_and_the_jaw_alone() -> None:
    fields = brow_fields()
    assert fields[:, list(EYE_LEFT)].max() < 0.05
    assert fields[:, FACE_OVAL[18]].max() == 0
    assert fields[:, list(BROW_LEFT), 1].max() > 0.9


def test_neutral_is_the_most_closed_frames() -> None:
    points = np.zeros((20, 478, 3), np.float32)
    points[:, 13, 1] = np.arange(20)
    np.testing.assert_allclose(neutral_face(points)[13, 1], 1.0)  # the mean of 0, 1 and 2


def test_resampled_keeps_duration_and_shape() -> None:
    motion = Motion.rest(50)
    motion.mouth[:, 0] = np.sin(np.arange(50) / 8)
    doubled = motion.resampled(50)
    assert len(doubled) == 100
    back = doubled.resampled(25)
    np.testing.assert_allclose(back.mouth[1:-1], motion.mouth[1:-1], atol=0.01)


@pytest.mark.parametrize("name", WEIGHT_SETS)
def test_silence_and_faint_noise_rest(name: str) -> None:
    model = MotionModel.from_weights(name)
    rng = np.random.default_rng(0)
    for waveform in (np.zeros(48_000, np.float32), (rng.standard_normal(48_000) * 5e-4).astype(np.float32)):
        assert np.abs(model.space.aperture(model.motion(waveform).mouth)).max() < 0.01


def test_speech_opens_and_closes_the_mouth(model: MotionModel, speech: np.ndarray) -> None:
    opening = model.space.aperture(model.motion(speech).mouth)
    assert len(opening) == round(len(speech) / 640)
    assert np.percentile(opening, 95) > 0.1
    assert np.percentile(opening, 5) < 0.02


def test_a_pause_shuts_the_mouth(model: MotionModel, speech: np.ndarray) -> None:
    sound = np.concatenate([speech[:48_000], np.zeros(48_000, np.float32), speech[:48_000]])
    opening = model.space.aperture(model.motion(sound).mouth)
    assert np.abs(opening[90:135]).max() < 0.01


@pytest.mark.parametrize("name", ["default", "open"])
def test_loud_noise_and_hum_and_chords_move_no_mouth(name: str) -> None:
    model = MotionModel.from_weights(name)
    rng = np.random.default_rng(0)
    seconds = np.arange(6 * 16_000) / 16_000
    white = 0.1 * rng.standard_normal(len(seconds))
    hum = sum(0.1 * np.sin(2 * np.pi * 50 * k * seconds) / k for k in range(1, 6))
    chord = sum(0.05 * np.sin(2 * np.pi * f * seconds) * np.exp(-2 * (seconds % 0.5)) for f in (220, 277, 330, 440))
    for sound in (white, hum, chord):
        mouth = model.analyse(sound.astype(np.float32)).mouth
        assert np.percentile(model.space.aperture(mouth), 95) < 0.02
        assert (model.space.aspect(mouth) > 0.25).mean() <= 0.01


def test_mouth_does_not_depend_on_the_seed_and_the_rest_does(model: MotionModel, speech: np.ndarray) -> None:
    a, b, again = model.motion(speech, seed=1), model.motion(speech, seed=2), model.motion(speech, seed=1)
    np.testing.assert_array_equal(a.mouth, b.mouth)
    assert np.abs(a.rotation - b.rotation).max() > 0.01
    for name, track in a.tracks().items():
        np.testing.assert_array_equal(track, getattr(again, name))


def test_still_head_and_no_blinks(model: MotionModel, speech: np.ndarray) -> None:
    motion = model.motion(speech, head_motion=0, blinks=0)
    for track in (motion.rotation, motion.shift, motion.brows, motion.gaze, motion.blink):
        assert not track.any()


def test_unknown_weights() -> None:
    with pytest.raises(OptionError, match="default, open"):
        MotionModel.from_weights("best")


@pytest.fixture(scope="module")
def minutes(model: MotionModel, speech: np.ndarray) -> list[Motion]:
    """Five films of about a minute each, of the same voice."""
    return [model.motion(np.tile(speech, 1 + 60 * 16_000 // len(speech)), seed=seed) for seed in range(5)]


def test_blinks_have_human_rate_and_length(minutes: list[Motion]) -> None:
    shut = [motion.blink[:, 0] > 0.5 for motion in minutes]
    starts = [int((lids[1:] & ~lids[:-1]).sum()) for lids in shut]
    rate = sum(starts) / (sum(map(len, shut)) / 25)
    assert 0.2 <= rate <= 0.8
    assert 0.06 <= sum(lids.sum() for lids in shut) / 25 / sum(starts) <= 0.4
    assert len({lids.tobytes() for lids in shut}) == len(shut)  # never in phase with another seed


def test_more_and_fewer_blinks(model: MotionModel, speech: np.ndarray) -> None:
    sound = model.analyse(np.tile(speech, 8))

    def count(blinks: float) -> int:
        shut = np.concatenate([model.motion(sound, seed=seed, blinks=blinks).blink[:, 0] > 0.5 for seed in range(3)])
        return int((shut[1:] & ~shut[:-1]).sum())

    assert count(0) == 0 < count(0.3) < count(1) < count(2.5)


def test_head_starts_and_ends_at_rest_and_does_not_drift(model: MotionModel, speech: np.ndarray) -> None:
    sound = np.tile(speech, 1 + 600 * 16_000 // len(speech))[: 600 * 16_000]
    latents = np.tile(model.analyse(speech).latents, (1 + len(sound) // len(speech), 1))
    motion = model.motion(SoundAnalysis(sound, np.zeros((len(latents), 16), np.float32), latents))
    for track in (motion.rotation, motion.shift, motion.gaze, motion.blink):
        assert not track[[0, -1]].any()
    assert (np.abs(motion.rotation) <= FURTHEST_TURN).all()
    n = len(motion) // 10
    by_minute = motion.rotation[: 10 * n].reshape(10, n, 3).mean(1)
    assert np.abs(by_minute).max() < np.deg2rad(2.5)
    assert np.abs(by_minute[:5].mean(0) - by_minute[5:].mean(0)).max() < np.deg2rad(1)


def test_head_motion_scales_head_and_brows(model: MotionModel, speech: np.ndarray) -> None:
    still, natural, lively = (model.motion(speech, head_motion=amount) for amount in (0.5, 1, 2))
    spread = [motion.rotation.std(0) for motion in (still, natural, lively)]
    assert (spread[0] < spread[1]).all()
    assert (spread[1] < spread[2]).all()
    assert (natural.brows.std(0) < lively.brows.std(0)).all()
    assert not model.motion(speech, head_motion=0).brows.any()


def test_another_face_moves_otherwise_but_not_its_mouth(model: MotionModel, speech: np.ndarray) -> None:
    average = model.upper.shape_mean.numpy().reshape(478, 3)
    wide = average * [1.0, 1.06, 1.0]
    a, b = model.motion(speech, shape=average), model.motion(speech, shape=wide)
    np.testing.assert_array_equal(a.mouth, b.mouth)
    assert np.abs(a.brows - b.brows).max() > 1e-4
    np.testing.assert_allclose(model.motion(speech).brows, a.brows, atol=1e-5)  # none given: the average


def test_long_sound_is_heard_in_windows_that_do_not_show(model: MotionModel, speech: np.ndarray) -> None:
    long = np.resize(speech, 180 * SAMPLE_RATE)
    whole = model.space.aperture(model.analyse(long).mouth)
    assert len(whole) == 180 * 25
    # the same sound given up to 100 s: windows begin at fixed times, so all but the last hear the same
    part = model.space.aperture(model.analyse(long[: 100 * SAMPLE_RATE]).mouth)
    same = 80 * 25  # begin of its last window
    assert np.abs(whole[:same] - part[:same]).max() < 0.01
    # nothing jumps where windows meet: there the lips move as they do elsewhere
    step = np.abs(np.diff(whole))
    seams = np.concatenate([step[int(s * 25) : int((s + 4) * 25)] for s in range(16, 164, 16)])
    assert np.percentile(seams, 99) < 1.15 * np.percentile(step, 99)
    assert seams.max() < 1.3 * step.max()
