"""``portrait-anim train``: prepared clips to a set of weights."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from portrait_anim.options import DEVICES, WEIGHT_SETS


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("prepared", type=Path, help="folder made by portrait-anim prepare")
    parser.add_argument("--weights", choices=tuple(WEIGHT_SETS), default="default", help="which set (default: default)")
    parser.add_argument(
        "--run", dest="logs", type=Path, default=None, help="folder of logs and checkpoints (default: PREPARED/run)"
    )
    parser.add_argument("--out", type=Path, default=None, help="folder to export and register the weights in")
    parser.add_argument("--epochs", type=int, default=8, help="of the last stage (default: 8)")
    parser.add_argument("--upper-steps", type=int, default=6000, help="of lids, brows, gaze and head (default: 6000)")
    parser.add_argument("--device", choices=DEVICES, default="auto", help="for the mouth's training (default: auto)")
    parser.add_argument(
        "--recipe", default="full", help="name from portrait_anim.training.mouth.recipes (default: full)"
    )


def run(args: argparse.Namespace) -> int:
    """Train (from the last checkpoint on), export, measure, register; the last line says what was written."""
    from tqdm import tqdm

    from portrait_anim.audio.ears import EarsConfig, Hearing
    from portrait_anim.audio.vad import VoiceDetector
    from portrait_anim.evaluation.sheets import sample_sheet
    from portrait_anim.evaluation.tables import evaluate_clips, summary
    from portrait_anim.evaluation.upper import upper_groups, upper_summary
    from portrait_anim.motion.streaming import LiveNets
    from portrait_anim.system.device import pick_device
    from portrait_anim.system.weights import register
    from portrait_anim.training.data.clips import choose
    from portrait_anim.training.data.copies import load_copies
    from portrait_anim.training.data.prepare import load_prepared
    from portrait_anim.training.distributed import ProcessGroup
    from portrait_anim.training.mouth.recipes import recipe
    from portrait_anim.training.mouth.trainer import export_weights, train_stages
    from portrait_anim.training.speech.ears import EarsTrainConfig, heard, train_ears
    from portrait_anim.training.upper.trainer import AdversarialConfig, AdversarialTrainer

    world = ProcessGroup.of_environment(pick_device(args.device))
    config = recipe(args.recipe, weights=args.weights, epochs=args.epochs, half=world.device.type == "cuda")
    clips = load_prepared(args.prepared)
    copies = load_copies(args.prepared) if config.copies else []
    chosen = choose(clips, args.weights, "train")
    out = args.logs or args.prepared / "run"
    with tqdm(unit="step", file=sys.stderr, mininterval=1.0, disable=not world.is_first) as bar:

        def progress(step: int, total: int, figures: dict[str, float]) -> None:
            if total != bar.total or step < bar.n:
                bar.reset(total)
            name, value = next(iter(figures.items()))
            bar.set_postfix({name: f"{value:.2f}"}, refresh=False)
            bar.update(step - bar.n)

        trainer = train_stages(config, chosen, out, copies, progress, world=world)
        world.leave()
        if not world.is_first:
            return 0
        upper_part = AdversarialTrainer(
            AdversarialConfig(steps=args.upper_steps), trainer.net, chosen, out, name=f"upper_{args.weights}",
            fits=trainer.known_fits,
        )  # fmt: skip
        upper = upper_part.train(progress)
        hearing, detector = Hearing.from_weights(), VoiceDetector.from_weights()
        voices, rests = heard(trainer.net, detector, trainer.space, chosen, copies, trainer.known_fits)
        recipe_of_ears = EarsTrainConfig(EarsConfig(), args.weights, closure_weight=config.closure_weight)
        ears = train_ears(trainer.net, trainer.space, hearing, voices, rests, recipe_of_ears, out, progress)
    target = args.out or out
    target.mkdir(parents=True, exist_ok=True)
    path = target / f"motion_{args.weights}.safetensors"
    export_weights(trainer.net, upper, ears, trainer.space, path)
    figures: dict[str, float] = {}
    if any(clip.info.split == "val" for clip in clips):
        held_out = choose(clips, args.weights, "val")
        live = LiveNets(hearing, ears, trainer.net)
        alike = detector.config.n_features == trainer.net.config.encoder.n_features
        voice = detector if alike else None  # clips prepared with other encoders are measured without a gate
        all_copies = load_copies(args.prepared)
        figures |= summary(evaluate_clips(trainer.net, trainer.space, held_out, all_copies, voice=voice, live=live))
        figures |= upper_summary(upper_groups(trainer.net, {"model": upper}, chosen, held_out))
        sample_sheet(trainer.net, trainer.space, held_out, out / f"samples_{args.weights}.png")
    music = {f"{copy.info.music} (music, mixed in)" for copy in copies if copy.info.split == "train"} - {
        " (music, mixed in)", "synthetic chords (music, mixed in)"
    }  # fmt: skip
    register(
        f"motion_{args.weights}",
        path,
        licence=WEIGHT_SETS[args.weights],
        training_data=[*sorted({f"{clip.info.person} ({clip.info.licence})" for clip in chosen}), *sorted(music)],
        source="this repository",
        command="portrait-anim prepare DATA PREPARED --copies; "
        f"portrait-anim train PREPARED --weights {args.weights} --out checkpoints",
        figures=figures,
    )
    sys.stdout.write(f"{path}: {trainer.n_steps} steps, {len(chosen)} clips, {figures}\n")
    return 0
