"""The spectra: constants, positions in time, agreement with librosa."""

from __future__ import annotations

import librosa
import numpy as np
import pytest
import torch

from portrait_anim.audio.mel import MEL_FLOOR, log_mel, mel_bank, power_spectrogram
from portrait_anim.config import HOP_LENGTH, MEL_RATE, N_MELS, SAMPLE_RATE, WINDOW_LENGTH

pytestmark = pytest.mark.unit


def chirp(seconds: float = 1.0) -> torch.Tensor:
    t = torch.arange(int(SAMPLE_RATE * seconds), dtype=torch.float64) / SAMPLE_RATE
    return (0.3 * torch.sin(2 * torch.pi * (200 * t + 1500 * t**2))).float()


@pytest.mark.parametrize("n_samples", [201, 320, 16000, 16159, 16160])
def test_one_frame_per_hop_and_one_more(n_samples: int) -> None:
    assert log_mel(torch.zeros(n_samples)).shape == (N_MELS, n_samples // HOP_LENGTH + 1)


def test_agrees_with_librosa() -> None:
    waveform = chirp()
    theirs = librosa.feature.melspectrogram(
        y=waveform.numpy(),
        sr=SAMPLE_RATE,
        n_fft=WINDOW_LENGTH,
        hop_length=HOP_LENGTH,
        n_mels=N_MELS,
        pad_mode="reflect",
    )
    ours = 10 ** log_mel(waveform).double().numpy()
    np.testing.assert_allclose(ours, np.maximum(theirs, MEL_FLOOR), rtol=1e-3, atol=1e-6 * theirs.max())


def test_a_click_is_strongest_in_the_frame_centred_on_it() -> None:
    waveform = torch.zeros(SAMPLE_RATE)
    waveform[37 * HOP_LENGTH] = 1.0
    loudness = power_spectrogram(waveform).sum(dim=0)
    assert loudness.argmax() == 37
    heard = loudness.nonzero().flatten()
    assert {36, 37, 38} >= set(heard.tolist())  # a 25 ms window every 10 ms reaches one frame to either side
    assert loudness.shape[0] == MEL_RATE + 1


def test_batches_and_single_recordings_agree() -> None:
    both = torch.stack([chirp(), chirp().flip(0)])
    together = log_mel(both)
    assert together.shape == (2, N_MELS, MEL_RATE + 1)
    torch.testing.assert_close(
        together[1], log_mel(both[1]), atol=2e-2, rtol=0
    )  # sums in another order, near the floor
    audible = together[1] > -4
    torch.testing.assert_close(together[1][audible], log_mel(both[1])[audible], atol=1e-4, rtol=0)


def test_silence_is_the_floor_and_doubling_is_six_decibels() -> None:
    torch.testing.assert_close(log_mel(torch.zeros(8000)), torch.full((80, 51), np.log10(MEL_FLOOR)), atol=1e-5, rtol=0)
    quiet = log_mel(chirp())
    loud = log_mel(2 * chirp())
    audible = quiet > -6
    assert audible.float().mean() > 0.15
    torch.testing.assert_close((loud - quiet)[audible], torch.full_like(quiet[audible], np.log10(4)), atol=1e-3, rtol=0)


def test_every_band_hears_something() -> None:
    bank = mel_bank()
    assert bank.shape == (N_MELS, WINDOW_LENGTH // 2 + 1)
    assert (bank.sum(dim=1) > 0).all()
    assert (bank >= 0).all()
