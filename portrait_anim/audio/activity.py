"""Whether somebody is speaking or singing, frame by frame: the gate that lets the mouth rest in music and silence.

Two things must hold: hama hears phonemes (averaged over .6 s), and the recording is not silent there in absolute
terms (hama's posteriors on silence and faint noise, brought up to level, mean nothing). What it hears is best read from
the probability of the likeliest phoneme, to the power 1.5: speech gives spikes near 1, while noise and instruments give
a little of many tokens all the time. One minus the blank probability, all that is needed besides the waveform, counts
those too and opens in white noise.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from portrait_anim.audio.speech import SAMPLES_PER_FEATURE, fit_length, frame_rms
from portrait_anim.config import FEATURE_RATE, FEATURES_PER_FRAME


@dataclass(frozen=True)
class GateConfig:
    """Where the gate opens and how fast; the defaults are for one minus the blank probability.

    Attributes:
        average_s: stretch over which the probability and the level are taken, centred.
        power: exponent of the probability before averaging; more lets single sure phonemes count more.
        threshold: its average at which the gate is half open.
        softness: the sigmoid's scale; one such step from the threshold is .73 or .27.
        silent_dbfs: at this level (and below) the gate is shut whatever hama hears.
        heard_dbfs: from this level on the level does not matter.
        hold_s: time before and after a voice for which the gate stays open: mouths open before they sound.
        attack_s: time from shut to open.
        release_s: time from open to shut.
    """

    average_s: float = 0.6
    power: float = 1.0
    threshold: float = 0.04
    softness: float = 0.008
    silent_dbfs: float = -60.0
    heard_dbfs: float = -50.0
    hold_s: float = 0.0
    attack_s: float = 0.08
    release_s: float = 0.2


FOR_BLANK = GateConfig()
# set on a song with syllable times and karaoke (mouth closed in rests and to music alone) and on GRID's r, which a
# higher threshold or no hold cost .017; docs/ablation.md
FOR_PHONEME = GateConfig(power=1.5, threshold=0.0015, softness=0.0004, hold_s=0.3)


def moving_average(values: Tensor, length: int) -> Tensor:
    """Centred mean of ``length`` (odd) neighbours, (T,) -> (T,); at the ends of those that exist."""
    half = length // 2
    sums = functional.avg_pool1d(values[None], length, 1, half, count_include_pad=False)
    return sums[0]  # (T,)


def level_opening(waveform: Tensor, n_frames: int, config: GateConfig) -> Tensor:
    """How far the absolute level lets the gate open, (N,) -> (n_frames,) in 0..1 at 50 Hz.

    The level is the loudest 20 ms within ``average_s``, so gaps between words do not count as silence.
    """
    rms = frame_rms(fit_length(waveform), SAMPLES_PER_FEATURE)[:n_frames]  # (T50,)
    half = round(config.average_s * FEATURE_RATE / 2)
    loudest = functional.max_pool1d(rms[None], 2 * half + 1, 1, half)[0]  # (T50,)
    dbfs = 20 * loudest.clamp(min=1e-8).log10()
    return ((dbfs - config.silent_dbfs) / (config.heard_dbfs - config.silent_dbfs)).clamp(0, 1)


def follow(target: Tensor, rise: float, fall: float) -> Tensor:
    """Limit the change per step of (T,) to ``rise`` upwards and ``fall`` downwards, starting at its first value."""
    level = float(target[0])
    levels = []
    for wanted in target.tolist():
        level = min(wanted, level + rise) if wanted > level else max(wanted, level - fall)
        levels.append(level)
    return torch.tensor(levels, dtype=target.dtype, device=target.device)


def voice_gate(
    waveform: Tensor, blank: Tensor, phoneme: Tensor | None = None, config: GateConfig | None = None
) -> Tensor:
    """Share of motion that the sound asks for.

    Args:
        waveform: (N,) at 16 kHz as recorded (before any level change).
        blank: (T50,) of :class:`portrait_anim.audio.speech.Features` for the same sound.
        phoneme: (T50,) of the same; given, it is used instead of ``blank`` and keeps the gate shut in noise and most
            instrumental music.
        config: where the gate opens; None takes what was measured for the one that is used.

    Returns:
        (T25,) in 0..1: near 1 while somebody speaks or sings, near 0 in silence and instrumental music.
    """
    heard = 1 - blank if phoneme is None else phoneme
    config = config or (FOR_BLANK if phoneme is None else FOR_PHONEME)
    length = 2 * round(config.average_s * FEATURE_RATE / 2) + 1
    voiced = moving_average(heard.clamp(min=0) ** config.power, length)  # (T50,)
    target = torch.sigmoid((voiced - config.threshold) / config.softness)
    target = target * level_opening(waveform, len(heard), config)
    half = round(config.hold_s * FEATURE_RATE)
    target = functional.max_pool1d(target[None], 2 * half + 1, 1, half)[0]  # (T50,)
    gate = follow(target, 1 / (config.attack_s * FEATURE_RATE), 1 / (config.release_s * FEATURE_RATE))
    return gate.view(-1, FEATURES_PER_FRAME).mean(dim=-1)  # (T25,)
