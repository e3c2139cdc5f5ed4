"""Training of the mouth net (AudioEncoder + Generator) on prepared clips: minutes on two cores, resumable.

It runs in stages of the same kind. After each but the last, the net trained so far estimates two things: each clip's
audio offset (by how many frames, in fractions, the picture is later than the sound), and each person's amplitude (how
large their mouth movements are). The next stage trains on the clips with both removed.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor

from portrait_anim.audio.ears import Ears
from portrait_anim.audio.encoder import AudioEncoderConfig
from portrait_anim.motion.model import LIVE, UPPER, MotionModelConfig, MouthNet
from portrait_anim.motion.mouth import GeneratorConfig
from portrait_anim.motion.space import MotionSpace
from portrait_anim.motion.upper import UpperGenerator
from portrait_anim.training.data.clips import Alignment, Batches, copy_example, example_of, fit_space
from portrait_anim.training.data.copies import Copy
from portrait_anim.training.data.prepare import Clip
from portrait_anim.training.distributed import ProcessGroup
from portrait_anim.training.mouth.fits import estimate_fits
from portrait_anim.training.mouth.losses import Losses, weighted_total
from portrait_anim.training.runs import Average, Progress, Run, Stateful
from portrait_anim.training.steps import take_step


@dataclass(frozen=True)
class TrainConfig:
    """The recipe.

    Attributes:
        weights: ``default`` (all train clips) or ``open`` (only clips free for any use).
        epochs: passes over the clips, in the last stage.
        first_epochs: passes in the stages before it.
        stages: their number; each takes offsets and amplitudes from the one before.
        offsets: whether later stages use the estimated audio offsets.
        amplitudes: whether later stages scale everybody's mouth movements to the average amplitude.
        copies: whether sung and mixed copies, music, noise and silence are trained on, where they were made.
        voices: whether copies in other voices are trained on, where they were made.
        rest_share: share of stretches without a voice, at which the mouth rests.
        rests: which sounds these are; with recorded music among them, the mouth stays shut in real songs too.
        batch_size: stretches a step.
        stretch: frames a stretch (3 s).
        learning_rate: peak of the one-cycle schedule.
        closure_weight: extra weight of frames in which the real lips are closed.
        average: decay per step of the exponential moving average (EMA) of the weights, which is exported; 0 for none.
        width: channels of the net.
        half: bfloat16 inside the net (automatic mixed precision), for GPUs.
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
    rest_share: float = 0.05
    rests: tuple[str, ...] = ("noise", "silence")
    batch_size: int = 16
    stretch: int = 75
    learning_rate: float = 2e-3
    closure_weight: float = 1.0
    average: float = 0.99
    width: int = 128
    half: bool = False
    seed: int = 0


class Trainer:
    """One stage of training: examples, net, optimiser and the step reached.

    Args:
        config: the recipe.
        clips: train clips only, see :func:`portrait_anim.training.data.clips.choose`.
        copies: copies of them and rests; those of other clips are left out.
        out: folder of checkpoints and logs.
        stage: counted from 0.
        world: the processes that train together, each on its share of the batch of ``config.batch_size``.
        fits: by clip id, kept as ``known_fits``; clips without one use their index's offset.
    """

    def __init__(
        self, config: TrainConfig, clips: Sequence[Clip], out: Path, *, copies: Sequence[Copy] = (), stage: int = 0,
        fits: dict[str, Alignment] | None = None, world: ProcessGroup | None = None,
    ) -> None:  # fmt: skip
        self.config, self.clips, self.stage = config, clips, stage
        self.world = world = world or ProcessGroup()
        self.known_fits = fits = fits or {}
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
                    if copy.info.kind in config.rests:
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
        spread = np.maximum(spread, 1e-3 * spread.max())  # no division by zero for a component that never moves
        self.net.scale.copy_(torch.from_numpy(spread))
        self.net.to(world.device)
        self.losses = Losses(self.space, self.net.scale.clone(), config.closure_weight, world.total)
        self.batches = Batches(examples, rests, config.batch_size, config.stretch, config.seed, config.rest_share)
        epochs = config.epochs if self.is_last else config.first_epochs
        self.n_steps = epochs * self.batches.per_epoch
        self.optimiser = torch.optim.AdamW(self.net.parameters(), config.learning_rate, weight_decay=1e-2)
        self.schedule = torch.optim.lr_scheduler.OneCycleLR(
            self.optimiser, config.learning_rate, total_steps=self.n_steps + 1
        )
        self.average = Average(self.net, config.average)
        self.run = Run(out, self.name, json.dumps({**asdict(config), "n_steps": self.n_steps}))

    @property
    def is_last(self) -> bool:
        """Whether this is the last stage, whose weights are exported."""
        return self.stage == self.config.stages - 1

    @property
    def name(self) -> str:
        """Of the stage's files."""
        return f"train_{self.config.weights}_{self.stage}"

    def train(self, progress: Progress | None = None, save_every: int = 100) -> None:
        """Run to the end, from the last checkpoint if there is one.

        Raises:
            DataError: the folder holds the checkpoint of another recipe, or a batch's loss is not a number.
        """
        parts: dict[str, Stateful] = {
            "net": self.net, "average": self.average, "optimiser": self.optimiser, "schedule": self.schedule
        }  # fmt: skip
        self.net.train()
        self.run.drive(
            parts, self.n_steps, self._step, progress, save_every=save_every, writes=self.world.is_first
        )  # fmt: skip
        self.net.load_state_dict(self.average.state_dict())
        self.net.cpu().eval()
        self.world.wait()

    def _step(self, step: int) -> dict[str, float]:
        batch = self.batches(step)
        features, mouth, valid, closed = self.world.share(*batch)
        zero = torch.zeros(1, self.net.config.encoder.n_features, 1, device=self.world.device)
        with torch.autocast(self.world.device.type, torch.bfloat16, enabled=self.config.half):
            made = self.net(features, zero)
        losses = self.losses(made.float(), mouth, valid, closed)
        total = weighted_total(losses)
        names = partial(self.batches.names, step)
        take_step(total, self.net, self.optimiser, batch, names, max_norm=5.0, world=self.world)
        self.schedule.step()
        self.average.follow(self.net, step + 1)
        return {name: float(self.world.total(v.detach())) for name, v in {"total": total, **losses}.items()}

    def fits(self) -> dict[str, Alignment]:
        """Return each clip's audio offset and its person's amplitude, estimated by this stage's net, by clip id."""
        found = estimate_fits(self.net, self.space, self.clips)
        config = self.config
        return {
            clip.info.id: Alignment(
                found[clip.info.id].lag if config.offsets else float(clip.info.lag_frames or 0),
                found[clip.info.id].gain if config.amplitudes else 1.0,
            )
            for clip in self.clips
        }


def export_weights(net: MouthNet, upper: UpperGenerator, ears: Ears, space: MotionSpace, path: Path) -> None:
    """Write the weight file, atomically: mouth net, upper face, ears, basis and config (safetensors)."""
    tensors: dict[str, Tensor] = {name: value.contiguous() for name, value in net.state_dict().items()}
    tensors |= {UPPER + name: value.contiguous() for name, value in upper.state_dict().items()}
    tensors |= {LIVE + name: value.contiguous() for name, value in ears.state_dict().items()}
    tensors["basis"] = torch.from_numpy(space.basis).contiguous()
    config = replace(net.config, upper=upper.config, live=ears.config)
    temporary = path.with_suffix(".tmp")
    save_file(tensors, temporary, metadata={"config": config.to_json()})
    temporary.chmod(0o644)
    temporary.replace(path)


def train_stages(
    config: TrainConfig,
    clips: Sequence[Clip],
    out: Path,
    copies: Sequence[Copy] = (),
    progress: Progress | None = None,
    save_every: int = 100,
    world: ProcessGroup | None = None,
) -> Trainer:
    """Train all stages, from the last checkpoint on; return the last one, finished."""
    fits: dict[str, Alignment] = {}
    for stage in range(config.stages):
        trainer = Trainer(config, clips, out, copies=copies, stage=stage, fits=fits, world=world)
        trainer.train(progress, save_every)
        if not trainer.is_last:
            fits = trainer.fits()
            lines = {name: asdict(fit) for name, fit in fits.items()}
            if trainer.world.is_first:
                (out / f"{trainer.name}_fits.json").write_text(json.dumps(lines, indent=1), "utf-8")
    return trainer
