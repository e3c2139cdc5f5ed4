"""How a face that waits moves, beside the same face speaking: the table of docs/formats.md.

PYTHONPATH=. python benchmarks/idle.py [--photo examples/astronaut.jpg] [--sound examples/speech.flac]
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import soundfile

from portrait_anim import Animator
from portrait_anim.motion.space import Motion

SECONDS, SEEDS = 60, range(4)


def row(name: str, motions: list[Motion]) -> None:
    lids = [motion.blink[:, 0] for motion in motions]
    blinks = (
        sum(int(((lid[1:] > 0.5) & (lid[:-1] <= 0.5)).sum()) for lid in lids) / sum(map(len, lids)) * motions[0].fps
    )
    degrees = [np.rad2deg(motion.rotation) for motion in motions]
    spread = np.mean([track.std(0) for track in degrees], axis=0)
    speed = np.mean([np.abs(np.diff(track, axis=0)).mean(0) for track in degrees], axis=0) * motions[0].fps
    mouth = max(float(np.abs(motion.mouth).max()) for motion in motions)
    print(
        f"{name}: blinks/s {blinks:.2f}, spread {spread.round(1)}, speed {speed.round(1)} degrees/s, mouth {mouth:.3f}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photo", type=Path, default=Path("examples/astronaut.jpg"))
    parser.add_argument("--sound", type=Path, default=Path("examples/speech.flac"))
    args = parser.parse_args()
    animator = Animator(args.photo)
    samples, rate = soundfile.read(args.sound, dtype="float32")
    sound = (np.resize(samples, SECONDS * rate), rate)
    row("waits", [animator.motions(idle=SECONDS, seed=seed)[0] for seed in SEEDS])
    row("speaks", [animator.motions(sound, seed=seed)[0] for seed in SEEDS])
    row(
        "hears silence",
        [animator.motions((np.zeros(SECONDS * rate, np.float32), rate), seed=seed)[0] for seed in SEEDS],
    )


if __name__ == "__main__":
    main()
