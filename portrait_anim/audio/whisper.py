"""Inference of whisper tiny.en's encoder (OpenAI, MIT) in torch.

Log mel -> two convolutions (the second halves the rate to 50 Hz) -> sinusoidal positions -> four pre-norm
transformer layers -> final layer norm. The output is the one after that norm, which is what CTranslate2's encoder
returns and what it was matched against. Whisper was trained on windows padded to 30 s; shorter ones take the first
positions.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from portrait_anim.audio.mel import log_mel_of
from portrait_anim.config import N_MELS, exact_div

MAX_FRAMES = 1500  # positions of 20 ms, 30 s
DYNAMIC_RANGE = 8.0  # decades of power kept below the loudest mel bin


@dataclass(frozen=True)
class WhisperConfig:
    """Sizes of the encoder (tiny.en)."""

    width: int = 384
    n_layers: int = 4
    n_heads: int = 6
    hidden: int = 1536  # of the feed-forward parts


def sinusoids(n_positions: int, width: int) -> Tensor:
    """Position codes (n_positions, width): sines, then cosines, of periods from 2 pi to 2 pi 10000 in equal ratios.

    Rounded to half precision, as the published weights hold them.
    """
    half = exact_div(width, 2)
    rates = torch.exp(-math.log(10_000) / (half - 1) * torch.arange(half, dtype=torch.float64))
    angles = torch.arange(n_positions, dtype=torch.float64)[:, None] * rates
    return torch.cat([angles.sin(), angles.cos()], dim=1).half().float()


class Layer(nn.Module):
    """One pre-norm transformer layer; (B, T, C) -> (B, T, C)."""

    def __init__(self, config: WhisperConfig) -> None:
        super().__init__()
        self.n_heads = config.n_heads
        self.head_width = exact_div(config.width, config.n_heads)
        self.attention_norm = nn.LayerNorm(config.width)
        self.qkv = nn.Linear(config.width, 3 * config.width)
        self.out = nn.Linear(config.width, config.width)
        self.feed_norm = nn.LayerNorm(config.width)
        self.expand = nn.Linear(config.width, config.hidden)
        self.contract = nn.Linear(config.hidden, config.width)

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, C) -> (B, T, C)."""
        batch, n_frames, width = x.shape
        qkv = self.qkv(self.attention_norm(x)).view(batch, n_frames, 3, self.n_heads, self.head_width)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)  # each (B, nh, T, hs)
        mixed = functional.scaled_dot_product_attention(q, k, v)
        x = x + self.out(mixed.transpose(1, 2).reshape(batch, n_frames, width))  # (B, T, C)
        out: Tensor = x + self.contract(functional.gelu(self.expand(self.feed_norm(x))))
        return out


class WhisperEncoder(nn.Module):
    """Power spectrum -> 384 channels at 50 Hz; feature t is centred on spectrum frame 2 t."""

    positions: Tensor

    def __init__(self, config: WhisperConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or WhisperConfig()
        self.conv1 = nn.Conv1d(N_MELS, config.width, 3, padding=1)
        self.conv2 = nn.Conv1d(config.width, config.width, 3, stride=2, padding=1)
        self.register_buffer("positions", sinusoids(MAX_FRAMES, config.width), persistent=False)
        self.layers = nn.ModuleList(Layer(config) for _ in range(config.n_layers))
        self.norm = nn.LayerNorm(config.width)

    def forward(self, power: Tensor, loudest: float | None = None) -> Tensor:
        """Run the encoder.

        Args:
            power: (B, 201, T100) from :func:`portrait_anim.audio.mel.power_spectrogram`, T100 <= 3000.
            loudest: log10 mel maximum; everything more than 8 below it is clamped. None takes the maximum of each
                input, as whisper does; a fixed value treats all windows of a recording alike.

        Returns:
            (B, 384, T50), T50 = (T100 + 1) // 2, after the final layer norm.
        """
        mel = log_mel_of(power)  # (B, 80, T100)
        top = mel.amax(dim=(1, 2), keepdim=True) if loudest is None else torch.full_like(mel[:, :1, :1], loudest)
        mel = (torch.maximum(mel, top - DYNAMIC_RANGE) + 4.0) / 4.0
        x = functional.gelu(self.conv1(mel))
        x = functional.gelu(self.conv2(x)).transpose(1, 2)  # (B, T50, C)
        if x.shape[1] > MAX_FRAMES:
            raise ValueError(f"{x.shape[1]} frames are more than whisper's {MAX_FRAMES}: cut the sound into windows")
        x = x + self.positions[: x.shape[1]]
        for layer in self.layers:
            x = layer(x)
        out: Tensor = self.norm(x).transpose(1, 2)  # (B, C, T50)
        return out
