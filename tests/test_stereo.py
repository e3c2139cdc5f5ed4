"""The middle of a stereo mix: it passes, the rest is turned down, and nothing else changes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import scipy.io.wavfile

from portrait_anim.audio import stereo
from portrait_anim.audio.load import load_audio
from portrait_anim.audio.stereo import HOP, WINDOW, keep_centre

RATE = 16_000
N = 3 * RATE + 123


def voice() -> np.ndarray:
    """Eight harmonics that glide and swell, as vowels do."""
    t = np.arange(N) / RATE
    phase = 2 * np.pi * (150 * t + 20 * np.sin(2 * np.pi * t))
    tones = sum(np.sin(k * phase) / k for k in range(1, 9))
    return (0.1 * tones * (1 + np.sin(2 * np.pi * 3 * t))).astype(np.float32)


def spread(seed: int = 0) -> np.ndarray:
    """Two sounds that have nothing in common, (N, 2)."""
    return (0.1 * np.random.default_rng(seed).standard_normal((N, 2))).astype(np.float32)


def decibels(wanted: np.ndarray, sound: np.ndarray) -> float:
    """How far ``wanted`` stands above what else is in ``sound``, at the best level of it."""
    level = float(sound @ wanted / (wanted @ wanted))
    return float(20 * np.log10(level * np.linalg.norm(wanted) / np.linalg.norm(sound - level * wanted)))


def test_the_voice_in_the_middle_stands_out_more() -> None:
    sides = spread()
    both = voice()[:, None] + sides
    mid, side = both.mean(1), (both[:, 0] - both[:, 1]) / 2
    assert decibels(voice(), keep_centre(mid, side)) > decibels(voice(), mid) + 3


def test_files_and_arrays_are_treated_alike(tmp_path: Path) -> None:
    both = voice()[:, None] + spread()
    scipy.io.wavfile.write(tmp_path / "song.wav", RATE, both)
    mid, side = both.mean(1), (both[:, 0] - both[:, 1]) / 2
    expected = keep_centre(mid, side)
    assert decibels(expected, mid) < 20  # it does change
    np.testing.assert_allclose(load_audio(tmp_path / "song.wav"), expected, atol=1e-5)
    np.testing.assert_allclose(load_audio((both, RATE)), expected, atol=1e-5)


@pytest.mark.parametrize("at", [0, 1])
def test_a_recording_on_one_side_keeps_its_sound_and_level(at: int) -> None:
    both = np.zeros((N, 2), np.float32)
    both[:, at] = voice()
    np.testing.assert_allclose(load_audio((both, RATE)), voice() / 2, atol=1e-4)


def test_two_people_left_and_right_are_both_heard() -> None:
    half = N // 2
    both = np.zeros((N, 2), np.float32)
    both[:half, 0], both[half:, 1] = voice()[:half], voice()[half:]
    assert decibels(voice(), load_audio((both, RATE))) > 20


def test_blocks_leave_no_trace(monkeypatch: pytest.MonkeyPatch) -> None:
    mid, side = voice(), spread()[:, 0]
    whole = keep_centre(mid, side)
    monkeypatch.setattr(stereo, "_BLOCK", 16 * HOP)
    np.testing.assert_allclose(keep_centre(mid, side), whole, atol=1e-6)


@pytest.mark.parametrize("n", [1, HOP - 1, HOP, WINDOW - 1, WINDOW + 1])
def test_short_sounds(n: int) -> None:
    out = keep_centre(voice()[1000 : 1000 + n], spread()[:n, 0])
    assert out.shape == (n,)
    assert np.isfinite(out).all()


def test_the_same_on_both_sides_passes_bit_for_bit() -> None:
    np.testing.assert_array_equal(load_audio((np.stack([voice()] * 2), RATE)), load_audio((voice(), RATE)))
