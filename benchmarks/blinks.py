"""What ``--blinks`` reaches: asked multiple -> reached, over seeds and sounds, of films and live.

    PYTHONPATH=. python benchmarks/blinks.py [SOUND ...] [--seeds 12] [--seconds 30] [--weights default] [--json OUT]

Without sounds those of examples/ are taken. Each is heard once and said again from the start to fill ``--seconds``. A
blink is counted where the lids shut to more than half. The multiple is that of all blinks over those at ``blinks=1``,
which is the net's own film; also printed: how long lids are shut (median, longest tenth), the shortest tenth of the
times from one blink to the next, and how many follow within .2 s (lids that shut twice at once). Prints Markdown.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import numpy.typing as npt

from portrait_anim.audio.load import load_audio
from portrait_anim.config import FPS
from portrait_anim.motion.blinks import SHUT
from portrait_anim.motion.model import MotionModel
from portrait_anim.motion.streaming import LiveUpper
from portrait_anim.motion.upper import upper_motion

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
ASKED = (0.0, 0.1, 0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 2.0, 2.5, 3.0)
TOGETHER_S = 0.2

Track = npt.NDArray[np.float32]


def lids(model: MotionModel, latents: Track, seed: int, blinks: float, live: bool) -> Track:
    """Return the closure (T,) of a film, or of live frames that come in pieces."""
    if not live:
        return upper_motion(model.upper, latents, shape=None, seed=seed, head_motion=1.0, blinks=blinks).blink[:, 0]
    face, mouth = LiveUpper(model.upper, seed=seed, blinks=blinks), np.zeros((len(latents), 1), np.float32)
    pieces = [face.push(mouth[i : i + 50], latents[i : i + 50]).blink[:, 0] for i in range(0, len(latents), 50)]
    return np.concatenate(pieces)


def row(model: MotionModel, heard: list[Track], seeds: int, blinks: float, live: bool) -> dict[str, float]:
    """Count the blinks of all films of one multiple."""
    count, shut_s, apart_s = 0, [], []
    for latents in heard:
        for seed in range(seeds):
            shut = lids(model, latents, seed, blinks, live) > SHUT
            edges = np.diff(np.concatenate([[0], shut.astype(int), [0]]))
            starts, ends = np.flatnonzero(edges > 0), np.flatnonzero(edges < 0)
            count += len(starts)
            shut_s += ((ends - starts) / FPS).tolist()
            apart_s += ((starts[1:] - ends[:-1]) / FPS).tolist()
    total_s = seeds * sum(map(len, heard)) / FPS
    shut_s, apart_s = shut_s or [0.0], apart_s or [0.0]
    return {
        "asked": blinks, "count": count, "a second": count / total_s, "shut, s": float(np.median(shut_s)),
        "shut, s, 90 %": float(np.percentile(shut_s, 90)), "apart, s, 10 %": float(np.percentile(apart_s, 10)),
        "twice at once": float(np.mean(np.array(apart_s) < TOGETHER_S)),
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sounds", nargs="*", type=Path)
    parser.add_argument("--seeds", type=int, default=12)
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--weights", choices=("default", "open"), default="default")
    parser.add_argument("--json", type=Path, metavar="OUT")
    options = parser.parse_args()
    model, n_frames = MotionModel.from_weights(options.weights), round(options.seconds * FPS)
    heard = []
    for path in options.sounds or [EXAMPLES / "speech.flac", EXAMPLES / "song.flac"]:
        latents = model.analyse(load_audio(path)).latents
        heard.append(np.tile(latents, (1 + n_frames // len(latents), 1))[:n_frames])
    print(f"{len(heard)} sounds of {options.seconds:g} s, {options.seeds} seeds, weights {options.weights}")
    tables = {}
    for name, live in (("films", False), ("live", True)):
        rows = [row(model, heard, options.seeds, blinks, live) for blinks in ASKED]
        own = next(line["count"] for line in rows if line["asked"] == 1)
        tables[name] = [{"asked": line["asked"], "reached": line["count"] / max(own, 1), **line} for line in rows]
        print(f"\n{name}\n\n| {' | '.join(tables[name][0])} |\n|{'---|' * len(tables[name][0])}")
        for line in tables[name]:
            print(f"| {' | '.join(f'{value:.3g}' for value in line.values())} |")
    if options.json:
        options.json.write_text(json.dumps(tables, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
