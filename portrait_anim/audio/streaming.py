"""The streaming encoder: a small speech encoder for live sound, with little look-ahead; features at 50 Hz.

It is trained to give the same features as the two pretrained encoders (feature distillation, Hinton, Vinyals, Dean
2015). Its input may be a voice in music or noise; the wanted output is always that for the clean voice (after the
denoising task of WavLM, Chen et al. 2022).
Depthwise convolutions over time and pointwise ones over channels (ConvNeXt, Liu et al. 2022), each shifted so that the
sum of what they see of the future is :attr:`StreamingConfig.look_ahead_s`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn import functional

from portrait_anim.audio.mel import log_mel
from portrait_anim.audio.speech import SAMPLES_PER_FEATURE, fit_length
from portrait_anim.config import FEATURE_RATE, HOP_LENGTH, MEL_RATE, N_MELS, SAMPLE_RATE, WINDOW_LENGTH, exact_div
from portrait_anim.system.weights import load_metadata, load_tensors

MEL_PER_FEATURE = exact_div(MEL_RATE, FEATURE_RATE)  # 2 mel frames to a feature frame
WEIGHTS = "streaming_encoder"  # name in the registry
STEM = 5  # mel frames that make a feature frame, centred on its middle
KERNEL = 7  # feature frames a block sees, dilation 1
MEL_MIDDLE, MEL_SPREAD = -4.0, 2.0  # log10 power of speech, about


@dataclass(frozen=True)
class StreamingConfig:
    """Sizes; travels with the weights.

    Attributes:
        width: channels of the features.
        dilations: of each block.
        ahead: frames (20 ms) of later sound that each block takes in; blocks not named take in none.
    """

    width: int = 192
    dilations: tuple[int, ...] = (1, 1, 1, 2, 4, 8, 16, 1, 2, 4)
    ahead: tuple[int, ...] = (3, 3, 1)

    @property
    def look_ahead_s(self) -> float:
        """How many seconds of sound after a feature frame's end the frame depends on."""
        stem_s = ((STEM // 2) * HOP_LENGTH + WINDOW_LENGTH / 2 - HOP_LENGTH) / SAMPLE_RATE
        return stem_s + sum(self.ahead) / FEATURE_RATE


class StreamingBlock(nn.Module):
    """Residual: depthwise over time, then pointwise; (B, C, T) -> (B, C, T)."""

    def __init__(self, width: int, dilation: int, ahead: int) -> None:
        super().__init__()
        reach = (KERNEL - 1) * dilation
        self.padding = (reach - ahead, ahead)
        self.over_time = nn.Conv1d(width, width, KERNEL, dilation=dilation, groups=width)
        self.norm = nn.LayerNorm(width)
        self.widen, self.narrow = nn.Linear(width, 2 * width), nn.Linear(2 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, T) -> (B, C, T)."""
        y = self.norm(self.over_time(functional.pad(x, self.padding)).transpose(1, 2))  # (B, T, C)
        out: Tensor = x + self.narrow(functional.gelu(self.widen(y))).transpose(1, 2)
        return out


class StreamingEncoder(nn.Module):
    """Waveform (B, N) at 16 kHz, about -20 dBFS -> features (B, width, T50) and the voice's log odds (B, T50)."""

    def __init__(self, config: StreamingConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or StreamingConfig()
        self.stem = nn.Conv1d(N_MELS, config.width, STEM, stride=MEL_PER_FEATURE)
        ahead = (*config.ahead, *[0] * (len(config.dilations) - len(config.ahead)))
        self.blocks = nn.Sequential(
            *(StreamingBlock(config.width, dilation, a) for dilation, a in zip(config.dilations, ahead, strict=True))
        )
        self.norm = nn.LayerNorm(config.width)
        self.voice = nn.Linear(config.width, 1)

    @classmethod
    def from_weights(cls) -> StreamingEncoder:
        """Load the registered weights, frozen.

        Raises:
            WeightsError: the file is missing or does not match the registry.
        """
        lines = json.loads(load_metadata(WEIGHTS)["config"])
        encoder = cls(StreamingConfig(lines["width"], tuple(lines["dilations"]), tuple(lines["ahead"])))
        encoder.load_state_dict(load_tensors(WEIGHTS))
        return encoder.requires_grad_(False).eval()

    def forward(self, waveform: Tensor) -> tuple[Tensor, Tensor]:
        """Encode; a fraction of a video frame at the end is trimmed or filled with silence.

        Returns:
            features (B, width, T50) and log odds (B, T50) that somebody speaks or sings.
        """
        waveform = fit_length(waveform)
        n_frames = waveform.shape[-1] // SAMPLES_PER_FEATURE
        mel = (log_mel(waveform) - MEL_MIDDLE) / MEL_SPREAD  # (B, 80, 2 T50 + 1), frame 2 k + 1 in the middle of k
        mel = functional.pad(mel, (STEM // 2 - 1, STEM // 2), mode="replicate")
        x = self.stem(mel)[..., :n_frames]
        y = self.norm(self.blocks(x).transpose(1, 2))  # (B, T50, C)
        return y.transpose(1, 2), self.voice(y)[..., 0]
