"""Choice of the torch device."""

from __future__ import annotations

from typing import TYPE_CHECKING

from portrait_anim.errors import OptionError
from portrait_anim.options import DEVICES, check_choice

if TYPE_CHECKING:
    import torch


def pick_device(name: str = "auto") -> torch.device:
    """Return the torch device called ``name``; ``auto`` takes cuda, then mps, then cpu.

    Raises:
        OptionError: ``name`` is unknown, or this machine's torch has no such device.
    """
    import torch

    check_choice("device", name, DEVICES)
    available = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if name == "auto":
        name = next(device for device, there in available.items() if there)
    if not available[name]:
        raise OptionError(f"device {name!r} is not available to this machine's torch: use --device auto or cpu")
    return torch.device(name)
