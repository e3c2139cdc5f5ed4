"""Training of the :class:`UpperGenerator` against three discriminators: minutes on one core, resumable."""

from __future__ import annotations

import copy
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from portrait_anim.config import FPS
from portrait_anim.motion.model import MouthNet
from portrait_anim.motion.noise import make_noise
from portrait_anim.motion.temperament import gains, with_slow
from portrait_anim.motion.upper import LID, N_RATES, RATE_RANGE, TRACKS, UpperConfig, UpperGenerator
from portrait_anim.training.data.clips import Alignment
from portrait_anim.training.data.prepare import Clip
from portrait_anim.training.runs import Progress, Run, Stateful
from portrait_anim.training.steps import take_step
from portrait_anim.training.upper.data import UpperBatches, UpperExample, shape_space, temper_space, upper_examples
from portrait_anim.training.upper.discriminators import DISCRIMINATORS
from portrait_anim.training.upper.tracks import BLINK

LOG_EVERY = 50  # steps

FILM, DRAWN = 150, 8  # frames of a film, and temperaments of a face, on which amplitudes are taken
MISMATCH_FRAMES = (8, 30)  # range by which a voice is shifted to make false pairs for the sync discriminator


@dataclass(frozen=True)
class AdversarialConfig:
    """The recipe.

    Attributes:
        discriminators: weight of each in the generator's loss; without an entry it is left out.
        l1: weight of the plain distance to the real tracks.
        steps: of both sides, one each.
        batch_size: stretches a step.
        stretch: frames a stretch (4 s).
        learning_rate: of the generator; the discriminators learn twice as fast. Falls to 0 over the last 30 %.
        average: decay per step of the exponential moving average of the generator's weights, which is exported.
        main_share: share of stretches from the main speaker, who has many sentences.
        seed: of weights, batches and noise.
    """

    discriminators: dict[str, float] = field(default_factory=lambda: {"frame": 1.0, "sequence": 1.0, "sync": 0.5})
    l1: float = 0.0
    steps: int = 6000
    batch_size: int = 32
    stretch: int = 100
    learning_rate: float = 2e-4
    average: float = 0.998
    main_share: float = 0.1
    seed: int = 0


def _slow_and_fast(tracks: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Return (2, 11) standard deviations of what is slow in (T, 11) tracks, and of the rest; means over 6 s each."""
    low = with_slow(tracks, np.full(tracks.shape[1], 2, np.float32)) - tracks
    pieces = max(1, len(tracks) // FILM)
    parts = [np.array_split(part, pieces) for part in (low, tracks - low)]
    return np.array([np.mean([piece.std(0) for piece in part], axis=0) for part in parts], np.float32)


class AdversarialTrainer:
    """Generator, discriminators, optimisers and the step reached.

    Args:
        config: the recipe.
        mouth: the trained mouth net, whose latents drive; it does not change.
        clips: train clips only.
        out: folder of checkpoints and logs.
        name: of the files.
        fits: offsets by clip id.
    """

    def __init__(
        self, config: AdversarialConfig, mouth: MouthNet, clips: Sequence[Clip], out: Path, *, name: str = "upper",
        fits: dict[str, Alignment] | None = None,
    ) -> None:  # fmt: skip
        self.config = config
        torch.manual_seed(config.seed)
        examples, spread = upper_examples(mouth, clips, fits)
        self.net = UpperGenerator(UpperConfig(latent_width=examples[0].latents.shape[1]))
        mean, basis = shape_space(examples, self.net.config.n_shape)
        temper_mean, temper_root = temper_space(examples)
        for buffer, value in (
            (self.net.scale, spread), (self.net.shape_mean, mean), (self.net.shape_basis, basis),
            (self.net.temper_mean, temper_mean), (self.net.temper_root, temper_root),
        ):  # fmt: skip
            buffer.copy_(torch.from_numpy(np.ascontiguousarray(value)))
        self.batches = UpperBatches(examples, config.batch_size, config.stretch, config.seed, config.main_share)
        n_condition = self.net.config.n_conditions
        self.discriminators = nn.ModuleDict(
            {part: DISCRIMINATORS[part](n_condition, self.net.config.latent_width) for part in config.discriminators}
        )
        self.average = copy.deepcopy(self.net).requires_grad_(False).eval()
        rate, betas = config.learning_rate, (0.0, 0.9)
        self.optimiser = torch.optim.Adam(self.net.parameters(), rate, betas=betas)
        judges = list(self.discriminators.parameters())
        self.judge_optimiser = torch.optim.Adam(judges, 2 * rate, betas=betas) if judges else None
        self.run = Run(out, name, json.dumps(asdict(config)))

    def train(self, progress: Progress | None = None, save_every: int = 200) -> UpperGenerator:
        """Run to the end, from the last checkpoint if there is one; return the averaged generator.

        Raises:
            DataError: the folder holds the checkpoint of another recipe, or a batch's loss is not a number.
        """
        parts: dict[str, Stateful] = {
            "net": self.net, "average": self.average, "discriminators": self.discriminators,
            "optimiser": self.optimiser,
        }  # fmt: skip
        if self.judge_optimiser is not None:
            parts["judge_optimiser"] = self.judge_optimiser
        self.run.drive(parts, self.config.steps, self._step, progress, save_every=save_every, log_every=LOG_EVERY)
        self.measure_spreads()
        self.measure_blinks()
        return self.average

    def measure_spreads(self) -> None:
        """Bring the amplitudes of films, slow and fast, on average over people to those of their longest clips.

        The discriminators tell shapes of motion better than sizes: nods and shifts come out at half their size, and
        heads wander less than people's.
        """
        longest: dict[str, UpperExample] = {}
        for example in self.batches.examples:
            if example.person not in longest or len(example.tracks) > len(longest[example.person].tracks):
                longest[example.person] = example
        examples = list(longest.values())
        generator = torch.Generator().manual_seed(0)
        made, real = [], []
        for example in examples:
            face = example.shape.reshape(-1, 3)
            rate, temperament = torch.tensor([example.blink_rate]), torch.from_numpy(example.temperament)[None]
            with torch.no_grad():
                condition = self.average.condition(torch.from_numpy(face)[None], rate.float(), temperament)
                noise = make_noise(1, len(example.latents), generator)
                tracks = self.average(torch.from_numpy(example.latents.T[None].copy()), noise, condition)[0]
            drawn = np.mean([gains(self.average.temperament(seed, face), len(TRACKS)) for seed in range(DRAWN)], axis=0)
            made.append(_slow_and_fast(tracks.T.numpy()) * drawn)
            real.append(_slow_and_fast(example.tracks) * gains(example.temperament, len(TRACKS)))
        slow, fast = np.mean(real, axis=0) / np.mean(made, axis=0)
        slow[LID] = fast[LID] = 1
        self.average.scale.mul_(torch.from_numpy(fast))
        self.average.slow.copy_(torch.from_numpy(slow / fast))

    def measure_blinks(self, n_clips: int = 60) -> None:
        """Measure how often the averaged generator blinks at each rate asked for (:attr:`UpperGenerator.rates`)."""
        asked = torch.linspace(RATE_RANGE[0], RATE_RANGE[1], N_RATES)
        examples = self.batches.examples[:: max(1, len(self.batches.examples) // n_clips)]
        found = []
        for rate in asked:
            condition, generator = self.average.condition(None, rate[None], None), torch.Generator().manual_seed(0)
            with torch.no_grad():
                lids = [
                    self.average(
                        torch.from_numpy(example.latents.T[None].copy()),
                        make_noise(1, len(example.latents), generator), condition,
                    )[0, LID]
                    for example in examples
                ]  # fmt: skip
            blinks = sum(int(((lid[1:] > BLINK) & (lid[:-1] <= BLINK)).sum()) for lid in lids)
            found.append(blinks / sum(map(len, lids)) * FPS)
        rising = np.maximum.accumulate(found) + 1e-4 * np.arange(N_RATES)
        self.average.rates.copy_(torch.stack([asked, torch.from_numpy(rising).float()]))

    def _step(self, step: int) -> dict[str, float]:
        config = self.config
        batch = latents, real, shapes, rates, temperaments = self.batches(step)
        names = partial(self.batches.names, step)
        condition = self.net.condition(shapes, rates, temperaments)
        noise = make_noise(len(real), config.stretch, torch.Generator().manual_seed(config.seed + 7919 * step))
        made = self.net(latents, noise, condition)
        figures: dict[str, float] = {}
        if self.judge_optimiser is not None:
            judged = self._judge(step, latents, real, made.detach(), condition)
            take_step(torch.stack(list(judged.values())).sum(), self.discriminators, self.judge_optimiser, batch, names)
            figures |= {f"{part}/discriminator": float(loss.detach()) for part, loss in judged.items()}
        losses = {"l1": config.l1 * (made - real).abs().mean()} if config.l1 else {}
        for part, judge in self.discriminators.items():
            losses[f"{part}/generator"] = config.discriminators[part] * judge(latents, made, condition).generator_loss()
        for group in self.optimiser.param_groups:
            group["lr"] = config.learning_rate * min(1.0, (config.steps - step) / (0.3 * config.steps))
        take_step(torch.stack(list(losses.values())).sum(), self.net, self.optimiser, batch, names)
        decay = min(config.average, (1 + step) / (10 + step))
        with torch.no_grad():
            for kept, new in zip(self.average.parameters(), self.net.parameters(), strict=True):
                kept.lerp_(new, 1 - decay)
        return figures | {name: float(loss.detach()) for name, loss in losses.items()}

    def _judge(self, step: int, latents: Tensor, real: Tensor, made: Tensor, condition: Tensor) -> dict[str, Tensor]:
        """Return each discriminator's hinge loss; sync is shown real motion with another or a shifted voice too."""
        losses = {}
        for part, judge in self.discriminators.items():
            loss = judge(latents, real, condition).real_loss() + judge(latents, made, condition).fake_loss()
            if part == "sync":
                shift = int(np.random.default_rng((self.config.seed, step, 2)).integers(*MISMATCH_FRAMES))
                for other in (latents.roll(1, dims=0), latents.roll(shift, dims=2)):
                    loss = loss + 0.5 * judge(other, real, condition).fake_loss()
            losses[part] = loss
        return losses
