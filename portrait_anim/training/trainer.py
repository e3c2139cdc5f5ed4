"""Training of the mouth net (AudioEncoder + Generator) on prepared clips: minutes on two cores, resumable.

It runs in stages of the same kind. After each but the last, the model says of every clip by how much sound and picture
are apart, in fractions of a frame, and how large the person's mouth movements are; the next stage trains on the clips
with both removed.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor

from portrait_anim.audio.encoder import AudioEncoderConfig
from portrait_anim.errors import DataError
from portrait_anim.motion.generator import GeneratorConfig
from portrait_anim.motion.model import MotionModelConfig, MouthNet
from portrait_anim.motion.space import MotionSpace
from portrait_anim.training.copies import Copy
from portrait_anim.training.data import Batches, Fit, copy_example, example_of, fit_space
from portrait_anim.training.fits import estimate_fits
from portrait_anim.training.losses import Losses, weighted_total
from portrait_anim.training.prepare import Clip

Progress = Callable[[int, int, dict[str, float]], None]


@dataclass(frozen=True)
class TrainConfig:
    """The recipe.

    Attributes:
        weights: ``default`` (all train clips) or ``open`` (only clips free for any use).
        epochs: passes over the clips, in the last stage.
        first_epochs: passes in the stages before it.
        stages: how often; each takes offsets and amplitudes from the one before.
        offsets: whether later stages use re-estimated sound offsets.
        amplitudes: whether later stages bring people's amplitudes to the average.
        copies: whether sung and mixed copies, music, noise and silence are trained on, where they were made.
        voices: whether copies in other voices are trained on, where they were made.
        rest_share: share of stretches without a voice.
        batch_size: stretches a step.
        stretch: frames a stretch (3 s).
        learning_rate: peak of the one-cycle schedule.
        closure_weight: how much more the frames count in which the real lips are closed.
        average: decay of the running average of the weights that is exported, per step; 0 for none.
        width: channels of the net.
        seed: of the initial weights and the batches.
    """

    weights: str = "default"
    epochs: int = 8
    first_epochs: int = 4
    stages: int = 2
    offsets: bool = True
    amplitudes: bool = True
    copies: bool = True
    voices: bool = False
    rest_share: float = 0.1
    batch_size: int = 16
    stretch: int = 75
    learning_rate: float = 2e-3
    closure_weight: float = 1.0
    average: float = 0.99
    width: int = 128
    seed: int = 0


class Trainer:
    """One stage: examples, net, optimiser and where it has got to.

    Args:
        config: the recipe.
        clips: train clips only, see :func:`portrait_anim.training.data.choose`.
        copies: copies of them and rests; those of other clips are left out.
        out: folder of checkpoints and logs.
        stage: counted from 0.
        fits: by clip id; clips without one use their index's offset.
    """

    def __init__(
        self, config: TrainConfig, clips: Sequence[Clip], out: Path, *, copies: Sequence[Copy] = (), stage: int = 0,
        fits: dict[str, Fit] | None = None,
    ) -> None:  # fmt: skip
        self.config, self.out, self.clips, self.stage = config, out, clips, stage
        fits = fits or {}
        torch.manual_seed(config.seed)
        self.space = fit_space(clips, config.seed)
        examples = [example_of(clip, self.space, fits.get(clip.info.id)) for clip in clips]
        rests = []
        if config.copies:
            known = {clip.info.id: clip for clip in clips}
            for copy in copies:
                if copy.info.split != "train" or (copy.info.kind == "voice" and not config.voices):
                    continue
                if not copy.info.clip:
                    rests.append(copy_example(copy, None, self.space))
                elif copy.info.clip in known:
                    clip = known[copy.info.clip]
                    examples.append(copy_example(copy, clip, self.space, fits.get(clip.info.id)))
        n_features = len(examples[0].features)
        self.net = MouthNet(
            MotionModelConfig(
                encoder=AudioEncoderConfig(n_features=n_features, width=config.width),
                generator=GeneratorConfig(width=config.width),
            )
        )
        spread = np.concatenate([example.mouth for example in examples]).std(0)
        spread = np.maximum(spread, 1e-3 * spread.max())  # a component that never moves must not divide by zero
        self.net.scale.copy_(torch.from_numpy(spread))
        self.losses = Losses(self.space, self.net.scale.clone(), config.closure_weight)
        self.batches = Batches(examples, rests, config.batch_size, config.stretch, config.seed, config.rest_share)
        epochs = config.epochs if self.is_last else config.first_epochs
        self.n_steps = epochs * self.batches.per_epoch
        self.optimiser = torch.optim.AdamW(self.net.parameters(), config.learning_rate, weight_decay=1e-2)
        self.schedule = torch.optim.lr_scheduler.OneCycleLR(
            self.optimiser, config.learning_rate, total_steps=self.n_steps + 1
        )
        self.average = {name: value.detach().clone() for name, value in self.net.state_dict().items()}
        self.step = 0

    @property
    def is_last(self) -> bool:
        """Whether this stage makes the weights that ship."""
        return self.stage == self.config.stages - 1

    @property
    def name(self) -> str:
        """Of the stage's files."""
        return f"train_{self.config.weights}_{self.stage}"

    def train(self, progress: Progress | None = None, save_every: int = 100) -> None:
        """Run to the end, from the last checkpoint if there is one.

        Raises:
            DataError: the folder holds the checkpoint of another recipe.
        """
        self.out.mkdir(parents=True, exist_ok=True)
        self.resume()
        zero = torch.zeros(self.config.batch_size, self.net.config.encoder.n_features, 1)
        self.net.train()
        while self.step < self.n_steps:
            features, mouth, valid, closed = self.batches(self.step)
            losses = self.losses(self.net(features, zero), mouth, valid, closed)
            total = weighted_total(losses)
            self.optimiser.zero_grad()
            total.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(self.net.parameters(), 5.0)
            self.optimiser.step()
            self.schedule.step()
            self.step += 1
            self._follow()
            figures = {"total": float(total.detach()), **{name: float(v.detach()) for name, v in losses.items()}}
            if self.step % 20 == 0 or self.step == self.n_steps:
                self._log(figures)
            if self.step % save_every == 0 or self.step == self.n_steps:
                self.save()
            if progress:
                progress(self.step, self.n_steps, figures)
        self.net.load_state_dict(self.average)
        self.net.eval()

    def _follow(self) -> None:
        """Move the running average of the weights; early on it forgets faster, so that the start is not kept."""
        decay = min(self.config.average, (1 + self.step) / (10 + self.step)) if self.config.average else 0.0
        with torch.no_grad():
            for name, value in self.net.state_dict().items():
                self.average[name].lerp_(value, 1 - decay)

    def fits(self) -> dict[str, Fit]:
        """Say of every clip how far picture and sound are apart and how large the person moves."""
        found = estimate_fits(self.net, self.space, self.clips)
        config = self.config
        return {
            clip.info.id: Fit(
                found[clip.info.id].lag if config.offsets else float(clip.info.lag_frames or 0),
                found[clip.info.id].gain if config.amplitudes else 1.0,
            )
            for clip in self.clips
        }

    @property
    def checkpoint(self) -> Path:
        """Where the stage's state is kept."""
        return self.out / f"{self.name}.pt"

    def save(self) -> None:
        """Write the stage's state, atomically."""
        state = {
            "config": json.dumps(asdict(self.config)),
            "n_steps": self.n_steps,
            "step": self.step,
            "net": self.net.state_dict(),
            "average": self.average,
            "optimiser": self.optimiser.state_dict(),
            "schedule": self.schedule.state_dict(),
        }
        temporary = self.checkpoint.with_suffix(".tmp")
        torch.save(state, temporary)
        temporary.replace(self.checkpoint)

    def resume(self) -> None:
        """Take up the stage where its last checkpoint left it; nothing happens when there is none."""
        if not self.checkpoint.is_file():
            return
        state = torch.load(self.checkpoint, weights_only=True)
        if state["config"] != json.dumps(asdict(self.config)) or state["n_steps"] != self.n_steps:
            raise DataError(f"{self.checkpoint} is of another recipe or other data: name another --run folder")
        self.net.load_state_dict(state["net"])
        self.average = state["average"]
        self.optimiser.load_state_dict(state["optimiser"])
        self.schedule.load_state_dict(state["schedule"])
        self.step = int(state["step"])

    def _log(self, figures: dict[str, float]) -> None:
        path = self.out / f"{self.name}.csv"
        new = not path.is_file()
        with path.open("a", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, ["step", *figures])
            if new:
                writer.writeheader()
            writer.writerow({"step": self.step, **figures})
        self._tensorboard(figures)

    def _tensorboard(self, figures: dict[str, float]) -> None:
        """Log to TensorBoard where it is installed."""
        if not hasattr(self, "_writer"):
            try:
                from torch.utils.tensorboard import SummaryWriter
            except ImportError:
                self._writer = None
            else:
                self._writer = SummaryWriter(str(self.out / "tensorboard" / self.name))
        if self._writer is not None:
            for name, value in figures.items():
                self._writer.add_scalar(name, value, self.step)

    def export(self, path: Path) -> None:
        """Write the shipped file: net, basis and config."""
        export_weights(self.net, self.space, path)


def export_weights(net: MouthNet, space: MotionSpace, path: Path) -> None:
    """Write a net, its basis and its config as safetensors, atomically."""
    tensors: dict[str, Tensor] = {name: value.contiguous() for name, value in net.state_dict().items()}
    tensors["basis"] = torch.from_numpy(space.basis).contiguous()
    temporary = path.with_suffix(".tmp")
    save_file(tensors, temporary, metadata={"config": net.config.to_json()})
    temporary.chmod(0o644)
    temporary.replace(path)


def train_stages(
    config: TrainConfig,
    clips: Sequence[Clip],
    out: Path,
    copies: Sequence[Copy] = (),
    progress: Progress | None = None,
    save_every: int = 100,
) -> Trainer:
    """Train all stages, from the last checkpoint on; return the last one, finished."""
    fits: dict[str, Fit] = {}
    for stage in range(config.stages):
        trainer = Trainer(config, clips, out, copies=copies, stage=stage, fits=fits)
        trainer.train(progress, save_every)
        if not trainer.is_last:
            fits = trainer.fits()
            lines = {name: asdict(fit) for name, fit in fits.items()}
            (out / f"{trainer.name}_fits.json").write_text(json.dumps(lines, indent=1), "utf-8")
    return trainer
