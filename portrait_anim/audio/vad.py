"""Whether somebody is speaking or singing, frame by frame: the gate that lets the mouth rest in music and silence.

A small net (:class:`VoiceDetector`) reads it off the speech features. hama's own posteriors, which served before, are
blank inside a vowel that is held for seconds and in most real songs with much reverberation (docs/ablation.md). What is
silent in absolute terms has no voice either, whatever is heard in it once it is brought up to level.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from portrait_anim.audio.encoder import AudioEncoder, AudioEncoderConfig
from portrait_anim.audio.speech import SAMPLES_PER_FEATURE, SpeechConfig, fit_length, frame_rms
from portrait_anim.config import FEATURE_RATE, FEATURES_PER_FRAME, FPS
from portrait_anim.system.weights import load_metadata, load_tensors

WEIGHTS = "voice_detector"  # name in the registry


@dataclass(frozen=True)
class VoiceDetectorConfig:
    """Sizes; travels with the weights.

    Attributes:
        n_features: channels of the speech features.
        width: channels inside.
        dilations: one residual block each.
    """

    n_features: int = SpeechConfig().n_channels
    width: int = 48
    dilations: tuple[int, ...] = (1, 2, 4)


class VoiceDetector(nn.Module):
    """Speech features (B, C, T50) -> log odds of a voice (B, T25); each hears about .4 s to either side.

    Unlike the mouth's encoder it keeps each recording's mean: that of music is not that of a voice.
    """

    mean: Tensor
    spread: Tensor

    def __init__(self, config: VoiceDetectorConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or VoiceDetectorConfig()
        self.register_buffer("mean", torch.zeros(config.n_features))  # of the features over many recordings
        self.register_buffer("spread", torch.ones(config.n_features))
        self.encoder = AudioEncoder(
            AudioEncoderConfig(config.n_features, config.width, config.dilations, remove_mean=False)
        )
        self.odds = nn.Conv1d(config.width, 1, 1)

    @classmethod
    def from_weights(cls) -> VoiceDetector:
        """Load the registered weights, frozen.

        Raises:
            WeightsError: the file is missing or does not match the registry.
        """
        lines = json.loads(load_metadata(WEIGHTS)["config"])
        detector = cls(VoiceDetectorConfig(lines["n_features"], lines["width"], tuple(lines["dilations"])))
        detector.load_state_dict(load_tensors(WEIGHTS))
        return detector.requires_grad_(False).eval()

    def normalise(self, values: Tensor) -> Tensor:
        """(B, C, T50) -> the same with mean 0 and spread 1 over many recordings."""
        return (values - self.mean[:, None]) / self.spread[:, None]

    def forward(self, values: Tensor) -> Tensor:
        """(B, C, T50) of :attr:`portrait_anim.audio.speech.Features.values` -> (B, T25)."""
        odds: Tensor = self.odds(self.encoder(self.normalise(values)))[:, 0]
        return odds


WHOLE_ONLY = ("average_s",)  # fields of GateConfig that have no meaning live


@dataclass(frozen=True)
class GateConfig:
    """Where the gate opens and how fast, for whole recordings (:func:`voice_gate`) and for live sound (``LiveGate``).

    Every field but ``average_s`` counts in both. Live sound has no future: of a stretch round a frame its first half is
    taken.

    Attributes:
        average_s: stretch over which the log odds are averaged, centred. Of whole recordings only (:data:`WHOLE_ONLY`):
            live, a mean over the past would but open the gate later, and the streaming encoder, which has heard .2 s
            more than the frame it speaks of, needs none.
        threshold: their average at which the gate is half open.
        softness: the sigmoid's scale; one such step from the threshold is .73 or .27.
        level_s: stretch of which the loudest 20 ms count, so that gaps between words are not silence; live the loudest
            40 ms of its first half.
        silent_dbfs: at this level (and below) the gate is shut whatever is heard.
        heard_dbfs: from this level on the level does not matter.
        hold_s: time before and after a voice for which the gate stays open: mouths open before they sound; live
            after it alone.
        attack_s: time from shut to open.
        release_s: time from open to shut.
    """

    average_s: float = 0.3
    threshold: float = 1.5
    softness: float = 1.0
    level_s: float = 0.6
    silent_dbfs: float = -60.0
    heard_dbfs: float = -50.0
    hold_s: float = 0.08
    attack_s: float = 0.08
    release_s: float = 0.2


def moving_average(values: Tensor, length: int) -> Tensor:
    """Centred mean of ``length`` (odd) neighbours, (T,) -> (T,); at the ends of those that exist."""
    half = length // 2
    sums = functional.avg_pool1d(values[None], length, 1, half, count_include_pad=False)
    return sums[0]  # (T,)


def level_opening(waveform: Tensor, n_frames: int, config: GateConfig) -> Tensor:
    """How far the absolute level lets the gate open, (N,) -> (n_frames,) in 0..1 at 25 Hz."""
    rms = frame_rms(fit_length(waveform), SAMPLES_PER_FEATURE)[: FEATURES_PER_FRAME * n_frames]  # (T50,)
    half = round(config.level_s * FEATURE_RATE / 2)
    loudest = functional.max_pool1d(rms[None], 2 * half + 1, 1, half)[0]  # (T50,)
    dbfs = 20 * loudest.clamp(min=1e-8).log10()
    opening = ((dbfs - config.silent_dbfs) / (config.heard_dbfs - config.silent_dbfs)).clamp(0, 1)
    return opening.view(-1, FEATURES_PER_FRAME).mean(dim=-1)  # (T25,)


def follow(target: Tensor, rise: float, fall: float) -> Tensor:
    """Limit the change per step of (T,) to ``rise`` upwards and ``fall`` downwards, starting at its first value."""
    level = float(target[0])
    levels = []
    for wanted in target.tolist():
        level = min(wanted, level + rise) if wanted > level else max(wanted, level - fall)
        levels.append(level)
    return torch.tensor(levels, dtype=target.dtype, device=target.device)


def voice_gate(waveform: Tensor, odds: Tensor, config: GateConfig | None = None) -> Tensor:
    """Share of motion that the sound asks for.

    Args:
        waveform: (N,) at 16 kHz as recorded (before any level change).
        odds: (T25,) of :class:`VoiceDetector` for the same sound.
        config: where the gate opens.

    Returns:
        (T25,) in 0..1: near 1 while somebody speaks or sings, near 0 in silence and instrumental music.
    """
    config = config or GateConfig()
    heard = moving_average(odds, 2 * round(config.average_s * FPS / 2) + 1)
    target = torch.sigmoid((heard - config.threshold) / config.softness)
    target = target * level_opening(waveform, len(odds), config)
    half = round(config.hold_s * FPS)
    target = functional.max_pool1d(target[None], 2 * half + 1, 1, half)[0]
    return follow(target, 1 / (config.attack_s * FPS), 1 / (config.release_s * FPS))
