"""The curves by which things begin and end softly, and by which they come to a limit."""

from __future__ import annotations

from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

Shares = TypeVar("Shares", float, npt.NDArray[Any])


def eased(share: Shares) -> Shares:
    """Return 0..1 as 0..1 that leaves 0 and reaches 1 without a corner (the cubic known as smoothstep)."""
    return share * share * (3 - 2 * share)  # type: ignore[no-any-return]


def softened(share: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    """Return any numbers, cut to 0..1, eased."""
    return np.asarray(eased(np.clip(share, 0, 1)), np.float32)


def bent(values: npt.NDArray[Any], free: npt.ArrayLike, room: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Return numbers that are as they are up to ``free`` in size and never go further than ``room`` beyond it."""
    size, free, room = np.abs(values), np.asarray(free, np.float64), np.asarray(room, np.float64)
    over = np.maximum(size - free, 0)
    return np.asarray(np.sign(values) * (np.minimum(size, free) + room * np.tanh(over / room)), np.float64)
