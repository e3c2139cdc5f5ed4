"""Inference of hama's phoneme recogniser (hama 1.7.0, Apache-2.0) in torch.

A small conformer: log mel -> one strided convolution -> four blocks (half feed-forward, self-attention without
positions, gated depthwise convolution, half feed-forward, layer norm) -> CTC posteriors over 191 tokens, most of
them IPA letters, at 50 Hz. Only the attention takes in the whole input, and no layer depends on absolute time. So a
window of a recording gives nearly what the whole would, less the far context. Written from the names and shapes of the
tensors in the package and checked against its engine (tests/audio/test_speech_encoders.py).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from portrait_anim.audio.mel import MEL_FLOOR, N_BINS
from portrait_anim.config import N_MELS, exact_div

WORD_BOUNDARY = 189  # index of the token between words
BLANK = 190  # index of the CTC blank; the phonemes come before these two
# p b m with aspirated, tense, implosive and syllabic variants: p=35, pʰ=36, p͈=37, b=10, ɓ=82, m=31 in the token table
BILABIALS = (10, 31, 35, 36, 37, 82)


@dataclass(frozen=True)
class HamaConfig:
    """Sizes of the recogniser."""

    width: int = 144
    n_blocks: int = 4
    n_heads: int = 4
    hidden: int = 576  # of the feed-forward parts
    kernel: int = 31  # of the depthwise convolution, frames of 20 ms
    n_tokens: int = 191


@dataclass(frozen=True)
class HamaOutput:
    """The outputs of one pass.

    Attributes:
        blocks: each block's output, (B, 144, T50), layer-normalised.
        log_probs: (B, T50, 191), the logarithm of the CTC posteriors.
    """

    blocks: tuple[Tensor, ...]
    log_probs: Tensor


class FeedForward(nn.Module):
    """Layer norm, expand, SiLU, contract; (B, T, C) -> (B, T, C)."""

    def __init__(self, config: HamaConfig) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(config.width)
        self.expand = nn.Linear(config.width, config.hidden)
        self.contract = nn.Linear(config.hidden, config.width)

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, C) -> (B, T, C)."""
        out: Tensor = self.contract(functional.silu(self.expand(self.norm(x))))
        return out


class Attention(nn.Module):
    """Self-attention over all frames, without positions; (B, T, C) -> (B, T, C)."""

    def __init__(self, config: HamaConfig) -> None:
        super().__init__()
        self.n_heads = config.n_heads
        self.head_width = exact_div(config.width, config.n_heads)
        self.norm = nn.LayerNorm(config.width)
        self.qkv = nn.Linear(config.width, 3 * config.width)
        self.out = nn.Linear(config.width, config.width)

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, C) -> (B, T, C)."""
        batch, n_frames, width = x.shape
        qkv = self.qkv(self.norm(x)).view(batch, n_frames, 3, self.n_heads, self.head_width)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)  # each (B, nh, T, hs)
        mixed = functional.scaled_dot_product_attention(q, k, v)
        out: Tensor = self.out(mixed.transpose(1, 2).reshape(batch, n_frames, width))  # (B, T, C)
        return out


class GatedConvolution(nn.Module):
    """Layer norm, gate, depthwise convolution over .6 s, SiLU, mix; (B, T, C) -> (B, T, C)."""

    def __init__(self, config: HamaConfig) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(config.width)
        self.gate = nn.Conv1d(config.width, 2 * config.width, 1)
        self.depthwise = nn.Conv1d(
            config.width, config.width, config.kernel, padding=config.kernel // 2, groups=config.width
        )
        self.mix = nn.Conv1d(config.width, config.width, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, C) -> (B, T, C)."""
        y = functional.glu(self.gate(self.norm(x).transpose(1, 2)), dim=1)  # (B, C, T)
        out: Tensor = self.mix(functional.silu(self.depthwise(y))).transpose(1, 2)  # (B, T, C)
        return out


class Block(nn.Module):
    """One conformer block; (B, T, C) -> (B, T, C)."""

    def __init__(self, config: HamaConfig) -> None:
        super().__init__()
        self.feed_in = FeedForward(config)
        self.attention = Attention(config)
        self.convolution = GatedConvolution(config)
        self.feed_out = FeedForward(config)
        self.norm = nn.LayerNorm(config.width)

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, C) -> (B, T, C)."""
        x = x + 0.5 * self.feed_in(x)
        x = x + self.attention(x)
        x = x + self.convolution(x)
        x = x + 0.5 * self.feed_out(x)
        out: Tensor = self.norm(x)
        return out


class HamaEncoder(nn.Module):
    """Power spectrum -> four blocks' outputs and CTC posteriors; feature t is centred on spectrum frame 2 t."""

    mel_bank: Tensor

    def __init__(self, config: HamaConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or HamaConfig()
        self.register_buffer("mel_bank", torch.zeros(N_MELS, N_BINS))  # its own, 0 to 7.6 kHz on whole bins
        self.stem = nn.Conv1d(N_MELS, config.width, 3, stride=2, padding=1)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.n_blocks))
        self.tokens = nn.Linear(config.width, config.n_tokens)

    def forward(self, power: Tensor) -> HamaOutput:
        """Run the recogniser.

        Args:
            power: (B, 201, T100) from :func:`portrait_anim.audio.mel.power_spectrogram`; the waveform's level matters
                (it was trained on recordings whose loud frames are near -20 dBFS).

        Returns:
            The four blocks' outputs and the log posteriors, T50 = (T100 + 1) // 2 frames.
        """
        outputs = self.leading(power, self.config.n_blocks)
        return HamaOutput(outputs, self.tokens(outputs[-1].transpose(1, 2)).log_softmax(dim=-1))

    def leading(self, power: Tensor, n_blocks: int) -> tuple[Tensor, ...]:
        """Return the outputs (B, 144, T50) of the first blocks; ``power`` as in :meth:`forward`."""
        mel = (self.mel_bank @ power).clamp(min=MEL_FLOOR).log()  # (B, 80, T100)
        mel = mel.half().to(mel.dtype)  # the engine rounds here; left out, log posteriors differ by up to .1
        x = functional.gelu(self.stem(mel)).transpose(1, 2)  # (B, T50, C)
        outputs = []
        for block in self.blocks[:n_blocks]:
            x = block(x)
            outputs.append(x.transpose(1, 2))  # (B, C, T50)
        return tuple(outputs)
