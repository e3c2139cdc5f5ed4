"""Training of the ears for live sound: from hama's first blocks on a short window to latents of whole recordings.

Windows are drawn from clips as live sound gives them: beginning in silence, ending a little after the frame that is
asked for, at a level that is not quite known, with music or noise in the background. The latents go through the mouth
net's own generator, which is not changed, and the losses are those of the mouth; the distance to the latents that the
mouth net makes of the whole recording is added, since the upper face is made from latents too, and whether there is a
voice is learned from the voice detector.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from portrait_anim.audio.ears import Ears, EarsConfig, Hearing
from portrait_anim.audio.speech import SpeechConfig, fit_length, level_gain
from portrait_anim.audio.vad import VoiceDetector
from portrait_anim.config import SAMPLES_PER_FRAME
from portrait_anim.motion.model import MouthNet
from portrait_anim.motion.space import MotionSpace
from portrait_anim.training.data.clips import MAIN_PERSON, Alignment, Example, copy_example, example_of
from portrait_anim.training.data.copies import Copy
from portrait_anim.training.data.prepare import Clip
from portrait_anim.training.mouth.losses import Losses, weighted_total
from portrait_anim.training.runs import Progress, Run, Stateful
from portrait_anim.training.steps import take_step

Array = npt.NDArray[np.float32]

FULL_SCALE = 32767
LATENT_WEIGHT, VOICE_WEIGHT = 2.0, 1.0  # beside losses in % IOD
MAIN_SHARE = 0.4  # of the windows that are the main speaker's, who has many sentences
REST_SHARE = 0.12  # of the windows without a voice
MIXED_SHARE = 0.3  # of the windows with one that have music or noise in them
MIXED_DB = (-3.0, 15.0)  # how much louder the voice is than it
LEVEL_DB = 4.0  # by which the level of a window is wrong at most
JUDGED, NEWEST, NEWEST_WEIGHT = 24, 4, 3.0  # frames of a window that count; the newest of them, and how much more
NO_VOICE = -4.0  # log odds of a sound without one


@dataclass(frozen=True)
class EarsTrainConfig:
    """The recipe.

    Attributes:
        ears: sizes.
        weights: name of the set that is trained.
        steps: of the optimiser.
        batch_size: windows a step.
        learning_rate: the greatest; it rises and falls (OneCycle).
        closure_weight: as of the mouth.
        seed: of weights and windows.
    """

    ears: EarsConfig
    weights: str = "default"
    steps: int = 2500
    batch_size: int = 24
    learning_rate: float = 2e-3
    closure_weight: float = 1.0
    seed: int = 0


@dataclass(frozen=True)
class Heard:
    """A clip or copy: its sound (N,) at level, what belongs to it, and what the nets for recordings make of it."""

    sound: Array
    example: Example
    latents: Array  # (T, C)
    odds: Array  # (T,)


@torch.no_grad()
def heard(
    net: MouthNet, voice: VoiceDetector, space: MotionSpace, clips: Sequence[Clip], copies: Sequence[Copy],
    fits: dict[str, Alignment],
) -> tuple[list[Heard], list[Array]]:  # fmt: skip
    """Return clips and copies with a voice, and the sounds of copies without one."""
    known = {clip.info.id: clip for clip in clips}
    voices, rests = [], []
    items = [(clip.tensors, example_of(clip, space, fits.get(clip.info.id))) for clip in clips]
    for copy in copies:
        if copy.info.split != "train" or copy.info.kind == "voice":
            continue
        sound = _at_level(copy.tensors["waveform"].astype(np.float32) / FULL_SCALE)
        if not copy.info.clip:
            rests.append(sound)
        elif copy.info.clip in known:
            example = copy_example(copy, known[copy.info.clip], space, fits.get(copy.info.clip))
            items.append((copy.tensors, example))
    for tensors, example in items:
        features = torch.from_numpy(tensors["features"].astype(np.float32))[None]
        latents, odds = net.encoder(features)[0].T.numpy(), voice(features)[0].numpy()
        sound = _at_level(tensors["waveform"].astype(np.float32) / FULL_SCALE)
        voices.append(Heard(sound, example, latents, odds))
    return voices, rests


def _at_level(sound: npt.NDArray[np.floating]) -> Array:
    whole = fit_length(torch.from_numpy(np.asarray(sound, np.float32)))[None]
    return np.asarray((whole * level_gain(whole, SpeechConfig())[:, None])[0].numpy(), np.float32)


class Windows:
    """Random windows; they depend on seed and step alone.

    Args:
        voices: with a voice.
        rests: sounds without one, at level; may be empty.
        config: the recipe.
    """

    def __init__(self, voices: Sequence[Heard], rests: Sequence[Array], config: EarsTrainConfig) -> None:
        self._voices, self._rests, self._config = voices, rests, config
        frames = np.array([np.sqrt(len(item.latents)) for item in voices])
        main = np.array([item.example.person == MAIN_PERSON for item in voices])
        if main.any() and not main.all():
            frames[main] *= MAIN_SHARE * frames[~main].sum() / ((1 - MAIN_SHARE) * frames[main].sum())
        self._probability = frames / frames.sum()

    def names(self, step: int) -> list[str]:
        """Return the names (B,) of the clips and copies."""
        return [self._voices[i].example.name for i in self._drawn(np.random.default_rng((self._config.seed, step)))]

    def _drawn(self, rng: np.random.Generator) -> npt.NDArray[np.int64]:
        return rng.choice(len(self._voices), self._config.batch_size, p=self._probability)

    def __call__(self, step: int) -> tuple[Tensor, ...]:
        """Return sound (B, N), mouth (B, K, W), valid, closed (B, W), latents (B, C, W), odds (B, W)."""
        rng = np.random.default_rng((self._config.seed, step))
        length = self._config.ears.window
        judged = np.zeros(length, np.float32)
        end = length - self._config.ears.ahead
        judged[end - JUDGED : end] = 1 / NEWEST_WEIGHT
        judged[end - NEWEST : end] = 1
        parts: list[list[Array]] = [[] for _ in range(6)]
        for i in self._drawn(rng):
            item = self._voices[i]
            n_frames = len(item.latents)
            start = int(rng.integers(-length + 2 * self._config.ears.ahead, n_frames - self._config.ears.ahead))
            at = np.arange(start, start + length)
            inside = ((at >= 0) & (at < min(n_frames, len(item.example.mouth)))).astype(np.float32)
            rested = self._rests and rng.random() < REST_SHARE
            sound = self._rest(rng) if rested else _cut(item.sound, start, length)
            if not rested and self._rests and rng.random() < MIXED_SHARE:
                sound = sound + self._rest(rng) * 10 ** (-rng.uniform(*MIXED_DB) / 20)
            inside = np.ones_like(inside) if rested else inside
            held = np.clip(at, 0, n_frames - 1)
            mouth = item.example.mouth[np.clip(at, 0, len(item.example.mouth) - 1)]
            row = (
                sound * 10 ** (rng.uniform(-LEVEL_DB, LEVEL_DB) / 20),
                np.zeros_like(mouth.T) if rested else mouth.T,
                judged * inside * (1 if rested else _held(item.example.valid, at)),
                np.zeros_like(inside) if rested else _held(item.example.closed, at),
                item.latents[held].T * (0 if rested else 1),
                np.full(length, NO_VOICE, np.float32) if rested else item.odds[held],
            )
            for part, value in zip(parts, row, strict=True):
                part.append(np.asarray(value, np.float32))
        return tuple(torch.from_numpy(np.stack(part)) for part in parts)

    def _rest(self, rng: np.random.Generator) -> Array:
        sound = self._rests[int(rng.integers(len(self._rests)))]
        last = max(1, len(sound) // SAMPLES_PER_FRAME - self._config.ears.window)
        return _cut(sound, int(rng.integers(last)), self._config.ears.window)


def _cut(sound: Array, start: int, length: int) -> Array:
    """Return ``length`` frames of sound from frame ``start`` on, with silence before and after it."""
    first, last = start * SAMPLES_PER_FRAME, (start + length) * SAMPLES_PER_FRAME
    part = sound[max(first, 0) : max(last, 0)]
    before = max(0, -first)
    return np.pad(part, (before, last - first - before - len(part)))


def _held(values: Array, at: npt.NDArray[np.int64]) -> Array:
    return values[np.clip(at, 0, len(values) - 1)]


def train_ears(
    net: MouthNet, space: MotionSpace, hearing: Hearing, voices: Sequence[Heard], rests: Sequence[Array],
    config: EarsTrainConfig, out: Path, progress: Progress | None = None, save_every: int = 100,
) -> Ears:  # fmt: skip
    """Train the ears, from the last checkpoint on.

    Args:
        net: the finished mouth net, which stays as it is.
        space: of its coefficients.
        hearing: the frozen part.
        voices: from :func:`heard`.
        rests: sounds without a voice, at level.
        config: the recipe.
        out: folder of checkpoints and logs.
        progress: called as ``progress(step, steps, figures)``.
        save_every: steps between checkpoints.

    Raises:
        DataError: the folder holds the checkpoint of another recipe, or a batch's loss is not a number.
    """
    torch.manual_seed(config.seed)
    windows = Windows(voices, rests, config)
    ears = Ears(config.ears)
    losses_of = Losses(space, net.scale.clone(), config.closure_weight)
    optimiser = torch.optim.AdamW(ears.parameters(), config.learning_rate, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, config.learning_rate, total_steps=config.steps + 1)
    run = Run(out, f"ears_{config.weights}", json.dumps(asdict(config)))
    parts: dict[str, Stateful] = {"ears": ears, "optimiser": optimiser, "schedule": schedule}

    def take(step: int) -> dict[str, float]:
        batch = sound, mouth, valid, closed, wanted, odds = windows(step)
        with torch.no_grad():
            features = hearing(sound)
        latents, heard_odds = ears(features)
        losses = losses_of(net.mouth(latents), mouth, valid, closed)
        voiced = valid * (odds > NO_VOICE).float()
        away = ((latents - wanted).abs().mean(1) * voiced).sum() / voiced.sum().clamp(min=1)
        told = functional.binary_cross_entropy_with_logits(heard_odds, odds.sigmoid(), reduction="none")
        voice = (told * valid).sum() / valid.sum().clamp(min=1)
        total = weighted_total(losses) + LATENT_WEIGHT * away + VOICE_WEIGHT * voice
        take_step(total, ears, optimiser, batch, partial(windows.names, step), max_norm=5.0)
        schedule.step()
        figures = {"total": total, "latents": away, "voice": voice, **losses}
        return {name: float(value.detach()) for name, value in figures.items()}

    run.drive(parts, config.steps, take, progress, save_every=save_every)
    return ears.requires_grad_(False).eval()
