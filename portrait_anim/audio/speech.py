"""Speech features: the outputs of two frozen pretrained speech encoders (hama, whisper), at 50 Hz.

Convention:
    * Feature frame k stands for the time [k/50, (k + 1)/50) s and is centred in it; two make a video frame.
    * The encoders themselves centre frame k on sample 320 k. The first spectrum frame is left out, which moves the
      centre to sample 320 k + 160, the middle of that time.

Long sound is encoded in windows of 20 s that overlap by 4 s and are cross-faded, so that memory for the encoders'
inner values does not grow with the duration.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields

import torch
from torch import Tensor, nn
from torch.nn import functional

from portrait_anim.audio.hama import BILABIALS, BLANK, WORD_BOUNDARY, HamaConfig, HamaEncoder
from portrait_anim.audio.mel import power_spectrogram
from portrait_anim.audio.whisper import MAX_FRAMES, WhisperConfig, WhisperEncoder
from portrait_anim.config import (
    FEATURE_RATE,
    FEATURES_PER_FRAME,
    SAMPLE_RATE,
    SAMPLES_PER_FRAME,
    WINDOW_LENGTH,
    exact_div,
)
from portrait_anim.errors import OptionError
from portrait_anim.system.weights import load_tensors

SAMPLES_PER_FEATURE = exact_div(SAMPLE_RATE, FEATURE_RATE)  # 320 samples to a feature frame
WEIGHTS = {"hama": "hama_encoder", "whisper": "whisper_tiny_encoder"}  # names in the registry


@dataclass(frozen=True)
class SpeechConfig:
    """Which encoders, which of their layers, and how sound is brought to their level.

    Attributes:
        encoders: ``("hama", "whisper")`` or ``("hama",)``; hama's phoneme probabilities are always needed.
        hama_blocks: blocks whose outputs are features, counted from 1.
        level_dbfs: a recording is scaled so that its loud frames (95th percentile of the frames above the floor) have
            this RMS level.
        floor_dbfs: quieter frames do not count as sound, and no recording counts as quieter than this. So silence and
            faint noise are amplified by at most ``level_dbfs - floor_dbfs``.
        loudest: fixed log10 mel maximum for whisper, which clamps everything more than 8 below it. Whisper's own rule
            takes each window's maximum (0.8 at this level, median over recordings; .3 to 1.3), which would make
            windows of one recording differ.
        window: frames encoded in one go (20 s).
        overlap: frames that two windows share (4 s); in its first quarter only the earlier window is used, in its last
            quarter only the later one, in between they are cross-faded.
    """

    encoders: tuple[str, ...] = ("hama", "whisper")
    hama_blocks: tuple[int, ...] = (1, 2, 3)
    level_dbfs: float = -20.0
    floor_dbfs: float = -50.0
    loudest: float = 0.8
    window: int = 1000
    overlap: int = 200

    def __post_init__(self) -> None:
        if "hama" not in self.encoders or not set(self.encoders) <= set(WEIGHTS):
            raise OptionError(f"encoders {self.encoders} must hold 'hama' and may hold 'whisper'")
        if not 0 < self.overlap < self.window <= MAX_FRAMES:
            raise OptionError(f"need 0 < overlap < window <= {MAX_FRAMES} frames, got {self.overlap} and {self.window}")

    @property
    def n_channels(self) -> int:
        """Channels of :attr:`Features.values`."""
        whisper = WhisperConfig.width if "whisper" in self.encoders else 0
        return len(self.hama_blocks) * HamaConfig.width + whisper


@dataclass(frozen=True)
class Features:
    """The encoders' outputs for a sound; T50 = 2 x its number of video frames.

    Attributes:
        values: (B, C, T50) features: hama's blocks, then whisper's output.
        blank: (B, T50) 0..1, hama's probability that no phoneme is spoken.
        bilabial: (B, T50) 0..1, its probability of /p b m/ and similar sounds, for which the lips close.
        phoneme: (B, T50) 0..1, the probability of the likeliest phoneme: peaks near 1 in speech, small in noise, where
            many phonemes share it.
    """

    values: Tensor
    blank: Tensor
    bilabial: Tensor
    phoneme: Tensor


@dataclass(frozen=True)
class Window:
    """A stretch of a recording that is encoded by itself.

    Attributes:
        start: its first feature frame, even.
        end: the one after its last.
        weight: (end - start,) 0..1 of its frames; where windows overlap the weights of a frame add up to 1.
    """

    start: int
    end: int
    weight: Tensor

    @property
    def samples(self) -> tuple[int, int]:
        """The first sample at 16 kHz, and the one after the last."""
        return self.start * SAMPLES_PER_FEATURE, self.end * SAMPLES_PER_FEATURE


def frame_count(n_samples: int) -> int:
    """Return how many video frames (25 fps) a sound of ``n_samples`` has: round(duration x 25), at least one."""
    return max(1, round(n_samples / SAMPLES_PER_FRAME))


def fit_length(waveform: Tensor) -> Tensor:
    """Return (..., N) trimmed or padded with silence to a whole number of video frames (:func:`frame_count`)."""
    length = frame_count(waveform.shape[-1]) * SAMPLES_PER_FRAME
    return functional.pad(waveform, (0, length - waveform.shape[-1]))  # a negative pad trims


def frame_rms(waveform: Tensor, length: int = WINDOW_LENGTH) -> Tensor:
    """Return the RMS (about the mean) of each stretch of ``length`` samples, (..., N) -> (..., N // length)."""
    whole = waveform[..., : waveform.shape[-1] // length * length]
    return whole.reshape(*whole.shape[:-1], -1, length).std(dim=-1, correction=0)


def level_gain(waveform: Tensor, config: SpeechConfig) -> Tensor:
    """Return the factor (B,) that brings each recording's loud frames to ``config.level_dbfs``."""
    return gain_of(frame_rms(waveform), config)


def gain_of(rms: Tensor, config: SpeechConfig) -> Tensor:
    """Return the same of the RMS (B, frames) of all frames of 25 ms."""
    floor = 10 ** (config.floor_dbfs / 20)
    sounding = torch.where(rms > floor, rms, torch.nan)
    level = sounding.nanquantile(0.95, dim=-1).nan_to_num(nan=floor)  # (B,)
    gain: Tensor = 10 ** (config.level_dbfs / 20) / level
    return gain


class SpeechFeatures(nn.Module):
    """The frozen encoders as one module: waveform (B, N) at 16 kHz -> :class:`Features`."""

    def __init__(self, config: SpeechConfig | None = None) -> None:
        super().__init__()
        self.config = config or SpeechConfig()
        self.hama = HamaEncoder()
        self.whisper = WhisperEncoder() if "whisper" in self.config.encoders else None

    @classmethod
    def from_weights(cls, device: str | torch.device = "cpu", config: SpeechConfig | None = None) -> SpeechFeatures:
        """Load the encoders of ``config`` (default: both) from the registered weights, frozen, in evaluation mode.

        Raises:
            WeightsError: a weight file is missing or does not match the registry.
        """
        features = cls(config)
        for name in features.config.encoders:
            features.get_submodule(name).load_state_dict(load_tensors(WEIGHTS[name]))
        return features.requires_grad_(False).eval().to(device)

    def forward(self, waveform: Tensor) -> Features:
        """Encode whole recordings.

        Args:
            waveform: (B, N) at 16 kHz, -1..1, any level, any length; a fraction of a video frame at its end is
                trimmed or filled with silence.

        Returns:
            Features of 2 x :func:`frame_count` frames.
        """
        n_frames = FEATURES_PER_FRAME * frame_count(waveform.shape[-1])
        sums: list[Tensor] = []
        waveform = fit_length(waveform)
        waveform = waveform * level_gain(waveform, self.config)[:, None]
        for window in self.windows(n_frames):
            features = self.encode(waveform[:, slice(*window.samples)])
            parts = [getattr(features, field.name) for field in fields(Features)]
            if not sums:
                sums = [part.new_zeros((*part.shape[:-1], n_frames)) for part in parts]
            for whole, part in zip(sums, parts, strict=True):
                whole[..., window.start : window.end] += part * window.weight.to(part)
        return Features(*sums)

    def windows(self, n_frames: int) -> Iterator[Window]:
        """Yield the windows of a recording of ``n_frames`` feature frames; a frame's weights add up to 1.

        They begin at fixed times, so sound added at the end changes only the last one.
        """
        window, overlap = self.config.window, self.config.overlap
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
            yield Window(start, end, weight)
            if last:
                return
            start += window - overlap

    def encode(self, waveform: Tensor) -> Features:
        """Encode one window (B, 320 T50), brought to the encoders' level."""
        power = power_spectrogram(waveform)[..., 1:]  # (B, 201, 2 T50); frame 2 k is now centred on 320 k + 160
        spoken = self.hama(power)
        values = [spoken.blocks[block - 1] for block in self.config.hama_blocks]
        if self.whisper is not None:
            values.append(self.whisper(power, self.config.loudest))
        posteriors = spoken.log_probs.exp()  # (B, T50, tokens)
        bilabial = posteriors[..., list(BILABIALS)].sum(dim=-1)
        phoneme = posteriors[..., :WORD_BOUNDARY].amax(dim=-1)
        return Features(torch.cat(values, dim=1), posteriors[..., BLANK], bilabial, phoneme)
