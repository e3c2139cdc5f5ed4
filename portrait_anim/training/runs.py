"""Where a training run has got to: checkpoints that survive kill -9, a CSV log and TensorBoard."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any, Protocol

import torch

from portrait_anim.errors import DataError


class Stateful(Protocol):
    """A net, an optimiser or a schedule."""

    def state_dict(self) -> Any:
        """Return the state."""

    def load_state_dict(self, state_dict: Any) -> Any:
        """Take it up."""


class Run:
    """Files of one stage of training.

    Args:
        folder: made if absent.
        name: of the stage.
        recipe: everything that decides what the stage does, as JSON; a checkpoint of another recipe is not taken up.
    """

    def __init__(self, folder: Path, name: str, recipe: str) -> None:
        self.folder, self.name, self.recipe = folder, name, recipe
        self._writer: Any = None
        self._looked = False

    @property
    def checkpoint(self) -> Path:
        """Where the state is kept."""
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
    """Whether all tensors in nested dicts and lists are free of NaN and infinity."""
    if isinstance(state, torch.Tensor):
        return bool(torch.isfinite(state).all())
    if isinstance(state, dict):
        return all(map(_finite, state.values()))
    return not isinstance(state, list | tuple) or all(map(_finite, state))
