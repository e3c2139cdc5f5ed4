"""Long sounds lie in files, and are heard as those in memory are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from portrait_anim.audio import kept
from portrait_anim.audio.load import load_sound
from portrait_anim.audio.loudness import loud_dbfs
from portrait_anim.audio.waveform import peak_of
from portrait_anim.motion import upper
from portrait_anim.motion.model import MotionModel, shared_model

pytestmark = pytest.mark.media


@pytest.fixture(scope="module")
def model() -> MotionModel:
    return shared_model()


def test_a_long_sound_lies_in_a_file_and_is_heard_alike(
    model: MotionModel, speech: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    samples, rate = soundfile.read(speech, dtype="float32")
    file = tmp_path / "long.wav"
    soundfile.write(file, np.resize(samples, 45 * rate), rate)
    in_memory = load_sound(file).waveform
    aim = model.analyse(in_memory)
    monkeypatch.setattr(kept, "IN_MEMORY_BYTES", 1 << 16)
    monkeypatch.setattr(kept.pieces, "__defaults__", (3200 * 7,))
    waveform = load_sound(file).waveform
    assert isinstance(waveform, np.memmap)
    assert not isinstance(in_memory, np.memmap)
    np.testing.assert_array_equal(waveform, in_memory)
    assert peak_of(waveform) == float(np.abs(in_memory).max())
    assert loud_dbfs(waveform) == loud_dbfs(in_memory)
    heard = model.analyse(waveform)
    assert isinstance(heard.latents, np.memmap)
    np.testing.assert_array_equal(heard.latents, aim.latents)
    np.testing.assert_array_equal(heard.mouth, aim.mouth)
    assert not list(tmp_path.parent.glob("portrait_anim-*"))  # nameless


def test_the_upper_face_in_pieces_is_that_in_one(model: MotionModel, monkeypatch: pytest.MonkeyPatch) -> None:
    latents = np.random.default_rng(0).standard_normal((300, 128)).astype(np.float32)
    noise = upper.make_noise(1, 300, torch.Generator().manual_seed(1))
    calm = model.upper.temperament(0, None)
    aim = upper.tracks_of(model.upper, latents, noise, None, 1.0, calm)
    monkeypatch.setattr(upper, "AT_ONCE", 70)
    np.testing.assert_allclose(upper.tracks_of(model.upper, latents, noise, None, 1.0, calm), aim, atol=2e-5)


def test_pieces_hold_everything_once() -> None:
    values = np.arange(10, dtype=np.float32)
    assert [piece.tolist() for piece in kept.pieces(values, 4)] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    large = kept.room((kept.IN_MEMORY_BYTES // 4 + 1,))
    large[-1] = 3
    kept.let_go(large)
    assert isinstance(large, np.memmap)
    assert large[-1] == 3
    assert not large[:-1].any()
