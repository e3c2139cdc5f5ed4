"""What each discriminator is worth: trains the upper face without it and prints the distances to held-out people.

    PYTHONPATH=. python benchmarks/upper.py PREPARED RUNS [--weights default] [--steps 3000] [--variants NAME ...]

RUNS keeps the checkpoints: an interrupted run goes on, a finished variant is only measured again. The shipped mouth
net's latents drive all of them. Prints Markdown.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from portrait_anim.evaluation.upper import format_upper, upper_groups
from portrait_anim.motion.model import MotionModel
from portrait_anim.motion.upper import UpperGenerator
from portrait_anim.training.data.clips import choose
from portrait_anim.training.data.prepare import load_prepared
from portrait_anim.training.upper.trainer import AdversarialConfig, AdversarialTrainer

FULL = AdversarialConfig().discriminators
VARIANTS: dict[str, tuple[dict[str, float], float]] = {
    "all three": (FULL, 0.0),
    **{f"no {part}": ({name: weight for name, weight in FULL.items() if name != part}, 0.0) for part in FULL},
    "L1 only": ({}, 1.0),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("prepared", type=Path)
    parser.add_argument("runs", type=Path)
    parser.add_argument("--weights", choices=("default", "open"), default="default")
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument("--variants", nargs="+", choices=tuple(VARIANTS), default=list(VARIANTS))
    args = parser.parse_args()
    torch.set_num_threads(1)
    model = MotionModel.from_weights(args.weights)
    clips = load_prepared(args.prepared)
    train, held_out = choose(clips, args.weights, "train"), choose(clips, args.weights, "val")
    nets: dict[str, UpperGenerator] = {"shipped": model.upper}
    for name in args.variants:
        weights, l1 = VARIANTS[name]
        config = AdversarialConfig(discriminators=weights, l1=l1, steps=args.steps)
        trainer = AdversarialTrainer(config, model.net, train, args.runs, name=name.replace(" ", "_"))
        nets[name] = trainer.train()
    print(format_upper(upper_groups(model.net, nets, train, held_out)))


if __name__ == "__main__":
    main()
