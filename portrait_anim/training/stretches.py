"""Stretches of voices in music and noise, and what is to be heard in them: the clean voice's features.

Drawn from what :mod:`portrait_anim.training.voices` wrote, for nets that learn to hear a voice through everything else.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from portrait_anim.audio.load import load_audio
from portrait_anim.audio.speech import SAMPLES_PER_FEATURE, SpeechConfig
from portrait_anim.config import FEATURE_RATE
from portrait_anim.training.song import chords, noise, reverberate
from portrait_anim.training.voices import Tensors, load_corpus

Array = npt.NDArray[np.float32]
LEVEL_DBFS = SpeechConfig.level_dbfs


@dataclass(frozen=True)
class StretchConfig:
    """How stretches are drawn.

    Attributes:
        batch_size: of them a step.
        stretch_s: their length.
        disturbed: share with music or noise.
        reverberated: share of the voices put in a room.
        sung: how much oftener than the others a recording is taken that was converted to song.
        gain_db: largest change of the level.
        centred: features are asked for about their recording's mean, else as they are.
        seed: of the stretches.
    """

    batch_size: int = 16
    stretch_s: float = 4.0
    disturbed: float = 0.65
    reverberated: float = 0.0
    sung: float = 1.0
    gain_db: float = 8.0
    centred: bool = True
    seed: int = 0


class Stretches:
    """Stretches of voices as they are given, and what is asked for; drawn by seed and step alone."""

    def __init__(self, folder: Path, music: list[Path], config: StretchConfig) -> None:
        self.config = config
        self.files = load_corpus(folder)
        self.music = [load_audio(path) for path in music]
        sums, squares, count = 0.0, 0.0, 0
        self.means = []
        for file in self.files:
            values = file["features"].astype(np.float32)
            mean = values.mean(1)
            self.means.append(mean if config.centred else np.zeros_like(mean))
            squares = squares + ((values - mean[:, None]) ** 2).sum(1)
            count += values.shape[1]
        self.spread = np.sqrt(squares / count) + 1e-4 + sums  # (C,) of the features about their recording's mean
        seconds = np.array([len(file["waveform"]) for file in self.files], float)
        seconds *= [config.sung if "sung" in file else 1.0 for file in self.files]
        self.odds = seconds / seconds.sum()

    def __call__(self, step: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return waveforms (B, N), features (B, C, T50), their weight (B, T50) and the voice (B, T50).

        Features are in units of :attr:`spread`; those of frames without weight are 0.
        """
        config = self.config
        rng = np.random.default_rng((config.seed, step))
        n = round(config.stretch_s * FEATURE_RATE)
        size, length = config.batch_size, n * SAMPLES_PER_FEATURE
        channels = len(self.spread)
        waves = np.zeros((size, length), np.float32)
        wanted, weight = np.zeros((size, channels, n), np.float32), np.zeros((size, n), np.float32)
        voice = np.zeros((size, n), np.float32)
        for row in range(size):
            kind = rng.random()
            if kind >= 0.1:
                wave, at, file, which = self._voice(rng, n)
                if config.reverberated and rng.random() < config.reverberated:
                    wave = np.asarray(reverberate(wave, rng, (0.2, 1.8), (0.15, 0.9)), np.float32)
                waves[row, : len(wave)] = wave
                low = np.clip(np.floor(at).astype(int), 0, file["features"].shape[1] - 1)
                high = np.minimum(low + 1, file["features"].shape[1] - 1)
                part = (at - np.floor(at)).astype(np.float32)
                values = file["features"][:, low] * (1 - part) + file["features"][:, high] * part
                m = len(at)
                wanted[row, :, :m] = (values - self.means[which][:, None]) / self.spread[:, None]
                weight[row, :m] = 1
                voice[row, :m] = file["gate"][np.clip(low // 2, 0, len(file["gate"]) - 1)]
            if kind < config.disturbed:
                self._disturb(waves[row], rng)
            waves[row] *= 10 ** (rng.uniform(-config.gain_db, config.gain_db) / 20)
        return tuple(torch.from_numpy(a) for a in (waves, wanted, weight, voice))  # type: ignore[return-value]

    def _voice(self, rng: np.random.Generator, n: int) -> tuple[Array, npt.NDArray[np.floating], Tensors, int]:
        """A stretch at :data:`LEVEL_DBFS`, the feature frame each of its frames is, and the recording."""
        which = int(rng.choice(len(self.files), p=self.odds))
        file = self.files[which]
        sung = "sung" in file and rng.random() < 0.7
        wave = file["sung" if sung else "waveform"]
        frames = min(len(wave) // SAMPLES_PER_FEATURE, len(file["source"]) if sung else file["features"].shape[1])
        start = int(rng.integers(0, max(1, frames - n + 1)))
        at = np.arange(start, min(start + n, frames))
        part = wave[start * SAMPLES_PER_FEATURE : (start + len(at)) * SAMPLES_PER_FEATURE].astype(np.float32)
        loud = np.abs(part) > 0.1 * max(float(np.abs(part).max()), 1.0)
        level = float(np.sqrt((part[loud] ** 2).mean())) if loud.any() else 1.0
        scaled = np.asarray(part * (10 ** (LEVEL_DBFS / 20) / max(level, 1.0)), np.float32)
        return scaled, np.asarray(file["source"][at] if sung else at, np.float64), file, which

    def _disturb(self, wave: Array, rng: np.random.Generator) -> None:
        """Add music or noise in place, 6 dB below to 15 dB above it."""
        kind = rng.random()
        if kind < 0.6 and self.music:
            piece = self.music[int(rng.integers(len(self.music)))]
            start = int(rng.integers(max(1, len(piece) - len(wave))))
            other = np.resize(piece[start : start + len(wave)], len(wave))
        elif kind < 0.75:
            other = chords(len(wave), rng)
        else:
            other = noise(len(wave), rng)
        rms = float(np.sqrt((other**2).mean()))
        if rms > 1e-6:
            wave += other * (10 ** ((LEVEL_DBFS - rng.uniform(-6, 15)) / 20) / rms)
