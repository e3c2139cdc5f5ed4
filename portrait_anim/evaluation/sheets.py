"""Sample sheets: the real and the made opening of held-out clips as curves in one PNG."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from portrait_anim.config import FPS
from portrait_anim.motion.metrics import best_offset, correlation
from portrait_anim.motion.model import MouthNet
from portrait_anim.motion.space import MotionSpace
from portrait_anim.training.data.prepare import Clip


def sample_sheet(net: MouthNet, space: MotionSpace, clips: Sequence[Clip], path: Path, rows: int = 8) -> bool:
    """Draw one clip each of ``rows`` people; return False (and write nothing) where matplotlib is not installed."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        return False
    people: dict[str, Clip] = {}
    for clip in clips:
        people.setdefault(clip.info.person, clip)
    figure = Figure(figsize=(12, 1.8 * min(rows, len(people))), layout="constrained")
    axes = figure.subplots(min(rows, len(people)), 1, squeeze=False)[:, 0]
    for axis, (person, clip) in zip(axes, people.items(), strict=False):
        features = torch.from_numpy(clip.tensors["features"].astype(np.float32))[None]
        with torch.no_grad():
            made = space.aperture(net(features)[0].T.cpu().numpy())[: 8 * FPS]
        real = space.aperture(space.encode(clip.tensors["displacement"].astype(np.float32)))[: 8 * FPS]
        seconds = np.arange(len(made)) / FPS
        axis.plot(seconds, real[: len(made)], color="0.6", label="real")
        axis.plot(seconds, made, color="tab:red", label="made")
        best, lag = best_offset(made, real)
        axis.set_title(f"{person}: r {correlation(made, real):.2f}, {best:.2f} at {lag:+d} frames", fontsize=8)
        axis.set_ylabel("IOD", fontsize=7)
    axes[0].legend(fontsize=7)
    temporary = path.with_suffix(".tmp.png")
    figure.savefig(temporary, dpi=90)
    temporary.replace(path)
    return True
