"""Training of the mouth net (AudioEncoder + Generator) on prepared clips: minutes on two cores, resumable."""

from __future__ import annotations

import csv
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from safetensors.torch import save_file
from scipy.linalg import eigh
from torch import Tensor

from portrait_anim.audio.encoder import AudioEncoderConfig
from portrait_anim.config import FEATURES_PER_FRAME, N_LANDMARKS
from portrait_anim.errors import DataError
from portrait_anim.face.mesh import FACE_OVAL, LIPS_INNER, LIPS_OUTER, MOUTH_CORNERS
from portrait_anim.motion.model import MotionModelConfig, MouthNet
from portrait_anim.motion.space import INNER_LIPS, N_COMPONENTS, MotionSpace, lower_face_weight
from portrait_anim.training.prepare import Clip

LOSS_WEIGHTS = {
    "position/lips": 2.0,
    "velocity/lips": 2.0,
    "position/aperture": 0.5,
    "position/width": 0.3,
    "velocity/aperture": 0.5,
    "position/coefficients": 0.1,
}
LOSS_POINTS = sorted(
    {*LIPS_OUTER, *LIPS_INNER, *FACE_OVAL[12:25], 200, 199, 175, 18, 83, 313, 57, 287, 43, 273, 2, 164}
)
CLOSED_BELOW = 0.15  # of the clip's range: these frames count twice, or the net hedges on /p b m/


@dataclass(frozen=True)
class TrainConfig:
    """The recipe; ``../shared/design.md`` measured it.

    Attributes:
        weights: ``default`` (all train clips) or ``open`` (only clips free for any use).
        epochs: passes over the clips.
        batch_size: stretches a step.
        stretch: frames a stretch (3 s).
        learning_rate: peak of the one-cycle schedule.
        closure_weight: how much more the frames count in which the real lips are closed.
        seed: of the initial weights and the batches.
    """

    weights: str = "default"
    epochs: int = 8
    batch_size: int = 16
    stretch: int = 75
    learning_rate: float = 2e-3
    closure_weight: float = 1.0
    seed: int = 0


@dataclass
class Example:
    """A clip as the net is trained on it; its sound offset is removed."""

    person: str
    features: Tensor  # (C, 2 T), the clip's mean removed
    mouth: npt.NDArray[np.float32]  # (T, K) IOD
    valid: npt.NDArray[np.float32]  # (T,) 0 or 1
    closed: npt.NDArray[np.float32]  # (T,) 1 where the lips are closed


def choose(clips: list[Clip], weights: str, split: str) -> list[Clip]:
    """Return the clips of a split that may train (or, for ``val``, test) a set of weights.

    A person with any ``val`` clip is never trained on, whatever the index says of the person's other clips; the one
    exception is grid_s1, a single speaker whose sentences are split.
    """
    chosen = [clip for clip in clips if clip.info.split == split]
    if split == "train":
        held_out = {clip.info.person for clip in clips if clip.info.split == "val"} - {"grid_s1"}
        chosen = [clip for clip in chosen if clip.info.person not in held_out]
        chosen = [clip for clip in chosen if weights == "default" or clip.info.free]
    if not chosen:
        raise DataError(f"no {split} clips for weights {weights!r}: prepare more data")
    return chosen


def fit_space(clips: list[Clip], seed: int = 0, per_person: int = 300, per_main: int = 3000) -> MotionSpace:
    """Fit the PCA basis of lower-face displacement, balanced over people (the main speaker counts ten times)."""
    rng = np.random.default_rng(seed)
    weight = lower_face_weight()[:, None]
    people: dict[str, list[npt.NDArray[np.generic]]] = {}
    for clip in clips:
        people.setdefault(clip.info.person, []).append(clip.tensors["displacement"])
    rows = []
    for person, parts in sorted(people.items()):
        frames = np.concatenate(parts)
        count = min(len(frames), per_main if person == "grid_s1" else per_person)
        drawn = frames[rng.choice(len(frames), count, replace=False)].astype(np.float32)
        rows.append((drawn * weight).reshape(count, -1))
    data = np.concatenate(rows)  # (N, 1434)
    size = data.shape[1]
    _, vectors = eigh(data.T @ data / len(data), subset_by_index=[size - N_COMPONENTS, size - 1])
    basis = vectors[:, ::-1].T.reshape(N_COMPONENTS, N_LANDMARKS, 3)
    signs = np.sign(basis[:, INNER_LIPS[0], 1] - basis[:, INNER_LIPS[1], 1])  # + opens, so that runs agree
    return MotionSpace((basis * np.where(signs == 0, 1, signs)[:, None, None]).astype(np.float32))


def example_of(clip: Clip, space: MotionSpace, remove_lag: bool = True) -> Example:
    """Make a training example of a clip; motion frame i then belongs to sound frame i."""
    mouth = space.encode(clip.tensors["displacement"].astype(np.float32))
    n_frames = len(mouth)
    at = np.arange(n_frames) + ((clip.info.lag_frames or 0) if remove_lag else 0)
    inside = (at >= 0) & (at < n_frames)
    at = np.clip(at, 0, n_frames - 1)
    mouth = mouth[at]
    opening = space.aperture(mouth)
    low = opening.min()
    closed = opening - low < CLOSED_BELOW * (np.percentile(opening, 98) - low)
    features = torch.from_numpy(clip.tensors["features"].astype(np.float32))
    valid = clip.tensors["valid"].astype(np.float32)[at] * inside
    mean = features.mean(dim=1, keepdim=True)
    return Example(clip.info.person, features - mean, mouth, valid.astype(np.float32), closed.astype(np.float32))


class Losses:
    """The losses, in % IOD, by ``group/name``."""

    def __init__(self, space: MotionSpace, scale: Tensor, closure_weight: float) -> None:
        percent = torch.from_numpy(space.basis) * 100
        upper, lower = INNER_LIPS
        left, right = MOUTH_CORNERS
        self.points = percent[:, LOSS_POINTS]  # (K, P, 3)
        self.aperture = percent[:, upper, 1] - percent[:, lower, 1]  # (K,)
        self.width = percent[:, right, 0] - percent[:, left, 0]
        self.scale, self.closure_weight = scale, closure_weight

    def __call__(self, mouth: Tensor, real: Tensor, valid: Tensor, closed: Tensor) -> dict[str, Tensor]:
        """Compare (B, K, T) coefficients; ``valid`` and ``closed`` are (B, T)."""
        error = mouth - real
        weight = valid * (1 + self.closure_weight * closed)
        pair = weight[:, 1:] * valid[:, :-1]

        def mean(values: Tensor, by: Tensor) -> Tensor:
            return (values * by).sum() / by.sum().clamp(min=1)

        points = torch.einsum("bkt,kpd->btpd", error, self.points)  # (B, T, P, 3)
        aperture = torch.einsum("bkt,k->bt", error, self.aperture)
        width = torch.einsum("bkt,k->bt", error, self.width)
        return {
            "position/lips": mean(points.abs().mean((2, 3)), weight),
            "velocity/lips": mean(points.diff(dim=1).abs().mean((2, 3)), pair),
            "position/aperture": mean(aperture.abs(), weight),
            "position/width": mean(width.abs(), valid),
            "velocity/aperture": mean(aperture.diff(dim=1).abs(), pair),
            "position/coefficients": mean((error / self.scale[:, None]).abs().mean(1), valid),
        }


class Trainer:
    """One run: examples, net, optimiser and where it has got to."""

    def __init__(self, config: TrainConfig, clips: list[Clip], out: Path) -> None:
        self.config, self.out = config, out
        torch.manual_seed(config.seed)
        self.space = fit_space(clips, config.seed)
        self.examples = [example_of(clip, self.space) for clip in clips]
        n_features = self.examples[0].features.shape[0]
        self.net = MouthNet(MotionModelConfig(encoder=AudioEncoderConfig(n_features=n_features)))
        spread = np.concatenate([example.mouth for example in self.examples]).std(0)
        spread = np.maximum(spread, 1e-3 * spread.max())  # a component that never moves must not divide by zero
        self.net.scale.copy_(torch.from_numpy(spread))
        self.losses = Losses(self.space, self.net.scale.clone(), config.closure_weight)
        stretch = config.stretch
        self.stretches = [
            (i, start)
            for i, example in enumerate(self.examples)
            for start in range(0, max(1, len(example.mouth) - stretch // 2), stretch)
        ]
        self.per_epoch = max(1, len(self.stretches) // config.batch_size)
        self.n_steps = config.epochs * self.per_epoch
        self.optimiser = torch.optim.AdamW(self.net.parameters(), config.learning_rate, weight_decay=1e-2)
        self.schedule = torch.optim.lr_scheduler.OneCycleLR(
            self.optimiser, config.learning_rate, total_steps=self.n_steps + 1
        )
        self.step = 0

    def batch(self, step: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return features (B, C, 2 L), mouth (B, K, L), valid and closed (B, L); depends on seed and step alone."""
        epoch, k = divmod(step, self.per_epoch)
        order = np.random.default_rng((self.config.seed, epoch)).permutation(len(self.stretches))
        rng = np.random.default_rng((self.config.seed, step, 1))
        size, length = self.config.batch_size, self.config.stretch
        chosen = np.resize(order[k * size : (k + 1) * size], size)
        features = torch.zeros(size, self.net.config.encoder.n_features, FEATURES_PER_FRAME * length)
        mouth = torch.zeros(size, N_COMPONENTS, length)
        valid, closed = torch.zeros(size, length), torch.zeros(size, length)
        for row, which in enumerate(chosen):
            i, start = self.stretches[which]
            example = self.examples[i]
            jitter = int(rng.integers(-length // 2, length // 2 + 1))
            start = max(0, min(len(example.mouth) - length, start + jitter))
            n = min(length, len(example.mouth) - start)
            window = slice(FEATURES_PER_FRAME * start, FEATURES_PER_FRAME * (start + n))
            features[row, :, : FEATURES_PER_FRAME * n] = example.features[:, window]
            mouth[row, :, :n] = torch.from_numpy(example.mouth[start : start + n].T)
            valid[row, :n] = torch.from_numpy(example.valid[start : start + n])
            closed[row, :n] = torch.from_numpy(example.closed[start : start + n])
        return features, mouth, valid, closed

    def train(
        self, progress: Callable[[int, int, dict[str, float]], None] | None = None, save_every: int = 100
    ) -> None:
        """Run to the end, from the last checkpoint if there is one."""
        self.out.mkdir(parents=True, exist_ok=True)
        self.resume()
        zero = torch.zeros(self.config.batch_size, self.net.config.encoder.n_features, 1)
        while self.step < self.n_steps:
            features, mouth, valid, closed = self.batch(self.step)
            losses = self.losses(self.net(features, zero), mouth, valid, closed)
            total = torch.stack([LOSS_WEIGHTS[name] * value for name, value in losses.items()]).sum()
            self.optimiser.zero_grad()
            total.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(self.net.parameters(), 5.0)
            self.optimiser.step()
            self.schedule.step()
            self.step += 1
            figures = {name: float(value.detach()) for name, value in losses.items()}
            if self.step % 20 == 0 or self.step == self.n_steps:
                self._log({"step": self.step, "total": float(total.detach()), **figures})
            if self.step % save_every == 0 or self.step == self.n_steps:
                self.save()
            if progress:
                progress(self.step, self.n_steps, {"total": float(total.detach()), **figures})

    @property
    def checkpoint(self) -> Path:
        """Where the run's state is kept."""
        return self.out / f"train_{self.config.weights}.pt"

    def save(self) -> None:
        """Write the run's state, atomically."""
        state = {
            "step": self.step,
            "net": self.net.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "schedule": self.schedule.state_dict(),
        }
        temporary = self.checkpoint.with_suffix(".tmp")
        torch.save(state, temporary)
        temporary.replace(self.checkpoint)

    def resume(self) -> None:
        """Take up the run where its last checkpoint left it; nothing happens when there is none."""
        if not self.checkpoint.is_file():
            return
        state = torch.load(self.checkpoint, weights_only=True)
        self.net.load_state_dict(state["net"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.schedule.load_state_dict(state["schedule"])
        self.step = int(state["step"])

    def _log(self, figures: dict[str, float]) -> None:
        path = self.out / f"train_{self.config.weights}.csv"
        new = not path.is_file()
        with path.open("a", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, figures)
            if new:
                writer.writeheader()
            writer.writerow(figures)

    def export(self, path: Path) -> None:
        """Write the shipped file: net, basis and config."""
        tensors = {name: value.contiguous() for name, value in self.net.state_dict().items()}
        tensors["basis"] = torch.from_numpy(self.space.basis).contiguous()
        temporary = path.with_suffix(".tmp")
        save_file(tensors, temporary, metadata={"config": self.net.config.to_json()})
        temporary.replace(path)
