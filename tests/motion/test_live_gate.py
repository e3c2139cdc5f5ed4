"""One gate for films and live: what is tuned in its config reaches both, and nothing leaks in silence and noise."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import numpy.typing as npt
import pytest
import torch
from conftest import EXAMPLES

from portrait_anim.audio.load import load_audio
from portrait_anim.audio.vad import WHOLE_ONLY, GateConfig, voice_gate
from portrait_anim.config import FPS, SAMPLE_RATE
from portrait_anim.motion.model import MotionModel
from portrait_anim.motion.streaming import LiveGate

pytestmark = pytest.mark.media

CHANGED = {
    "average_s": 2.0, "threshold": 4.0, "softness": 3.0, "level_s": 0.12, "silent_dbfs": -35.0, "heard_dbfs": -22.0,
    "hold_s": 0.4, "attack_s": 0.4, "release_s": 0.8,
}  # fmt: skip

Track = npt.NDArray[np.float32]


@pytest.fixture(scope="module")
def model() -> MotionModel:
    return MotionModel.from_weights()


@pytest.fixture(scope="module")
def sound() -> Track:
    """Speech, a pause, the same much softer, a pause."""
    speech = load_audio(EXAMPLES / "speech.flac")[SAMPLE_RATE : 3 * SAMPLE_RATE]
    pause = np.zeros(SAMPLE_RATE, np.float32)
    return np.concatenate([speech, pause, 0.05 * speech, pause])


def live(model: MotionModel, sound: Track) -> Track:
    mouth = model.live_mouth()
    parts = [mouth.push(sound[i : i + 5000])[0] for i in range(0, len(sound), 5000)]
    return np.concatenate([*parts, mouth.push(sound[:0], last=True)[0]])


def test_all_fields_are_changed_here() -> None:
    assert WHOLE_ONLY == ("average_s",)
    assert set(CHANGED) == {field.name for field in fields(GateConfig)}


@pytest.mark.parametrize("name", CHANGED)
def test_fields_reach_films_and_live(model: MotionModel, sound: Track, name: str) -> None:
    whole, streamed = model.analyse(sound).mouth, live(model, sound)
    tuned = MotionModel(
        model.speech, model.vad, model.net, model.upper, model.space, model.ears,
        gate=replace(GateConfig(), **{name: CHANGED[name]}),
    )  # fmt: skip
    assert np.abs(tuned.analyse(sound).mouth - whole).max() > 0.005
    change = np.abs(live(tuned, sound) - streamed).max()
    assert change == 0 if name in WHOLE_ONLY else change > 0.005


@pytest.mark.parametrize("odds", [-6.0, 0.0, 1.5, 3.0, 8.0])
@pytest.mark.parametrize("dbfs", [-70.0, -56.0, -20.0])
def test_what_lasts_opens_live_as_far_as_films(odds: float, dbfs: float) -> None:
    n_frames = 3 * FPS
    waveform = torch.full((n_frames * 640,), 10 ** (dbfs / 20)) * torch.tensor([1.0, -1.0]).repeat(n_frames * 320)
    film = voice_gate(waveform, torch.full((n_frames,), odds))
    gate, voice = LiveGate(), float(torch.sigmoid(torch.tensor(odds)))
    streamed = [gate(voice, 10 ** (dbfs / 20)) for _ in range(n_frames)]
    assert streamed[-1] == pytest.approx(float(film[n_frames // 2]), abs=2e-3)


def test_live_holds_after_a_voice_as_films_do() -> None:
    config = GateConfig(average_s=0.0, level_s=0.2)
    odds = torch.full((60,), -12.0)
    odds[20:40] = 12.0
    film = voice_gate(torch.randn(60 * 640, generator=torch.Generator().manual_seed(0)) * 0.1, odds, config)
    gate = LiveGate(config)
    streamed = np.array([gate(float(torch.sigmoid(value)), 0.1) for value in odds])
    np.testing.assert_allclose(streamed[22:], film[22:], atol=2e-3)
    assert streamed[:20].max() < 1e-3  # it knows no future


def test_nothing_leaks_in_silence_and_faint_noise(model: MotionModel) -> None:
    rng = np.random.default_rng(0)
    for level in (0.0, 5e-4):
        quiet = (level * rng.standard_normal(4 * SAMPLE_RATE)).astype(np.float32)
        assert np.abs(live(model, quiet)).max() == 0
    loud = (0.1 * rng.standard_normal(6 * SAMPLE_RATE)).astype(np.float32)
    assert np.percentile(np.abs(model.space.aperture(live(model, loud))), 95) < 0.02
