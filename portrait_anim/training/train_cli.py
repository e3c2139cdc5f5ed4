"""``portrait-anim train``: prepared clips to a set of weights."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

LICENCES = {"default": "CC-BY-NC-4.0", "open": "CC-BY-4.0"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("prepared", type=Path, help="folder made by portrait-anim prepare")
    parser.add_argument("--weights", choices=tuple(LICENCES), default="default", help="which set (default: default)")
    parser.add_argument("--run", type=Path, default=None, help="folder of logs and checkpoints (default: PREPARED/run)")
    parser.add_argument("--out", type=Path, default=None, help="folder to export and register the weights in")
    parser.add_argument("--epochs", type=int, default=8)


def run(args: argparse.Namespace) -> int:
    """Train (from the last checkpoint on), export, measure, register; the last line says what was written."""
    from tqdm import tqdm

    from portrait_anim.evaluation.tables import evaluate_clips, summary
    from portrait_anim.motion.space import MotionSpace
    from portrait_anim.training.prepare import load_prepared
    from portrait_anim.training.trainer import TrainConfig, Trainer, choose
    from portrait_anim.weights import register

    clips = load_prepared(args.prepared)
    chosen = choose(clips, args.weights, "train")
    out = args.run or args.prepared / "run"
    trainer = Trainer(TrainConfig(weights=args.weights, epochs=args.epochs), chosen, out)
    with tqdm(total=trainer.n_steps, unit="step", file=sys.stderr) as bar:

        def progress(step: int, _total: int, figures: dict[str, float]) -> None:
            bar.update(step - bar.n)
            bar.set_postfix(total=f"{figures['total']:.2f}")

        trainer.train(progress)
    target = args.out or out
    target.mkdir(parents=True, exist_ok=True)
    path = target / f"motion_{args.weights}.safetensors"
    trainer.export(path)
    rows = evaluate_clips(trainer.net.eval(), MotionSpace(trainer.space.basis), choose(clips, args.weights, "val"))
    people = sorted({f"{clip.info.person} ({clip.info.licence})" for clip in chosen})
    register(
        f"motion_{args.weights}",
        path,
        licence=LICENCES[args.weights],
        training_data=people,
        source="this repository",
        command=f"portrait-anim prepare ../shared/data PREPARED; portrait-anim train PREPARED --weights {args.weights} "
        "--out checkpoints",
        figures=summary(rows),
    )
    sys.stdout.write(f"{path}: {trainer.step} steps, {len(chosen)} clips, {summary(rows)}\n")
    return 0
