"""The trained audio encoder: speech features at 50 Hz -> latents at 25 Hz, from which all face motion is made."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn import functional

from portrait_anim.audio.speech import SpeechConfig
from portrait_anim.config import FEATURES_PER_FRAME

STRIDE_KERNEL = 5  # feature frames that make a latent


@dataclass(frozen=True)
class AudioEncoderConfig:
    """Sizes and options of the audio encoder; kept with its weights.

    Attributes:
        n_features: channels of the speech features, :attr:`SpeechConfig.n_channels`.
        width: channels inside and of the latents.
        dilations: one residual block each.
        n_groups: groups of the normalisation.
        normalise: ``"frame"`` normalises each frame by itself, so latents do not depend on what else is in the window;
            ``"clip"`` is the plain GroupNorm, over channels and time.
        remove_mean: subtract each clip's feature mean (speaker, room, microphone).
        causal: whether a latent depends on no features after its own; for live sound.
    """

    n_features: int = SpeechConfig().n_channels
    width: int = 128
    dilations: tuple[int, ...] = (1, 2, 4, 8)
    n_groups: int = 8
    normalise: str = "frame"
    remove_mean: bool = True
    causal: bool = False

    def __post_init__(self) -> None:
        if self.normalise not in ("frame", "clip"):
            raise ValueError(f"normalise is 'frame' or 'clip', not {self.normalise!r}")


def clip_mean(values: Tensor, weight: Tensor | None = None) -> Tensor:
    """Return the mean of a clip's features over time, (B, C, T50) -> (B, C, 1).

    Args:
        values: the features of the whole clip.
        weight: (B, T50), at least 0: how much each frame counts, e.g. ``1 - blank``; None counts all alike. A clip
            whose weights are all 0 has the mean 0.
    """
    if weight is None:
        return values.mean(dim=-1, keepdim=True)
    total = weight.sum(dim=-1)[:, None, None]  # (B, 1, 1)
    return (values @ weight[..., None]) / total.clamp(min=1e-6)  # (B, C, 1)


class ChannelNorm(nn.Module):
    """GroupNorm whose statistics are taken per frame or over the clip; (B, C, T) -> (B, C, T)."""

    def __init__(self, config: AudioEncoderConfig) -> None:
        super().__init__()
        self.per_frame = config.normalise == "frame"
        self.norm = nn.GroupNorm(config.n_groups, config.width)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, T) -> (B, C, T)."""
        if not self.per_frame:
            out: Tensor = self.norm(x)
            return out
        batch, width, n_frames = x.shape
        frames = x.transpose(1, 2).reshape(batch * n_frames, width)  # (B T, C)
        normed: Tensor = self.norm(frames)
        return normed.view(batch, n_frames, width).transpose(1, 2)  # (B, C, T)


class GatedBlock(nn.Module):
    """Residual dilated convolution with a gate; (B, C, T) -> (B, C, T)."""

    def __init__(self, config: AudioEncoderConfig, dilation: int) -> None:
        super().__init__()
        self.norm = ChannelNorm(config)
        self.gate = nn.Conv1d(config.width, 2 * config.width, 3, dilation=dilation)
        self.mix = nn.Conv1d(config.width, config.width, 1)
        self.padding = (2 * dilation, 0) if config.causal else (dilation, dilation)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, T) -> (B, C, T)."""
        heard = self.gate(functional.pad(self.norm(x), self.padding))
        out: Tensor = x + self.mix(functional.glu(heard, dim=1))
        return out


class AudioEncoder(nn.Module):
    """Speech features (B, C, T50) -> latents (B, width, T25); latent i depends on about .6 s to either side."""

    def __init__(self, config: AudioEncoderConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or AudioEncoderConfig()
        self.reduce = nn.Conv1d(config.n_features, config.width, 1)
        self.stride = nn.Conv1d(config.width, config.width, STRIDE_KERNEL, stride=FEATURES_PER_FRAME)
        self.padding = (3, 0) if config.causal else (2, 2)  # causal: features 2 i - 3 to 2 i + 1 make latent i
        self.norm = ChannelNorm(config)
        self.blocks = nn.Sequential(*(GatedBlock(config, dilation) for dilation in config.dilations))

    def forward(self, values: Tensor, mean: Tensor | None = None) -> Tensor:
        """Encode features.

        Args:
            values: (B, C, T50), T50 even: :attr:`portrait_anim.audio.speech.Features.values` or a stretch of it.
            mean: (B, C, 1) to subtract, from :func:`clip_mean` of the *whole* clip when ``values`` is a stretch of it;
                None takes the mean of ``values``. Not used when the config does not remove it.

        Returns:
            (B, width, T50 / 2).
        """
        if self.config.remove_mean:
            values = values - (clip_mean(values) if mean is None else mean)
        reduced = functional.pad(self.reduce(values), self.padding)
        x = self.norm(functional.gelu(self.stride(reduced)))  # (B, width, T25)
        out: Tensor = self.blocks(x)
        return out
