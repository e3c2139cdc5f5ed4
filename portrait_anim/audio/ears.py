"""Ears for live sound: the first blocks of a pretrained speech encoder on the last second and a half, frame by frame.

A recording is encoded whole. Live sound is heard anew for every frame, in a window that ends a little after it: three
conformer blocks of hama cost a few milliseconds there, and what they say of the window's last frames is nearly what
they would say of a recording. What is trained is the way from there to the latents of whole recordings, on such
windows. A small encoder that was distilled from the big ones and carried its state along was tried first and heard
strangers worse (docs/ablation.md).
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from portrait_anim.audio.encoder import AudioEncoder, AudioEncoderConfig
from portrait_anim.audio.hama import HamaConfig, HamaEncoder
from portrait_anim.audio.mel import power_spectrogram
from portrait_anim.config import FPS, SAMPLES_PER_FRAME
from portrait_anim.system.weights import load_tensors

WEIGHTS = "hama_encoder"  # name in the registry
N_BLOCKS = 3  # of hama, whose outputs are heard


@dataclass(frozen=True)
class EarsConfig:
    """Sizes; travels with the weights.

    Attributes:
        encoder: of the trained part.
        window: video frames of sound that are heard for one frame.
        ahead: how many of them come after it.
    """

    encoder: AudioEncoderConfig = field(
        default_factory=lambda: AudioEncoderConfig(n_features=N_BLOCKS * HamaConfig.width)
    )
    window: int = 36
    ahead: int = 3

    @property
    def look_ahead_s(self) -> float:
        """How many seconds of sound after a frame's end the frame depends on."""
        return self.ahead / FPS

    @property
    def n_samples(self) -> int:
        """Samples of a window, at 16 kHz."""
        return self.window * SAMPLES_PER_FRAME


class Hearing(nn.Module):
    """The frozen part: waveform (B, N) at 16 kHz, about -20 dBFS, whole video frames -> features (B, 432, T50)."""

    def __init__(self) -> None:
        super().__init__()
        self.hama = HamaEncoder()

    @classmethod
    def from_weights(cls) -> Hearing:
        """Load the registered weights, frozen.

        Raises:
            WeightsError: the file is missing or does not match the registry.
        """
        hearing = cls()
        hearing.hama.load_state_dict(load_tensors(WEIGHTS))
        return hearing.requires_grad_(False).eval()

    def forward(self, waveform: Tensor) -> Tensor:
        """Hear windows; frame k is centred in [k / 50, (k + 1) / 50) s, as in :mod:`portrait_anim.audio.speech`."""
        power = power_spectrogram(waveform)[..., 1:]
        return torch.cat(self.hama.leading(power, N_BLOCKS), dim=1)


class Ears(nn.Module):
    """The trained part: features (B, 432, T50) -> latents (B, width, T25) and log odds (B, T25) of a voice."""

    def __init__(self, config: EarsConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or EarsConfig()
        self.encoder = AudioEncoder(config.encoder)
        self.voice = nn.Conv1d(config.encoder.width, 1, 1)

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Return latents and log odds for every frame of windows."""
        latents = self.encoder(features)
        return latents, self.voice(latents)[:, 0]
