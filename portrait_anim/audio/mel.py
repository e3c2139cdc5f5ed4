"""Short-time spectra: 16 kHz, Hann window of 25 ms, hop of 10 ms, 80 mel bands.

Frames are centred: frame j looks at the 400 samples around sample 160 j (the ends are reflected), so N samples
give N // 160 + 1 frames. Both pretrained encoders start from this one power spectrum; each has its own bands.
"""

from __future__ import annotations

import math
from functools import lru_cache

import torch
from torch import Tensor
from torch.nn import functional

from portrait_anim.config import HOP_LENGTH, N_MELS, SAMPLE_RATE, WINDOW_LENGTH, exact_div

N_BINS = exact_div(WINDOW_LENGTH, 2) + 1  # frequencies of the spectrum, 40 Hz apart
MEL_FLOOR = 1e-10  # power below this is silence; keeps the logarithm finite


@lru_cache(maxsize=1)
def _fourier_kernels() -> Tensor:
    """Windowed cosines, then sines, (402, 1, 400); their angles are rounded to single precision.

    Hama's front end was made with angles rounded so. The rounding leaks 80 dB below a frame's loudest frequency: exact
    angles put hama's posteriors off by up to .02 at single frames, rounded ones whisper's features by 1e-4 of theirs.
    """
    sample = torch.arange(WINDOW_LENGTH)
    angle = 2 * math.pi * torch.arange(N_BINS)[:, None] * sample / WINDOW_LENGTH  # (201, 400) float32
    window = torch.hann_window(WINDOW_LENGTH)
    return torch.cat([angle.cos() * window, angle.sin() * window])[:, None]


def power_spectrogram(waveform: Tensor) -> Tensor:
    """Squared magnitude of the short-time Fourier transform.

    Written as a convolution (.04 s per minute of sound more than an FFT): no complex numbers, so it exports to ONNX.

    Args:
        waveform: (..., N) at 16 kHz, N > 200 (the reflected ends need that much).

    Returns:
        (..., 201, N // 160 + 1), at least 0; frame j is centred on sample 160 j.

    Shape:
        >>> power_spectrogram(torch.zeros(2, 16000)).shape
        torch.Size([2, 201, 101])
    """
    half = exact_div(WINDOW_LENGTH, 2)
    flat = waveform.reshape(-1, 1, waveform.shape[-1])  # (B, 1, N)
    padded = functional.pad(flat, (half, half), mode="reflect")
    parts = functional.conv1d(padded, _fourier_kernels().to(flat), stride=HOP_LENGTH)  # (B, 402, T)
    power = parts[:, :N_BINS].square() + parts[:, N_BINS:].square()
    return power.reshape(*waveform.shape[:-1], *power.shape[-2:])  # (..., 201, T)


@lru_cache(maxsize=1)
def mel_bank() -> Tensor:
    """The (80, 201) triangles on Slaney's mel scale, 0 to 8 kHz, each of the same area."""
    import librosa

    bank = librosa.filters.mel(sr=SAMPLE_RATE, n_fft=WINDOW_LENGTH, n_mels=N_MELS)
    return torch.from_numpy(bank)


def log_mel_of(power: Tensor) -> Tensor:
    """Power spectrum (..., 201, T) -> log10 of its mel bands (..., 80, T), -10 or more."""
    return (mel_bank().to(power) @ power).clamp(min=MEL_FLOOR).log10()


def log_mel(waveform: Tensor) -> Tensor:
    """Waveform (..., N) at 16 kHz -> log10 mel power (..., 80, N // 160 + 1) at 100 Hz, -10 or more.

    Shape:
        >>> log_mel(torch.zeros(16000)).shape
        torch.Size([80, 101])
    """
    return log_mel_of(power_spectrogram(waveform))
