"""What the sound says: features of two frozen speech encoders at 50 Hz.

One is hama's, which was taught to hear through music and noise what the clean voice says (training/hama_tuned.py), the
other whisper's as it is. Feature frame k stands for the time [k/50, (k + 1)/50) and is centred in it, two frames to a
video frame. Both encoders centre theirs on sample 320 k; the first spectrum frame is left out to move the centre to
320 k + 160.

Long sound is encoded in windows of 20 s that overlap by 1.6 s and fade into each other, so memory for the encoders'
inner values does not grow with the duration.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from portrait_anim.audio.hama import HamaConfig, HamaEncoder
from portrait_anim.audio.mel import power_spectrogram
from portrait_anim.audio.whisper import MAX_FRAMES, WhisperConfig, WhisperEncoder
from portrait_anim.config import (
    FEATURE_RATE,
    SAMPLE_RATE,
    SAMPLES_PER_FRAME,
    WINDOW_LENGTH,
    exact_div,
)
from portrait_anim.errors import OptionError
from portrait_anim.weights import load_tensors

SAMPLES_PER_FEATURE = exact_div(SAMPLE_RATE, FEATURE_RATE)  # 320 samples to a feature frame
N_BLOCKS = 3  # hama's that are used; its last serves its tokens alone
WEIGHTS = {"hama": "hama_tuned_encoder", "whisper": "whisper_tiny_encoder"}  # names in the registry


@dataclass(frozen=True)
class SpeechConfig:
    """How sound is brought to the encoders' level, cut into windows, and how much of whisper is used.

    Attributes:
        whisper_layers: its first layers; the others cost time and add nothing (docs/ablation.md).
        level_dbfs: the loud frames (95th percentile of the frames above the floor) are brought to this RMS level.
        floor_dbfs: quieter frames do not count as sound; no recording is treated as quieter than this, so silence
            and faint noise are raised by at most ``level_dbfs - floor_dbfs``.
        loudest: log10 mel power taken as the loudest of every recording by whisper, which cuts off eight decades below;
            its own maximum (0.8 at this level, median over audio/; .3 to 1.3) varies between windows.
        window: frames encoded in one go (20 s).
        overlap: frames two windows share (1.6 s); its first and last quarter are thrown away,
            between them they fade.
    """

    whisper_layers: int = 2
    level_dbfs: float = -20.0
    floor_dbfs: float = -50.0
    loudest: float = 0.8
    window: int = 1000
    overlap: int = 80

    def __post_init__(self) -> None:
        if not 0 < self.overlap < self.window <= MAX_FRAMES:
            raise OptionError(f"need 0 < overlap < window <= {MAX_FRAMES} frames, got {self.overlap} and {self.window}")

    @property
    def n_channels(self) -> int:
        """Channels of the features."""
        return N_BLOCKS * HamaConfig.width + WhisperConfig.width


@dataclass(frozen=True)
class Window:
    """A stretch of a recording, encoded by itself.

    Attributes:
        start: its first feature frame, even.
        end: the one after its last.
        weight: (end - start,) of its frames where windows overlap; at every frame those of all windows add up to 1.
        values: (B, C, end - start), what the encoders say.
    """

    start: int
    end: int
    weight: Tensor
    values: Tensor


def frame_count(n_samples: int) -> int:
    """Video frames at 25 fps for a sound of ``n_samples``, at least one: round(duration x 25)."""
    return max(1, round(n_samples / SAMPLES_PER_FRAME))


def fit_length(waveform: Tensor) -> Tensor:
    """Trim, or pad with silence, (..., N) to a whole number of video frames (:func:`frame_count`)."""
    length = frame_count(waveform.shape[-1]) * SAMPLES_PER_FRAME
    return functional.pad(waveform, (0, length - waveform.shape[-1]))  # a negative pad trims


def frame_rms(waveform: Tensor, length: int = WINDOW_LENGTH) -> Tensor:
    """RMS about its mean of each stretch of ``length`` samples, (..., N) -> (..., N // length)."""
    whole = waveform[..., : waveform.shape[-1] // length * length]
    return whole.reshape(*whole.shape[:-1], -1, length).std(dim=-1, correction=0)


def level_gain(waveform: Tensor, config: SpeechConfig) -> Tensor:
    """Factor (B,) that brings each recording's loud frames to the encoders' level; see :class:`SpeechConfig`."""
    floor = 10 ** (config.floor_dbfs / 20)
    rms = frame_rms(waveform)  # (B, frames)
    sounding = torch.where(rms > floor, rms, torch.nan)
    level = sounding.nanquantile(0.95, dim=-1).nan_to_num(nan=floor)  # (B,)
    gain: Tensor = 10 ** (config.level_dbfs / 20) / level
    return gain


def window_spans(n_frames: int, config: SpeechConfig) -> Iterator[tuple[int, int, Tensor]]:
    """First frame, end and weight of each window over ``n_frames`` feature frames; the weights add up to 1.

    Windows begin at fixed times, whatever the length, so a longer recording changes none but the last.
    """
    window, overlap = config.window, config.overlap
    start = 0
    while True:
        end = min(start + window, n_frames)
        last = end == n_frames
        quarter = overlap / 4
        inside = torch.arange(end - start) + 0.5  # distance of each frame from the window's start
        weight = torch.ones(end - start)
        if start:
            weight = weight * ((inside - quarter) / (2 * quarter)).clamp(0, 1)
        if not last:
            weight = weight * ((end - start - inside - quarter) / (2 * quarter)).clamp(0, 1)
        yield start, end, weight
        if last:
            return
        start += window - overlap


def encode_windows(waveform: Tensor, config: SpeechConfig, encode: Callable[[Tensor], Tensor]) -> Iterator[Window]:
    """Encode recordings (B, N) one window after the other.

    Args:
        waveform: at 16 kHz, -1..1, any level, any length; a fraction of a video frame at its end is trimmed or filled
            with silence.
        config: the level they are brought to, and the windows.
        encode: the power spectrum (B, 201, 2 T50) of a stretch -> (B, C, T50).
    """
    waveform = fit_length(waveform)
    waveform = waveform * level_gain(waveform, config)[:, None]
    for start, end, weight in window_spans(waveform.shape[-1] // SAMPLES_PER_FEATURE, config):
        part = waveform[:, start * SAMPLES_PER_FEATURE : end * SAMPLES_PER_FEATURE]
        power = power_spectrogram(part)[..., 1:]  # (B, 201, 2 T50); frame 2 k is now centred on 320 k + 160
        yield Window(start, end, weight.to(waveform), encode(power))


def join_windows(windows: Iterable[Window]) -> Tensor:
    """Fade windows into each other: (B, C, T50) of the whole recording."""
    parts = list(windows)
    first = parts[0].values
    whole = first.new_zeros((*first.shape[:-1], parts[-1].end))
    for part in parts:
        whole[..., part.start : part.end] += part.values * part.weight
    return whole


class SpeechFeatures(nn.Module):
    """The frozen encoders as one module: waveform (B, N) at 16 kHz -> (B, 816, T50), hama's blocks, then whisper."""

    def __init__(self, config: SpeechConfig | None = None) -> None:
        super().__init__()
        self.config = config or SpeechConfig()
        self.hama = HamaEncoder(HamaConfig(n_blocks=N_BLOCKS))
        self.whisper = WhisperEncoder()

    @classmethod
    def from_weights(cls, device: str | torch.device = "cpu", config: SpeechConfig | None = None) -> SpeechFeatures:
        """Load the encoders from the registered weights, frozen, in evaluation mode.

        Raises:
            WeightsError: a weight file is missing or does not match the registry.
        """
        features = cls(config)
        for name, entry in WEIGHTS.items():
            features.get_submodule(name).load_state_dict(load_tensors(entry))
        return features.requires_grad_(False).eval().to(device)

    def forward(self, waveform: Tensor) -> Tensor:
        """Encode whole recordings (B, N), see :func:`encode_windows`: (B, C, T50), T50 = 2 x :func:`frame_count`."""
        return join_windows(self.windows(waveform))

    def windows(self, waveform: Tensor) -> Iterator[Window]:
        """Encode recordings as :meth:`forward` does and return the windows one after the other."""
        return encode_windows(waveform, self.config, self._encode)

    def _encode(self, power: Tensor) -> Tensor:
        whisper = self.whisper(power, self.config.loudest, self.config.whisper_layers)
        return torch.cat([*self.hama(power), whisper], dim=1)
