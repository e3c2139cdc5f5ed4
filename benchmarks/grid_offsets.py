"""Where the best lag of GRID's held-out clips comes from: the clips, or the estimate.

    PYTHONPATH=. python benchmarks/grid_offsets.py PREPARED

Each clip's lag between the asked and the real mouth is measured in fractions of a frame, by ways that share as little
as they can: opening, its speed, width; the two halves of the clip; the weights ``open``; a ridge regression on the log
mel spectrum, which has nothing in common with the nets and is trained on the speaker's other clips. Where they agree,
it is the clip.
"""

from __future__ import annotations

import argparse
from collections import Counter
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from portrait_anim.audio.mel import log_mel
from portrait_anim.evaluation.reading import grid_clips
from portrait_anim.evaluation.tables import gated_mouth
from portrait_anim.motion.metrics import best_offset, correlation
from portrait_anim.motion.model import MotionModel
from portrait_anim.training.data.clips import at_times
from portrait_anim.training.data.prepare import Clip, load_prepared
from portrait_anim.training.mouth.fits import fine_offset

Array = npt.NDArray[np.floating]

CONTEXT = 6  # frames of 40 ms on either side that the regression sees
RIDGE = 300.0


def spectrum(clip: Clip) -> Array:
    """Return (T, (2 CONTEXT + 1) x 80): the log mel spectrum round each frame."""
    n_frames = len(clip.tensors["displacement"])
    sound = torch.from_numpy(clip.tensors["waveform"].astype(np.float32) / 32767)
    mel = log_mel(sound).numpy()  # (80, T at 100 Hz)
    mel = np.pad(mel, ((0, 0), (0, max(0, 4 * n_frames - mel.shape[1]))), mode="edge")[:, : 4 * n_frames]
    frames = mel.reshape(80, n_frames, 4).mean(2).T  # (T, 80)
    frames = np.pad(frames, ((CONTEXT, CONTEXT), (0, 0)), mode="edge")
    return np.concatenate([frames[i : i + n_frames] for i in range(2 * CONTEXT + 1)], axis=1)


def regression(clips: list[Clip], targets: list[Array], held_out: list[Clip]) -> list[Array]:
    """Return the targets (T, 2) of the held-out clips as a ridge regression on the spectrum sees them."""
    known = np.concatenate([spectrum(clip) for clip in clips])
    wanted = np.concatenate(targets)
    centre, middle = known.mean(0), wanted.mean(0)
    scale = known.std(0) + 1e-6
    known = (known - centre) / scale
    weights = np.linalg.solve(known.T @ known + RIDGE * np.eye(known.shape[1]), known.T @ (wanted - middle))
    return [(spectrum(clip) - centre) / scale @ weights + middle for clip in held_out]


def main() -> None:
    """Print the figures of docs/ablation.md."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("prepared", type=Path)
    clips = grid_clips(load_prepared(parser.parse_args().prepared))
    train, val = ([clip for clip in clips if clip.info.split == split] for split in ("train", "val"))
    models = {name: MotionModel.from_weights(name) for name in ("default", "open")}
    space = models["default"].space

    def curves(clip: Clip) -> Array:
        mouth = space.encode(clip.tensors["displacement"].astype(np.float32))
        return np.stack([space.aperture(mouth), space.width(mouth)], axis=1)

    real = [curves(clip) for clip in val]
    made = {}
    for name, model in models.items():
        mouths = [gated_mouth(model.net, model.vad, clip.tensors)[0] for clip in val]
        made[name] = [np.stack([model.space.aperture(m), model.space.width(m)], axis=1) for m in mouths]
    made["mel"] = regression(train, [curves(clip) for clip in train], val)

    def lags(name: str, column: int = 0, speed: int = 0, part: slice = slice(None)) -> tuple[Array, float]:
        """Return the lag of every clip, frames, and the mean correlation at it."""
        pairs = [
            fine_offset(np.diff(a[part, column], speed), np.diff(b[part, column], speed))
            for a, b in zip(made[name], real, strict=True)
        ]
        return np.array([lag for _, lag in pairs]), float(np.mean([score for score, _ in pairs]))

    half = len(real[0]) // 2
    ways = {
        "opening": lags("default"), "speed of the opening": lags("default", speed=1),
        "width": lags("default", 1), "opening, first half": lags("default", part=slice(half)),
        "opening, second half": lags("default", part=slice(half, None)), "weights open": lags("open"),
        "mel regression, opening": lags("mel"), "mel regression, width": lags("mel", 1),
    }  # fmt: skip
    first = ways["opening"][0]
    whole = [best_offset(a[:, 0], b[:, 0])[1] for a, b in zip(made["default"], real, strict=True)]
    print("best whole lag:", dict(sorted(Counter(whole).items())), "\n")
    print("| estimate | r | mean lag | spread | within half a frame | r with the first | difference, spread |")
    print("|---|---|---|---|---|---|---|")
    for name, (lag, score) in ways.items():
        figures = (score, lag.mean(), lag.std(), (abs(lag) <= 0.5).mean(), correlation(lag, first), (lag - first).std())
        print(f"| {name} | " + " | ".join(f"{value:.2f}" for value in figures) + " |")
    other = ways["mel regression, opening"][0]
    moved = [
        (best_offset(a[:, 0], at_times(b.astype(np.float32), np.arange(len(b)) + lag)[:, 0]))[1]
        for a, b, lag in zip(made["default"], real, other, strict=True)
    ]
    straight = [correlation(a[:, 0], b[:, 0]) for a, b in zip(made["default"], real, strict=True)]
    print(f"\nr at lag 0 {np.mean(straight):.3f}, at the best {ways['opening'][1]:.3f}")
    print("best whole lag, the regression's taken off:", dict(sorted(Counter(moved).items())))


if __name__ == "__main__":
    main()
