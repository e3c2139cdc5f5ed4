"""Voices without a picture, and the detector that learns from them when the mouth has to rest."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

from portrait_anim.audio.load import load_audio
from portrait_anim.audio.vad import VoiceDetector, VoiceDetectorConfig, voice_gate
from portrait_anim.config import FEATURES_PER_FRAME, SAMPLE_RATE
from portrait_anim.errors import DataError
from portrait_anim.training.data.song import FRAME_MS, reverberate, sing
from portrait_anim.training.speech.detector import DetectorConfig, VoiceCorpus, export_detector, train_detector
from portrait_anim.training.speech.voices import N_RESTS, as_on_a_record, load_corpus, without_voice, write_corpus

pytestmark = pytest.mark.training


def tone(seconds: float) -> np.ndarray:
    """A buzzing voice of 140 Hz with pauses."""
    t = np.arange(int(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    buzz = sum(np.sin(2 * np.pi * 140 * k * t) / k for k in range(1, 20))
    return np.asarray(0.1 * buzz * (np.sin(2 * np.pi * 1.5 * t) > -0.5), np.float32)


def test_corpus_holds_what_may_be_trained_on(corpus: Path, tmp_path: Path) -> None:
    assert sorted(path.stem for path in (corpus / "voices").iterdir()) == ["a", "b"]
    assert sorted(path.stem for path in (corpus / "mixed").iterdir()) == ["a", "b"]
    with pytest.raises(DataError, match=r"index\.csv"):
        write_corpus(tmp_path, tmp_path)
    with pytest.raises(DataError, match="no recordings"):
        load_corpus(tmp_path)
    voice, mixed = (load_file(corpus / kind / "a.safetensors") for kind in ("voices", "mixed"))
    assert mixed["features"].shape == (len(voice["features"]), len(mixed["source"]))
    assert mixed["source"].max() < voice["features"].shape[1]
    assert voice["gate"].max() > 0.9  # the recording is speech


def test_held_notes_stand_still(speech: Path) -> None:
    words = load_audio(speech)[: 3 * SAMPLE_RATE]
    plain, held = sing(words, np.random.default_rng(0)), sing(words, np.random.default_rng(0), hold=1.0)
    assert len(held.waveform) > len(plain.waveform) + 2 * SAMPLE_RATE
    step = np.diff(held.source_s)
    still = step < 0.02 * FRAME_MS / 1000
    assert still.sum() * FRAME_MS / 1000 > 2
    assert np.all(step >= 0)


def test_reverberation_leaves_a_tail() -> None:
    click = np.zeros(SAMPLE_RATE, np.float32)
    click[100] = 1
    out = reverberate(click, np.random.default_rng(0), (0.5, 0.5), (0.5, 0.5))
    assert out[100] > 0.9
    assert 0 < np.abs(out[8000:]).max() < np.abs(out[101:2000]).max()
    assert np.abs(out[:100]).max() < 1e-6


def test_records_and_rests_depend_on_their_seed_alone() -> None:
    for seed in range(3):
        first, source = as_on_a_record(tone(4), np.random.default_rng(seed), [])
        again, _ = as_on_a_record(tone(4), np.random.default_rng(seed), [])
        np.testing.assert_array_equal(first, again)
        assert abs(len(first) / SAMPLE_RATE - len(source) / 50) < 0.1 or len(first) == 20 * SAMPLE_RATE
        rest = without_voice(np.random.default_rng(seed), [])
        assert rest.shape == (12 * SAMPLE_RATE,)
        assert np.abs(rest).max() > 0


def test_the_detector_learns_resumes_and_travels(corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = DetectorConfig(steps=40, batch_size=12, stretch_s=1.0, learning_rate=5e-3)
    stretches = VoiceCorpus(corpus, config)
    features, voice, known = stretches(0)
    assert features.shape == (12, len(stretches.mean), 25 * FEATURES_PER_FRAME)
    assert voice.shape == known.shape == (12, 25)
    assert 0 < voice.max() <= 1
    assert voice.amax(1).min() == 0  # sounds without a voice
    assert torch.equal(features, stretches(0)[0])
    sizes = VoiceDetectorConfig(len(stretches.mean), 16, (1, 2))
    figures: list[float] = []
    whole = train_detector(stretches, tmp_path / "w", config, sizes, lambda step, n, f: figures.append(f["voice"]))
    assert np.mean(figures[-8:]) < 0.7 * np.mean(figures[:8])

    def stop(step: int, n: int, f: dict[str, float]) -> None:
        if step == 15:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_detector(stretches, tmp_path / "h", config, sizes, stop, save_every=10)
    resumed = train_detector(stretches, tmp_path / "h", config, sizes, save_every=10)
    for name, value in whole.state_dict().items():
        torch.testing.assert_close(resumed.state_dict()[name], value)
    export_detector(whole, tmp_path / "voice_detector.safetensors")
    tensors = load_file(tmp_path / "voice_detector.safetensors")
    assert set(tensors) == set(whole.state_dict())


def test_the_gate_opens_on_the_odds_and_shuts_in_silence() -> None:
    torch.manual_seed(0)
    sound = 0.1 * torch.randn(4 * SAMPLE_RATE)
    odds = torch.full((100,), -8.0)
    odds[40:70] = 8
    gate = voice_gate(sound, odds)
    assert gate.shape == (100,)
    assert gate[45:65].min() > 0.99
    assert gate[:30].max() < 0.01
    assert gate[-20:].max() < 0.01
    assert voice_gate(1e-4 * sound, odds).max() < 0.01  # -80 dBFS


def test_the_shipped_detector_fits_the_encoders() -> None:
    detector = VoiceDetector.from_weights()
    odds = detector(torch.randn(2, detector.config.n_features, 20))
    assert odds.shape == (2, 10)
    assert N_RESTS > 100
