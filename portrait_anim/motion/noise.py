"""Noise that upper-face motion is made from: white, and low-passed at six time scales.

People drift over seconds and turn for longer than a net looks back; the slow channels spare the net from making that
out of white noise.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from portrait_anim.config import FPS

NOISE_SIGMAS_S = (0.1, 0.25, 0.5, 1.0, 2.0, 4.0)  # s, Gaussian deviations of the low-passed channels, two each
N_WHITE, N_SLOW = 8, 2 * len(NOISE_SIGMAS_S)
N_NOISE = N_WHITE + N_SLOW  # channels
DRAWN = 32  # numbers drawn for a live frame: torch draws sixteen at a time, and pieces are to make what the whole does
AT_ONCE = 3000  # frames low-passed in one go; memory does not grow with the film
REACH = round(3 * NOISE_SIGMAS_S[-1] * FPS)  # frames to either side that make a frame of the slowest


def _noise(white: Tensor, raw: Tensor) -> Tensor:
    """White (B, 8, T) and raw (B, 12, T + 2 reach), both Gaussian -> (B, 20, T), each channel of unit variance."""
    at = torch.arange(-REACH, REACH + 1, dtype=torch.float32)
    kernels = torch.stack([torch.exp(-0.5 * (at / (sigma * FPS)) ** 2) for sigma in NOISE_SIGMAS_S])
    kernels = (kernels / kernels.square().sum(1, keepdim=True).sqrt()).repeat(2, 1)[:, None]  # (12, 1, 2 reach + 1)
    n_frames = white.shape[-1]
    slow = torch.empty(len(white), N_SLOW, n_frames)
    for start in range(0, n_frames, AT_ONCE):
        end = min(start + AT_ONCE, n_frames)
        slow[..., start:end] = functional.conv1d(raw[..., start : end + 2 * REACH], kernels, groups=N_SLOW)
    return torch.cat([white, slow], 1)


def make_noise(batch: int, n_frames: int, generator: torch.Generator) -> Tensor:
    """Return (B, 20, T) Gaussian noise of unit variance: eight white channels, twelve low-passed ones."""
    white = torch.randn(batch, N_WHITE, n_frames, generator=generator)
    return _noise(white, torch.randn(batch, N_SLOW, n_frames + 2 * REACH, generator=generator))


class NoiseStream:
    """The noise of :func:`make_noise` in pieces, for live sound; it does not depend on how long the pieces are."""

    def __init__(self, seed: int) -> None:
        self._generator = torch.Generator().manual_seed(seed)
        self._raw = self._draw(2 * REACH)[:, N_WHITE:]

    def _draw(self, n_frames: int) -> Tensor:
        drawn = torch.randn(n_frames, DRAWN, generator=self._generator)
        return drawn[:, :N_NOISE].T[None]  # (1, 20, n_frames)

    def take(self, n_frames: int) -> Tensor:
        """Return the next (1, 20, n_frames)."""
        drawn = self._draw(n_frames)
        raw = torch.cat([self._raw, drawn[:, N_WHITE:]], 2)
        self._raw = raw[..., n_frames:]
        return _noise(drawn[:, :N_WHITE], raw)
