"""The files of a training run: checkpoints that a killed process cannot damage, a CSV log and TensorBoard's."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol, TypeAlias

import torch
from torch import nn

from portrait_anim.errors import DataError

Progress: TypeAlias = Callable[[int, int, dict[str, float]], None]

LOG_EVERY = 20  # steps


class Stateful(Protocol):
    """A net, an optimiser or a schedule."""

    def state_dict(self) -> Any:
        """Return the state."""

    def load_state_dict(self, state_dict: Any) -> Any:
        """Restore a state."""


class Average:
    """Exponential moving average (EMA) of a net's weights, with warm-up: in the first steps its decay is smaller.

    Args:
        net: the net whose weights are averaged.
        decay: share of the average that is kept at each step, after the warm-up; 0 copies the weights.
    """

    def __init__(self, net: nn.Module, decay: float) -> None:
        self._decay = decay
        self._kept = {name: value.detach().clone() for name, value in net.state_dict().items()}

    def follow(self, net: nn.Module, step: int) -> None:
        """Add the weights as they are after ``step`` steps."""
        decay = min(self._decay, (1 + step) / (10 + step)) if self._decay else 0.0
        with torch.no_grad():
            for name, value in net.state_dict().items():
                self._kept[name].lerp_(value, 1 - decay)

    def state_dict(self) -> dict[str, torch.Tensor]:
        """Return the averaged weights by name."""
        return self._kept

    def load_state_dict(self, state_dict: dict[str, torch.Tensor]) -> None:
        """Restore averaged weights."""
        for name, value in state_dict.items():
            self._kept[name].copy_(value)


class Run:
    """Files of one stage of training.

    Args:
        folder: made if absent.
        name: of the stage.
        recipe: everything that decides what the stage does, as JSON; checkpoints of another recipe are refused.

    Attributes:
        step: steps taken so far.
    """

    def __init__(self, folder: Path, name: str, recipe: str) -> None:
        self.folder, self.name, self.recipe = folder, name, recipe
        self.step = 0
        self._writer: Any = None
        self._looked = False

    @property
    def checkpoint(self) -> Path:
        """The file of the last checkpoint."""
        return self.folder / f"{self.name}.pt"

    def save(self, state: dict[str, Any]) -> None:
        """Write the state, atomically.

        Raises:
            DataError: it holds a tensor with a NaN or an infinity; the last checkpoint stays as it is.
        """
        if not _finite(state):
            raise DataError(
                f"training stopped: {self.name} holds weights that are not numbers; lower the learning rate and start "
                f"it again: it goes on from the last checkpoint in {self.folder}"
            )
        self.folder.mkdir(parents=True, exist_ok=True)
        temporary = self.checkpoint.with_suffix(".tmp")
        torch.save({"recipe": self.recipe, **state}, temporary)
        temporary.replace(self.checkpoint)

    def load(self) -> dict[str, Any] | None:
        """Return the last state, None when there is none.

        Raises:
            DataError: it is of another recipe or other data.
        """
        if not self.checkpoint.is_file():
            return None
        state: dict[str, Any] = torch.load(self.checkpoint, weights_only=True, map_location="cpu")
        if state.get("recipe") != self.recipe:
            raise DataError(f"{self.checkpoint} is of another recipe or other data: name another --run folder")
        return state

    def save_parts(self, step: int, **parts: Stateful) -> None:
        """Write the step and the state of each part, atomically."""
        self.save({"step": step, **{name: part.state_dict() for name, part in parts.items()}})

    def load_parts(self, **parts: Stateful) -> int:
        """Give each part the state of the last checkpoint; return its step, 0 when there is none.

        Raises:
            DataError: it is of another recipe or other data.
        """
        state = self.load()
        if state is None:
            return 0
        for name, part in parts.items():
            part.load_state_dict(state[name])
        return int(state["step"])

    def drive(
        self,
        parts: dict[str, Stateful],
        n_steps: int,
        take: Callable[[int], dict[str, float]],
        progress: Progress | None = None,
        *,
        save_every: int,
        log_every: int = LOG_EVERY,
        writes: bool = True,
    ) -> None:
        """Run to the end, from the last checkpoint on.

        Args:
            parts: everything that changes while training, by name: what a checkpoint holds.
            n_steps: of the whole run.
            take: takes one step, whose number (from 0) it is given; returns its figures. What it draws depends on the
                number alone, so that a run that was ended goes on as if nothing had happened.
            progress: called as ``progress(steps_done, n_steps, figures)`` after every step.
            save_every: steps between checkpoints.
            log_every: steps between lines of the log.
            writes: False for processes beside the first, which keep no files.

        Raises:
            DataError: the folder holds the checkpoint of another recipe; whatever ``take`` raises.
        """
        self.step = self.load_parts(**parts)
        while self.step < n_steps:
            figures = take(self.step)
            self.step += 1
            if writes and (self.step % log_every == 0 or self.step == n_steps):
                self.log(self.step, figures)
            if writes and (self.step % save_every == 0 or self.step == n_steps):
                self.save_parts(self.step, **parts)
            if progress:
                progress(self.step, n_steps, figures)

    def log(self, step: int, figures: dict[str, float]) -> None:
        """Append a line to the CSV, and to TensorBoard where it is installed."""
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / f"{self.name}.csv"
        new = not path.is_file()
        with path.open("a", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, ["step", *figures])
            if new:
                writer.writeheader()
            writer.writerow({"step": step, **figures})
        if not self._looked:
            self._looked = True
            try:
                from torch.utils.tensorboard import SummaryWriter
            except ImportError:
                pass
            else:
                self._writer = SummaryWriter(str(self.folder / "tensorboard" / self.name))
        if self._writer is not None:
            for name, value in figures.items():
                self._writer.add_scalar(name, value, step)


def _finite(state: Any) -> bool:
    """Return whether all tensors in nested dicts and lists are finite."""
    if isinstance(state, torch.Tensor):
        return bool(torch.isfinite(state).all())
    if isinstance(state, dict):
        return all(map(_finite, state.values()))
    return not isinstance(state, list | tuple) or all(map(_finite, state))
