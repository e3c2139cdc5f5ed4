"""What each part of the training recipe is worth: trains every recipe and prints one row of held-out figures each.

    PYTHONPATH=. python benchmarks/ablation.py PREPARED RUNS [--recipes NAME ...] [--weights default]

RUNS keeps the checkpoints: an interrupted ablation goes on, a finished recipe is only measured again. All figures are
taken through the voice gate, as films are made. Prints Markdown.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from portrait_anim.audio.vad import VoiceDetector
from portrait_anim.evaluation.songs import song_tables
from portrait_anim.evaluation.tables import evaluate_clips, summary
from portrait_anim.motion.model import MotionModel
from portrait_anim.training.data.clips import choose
from portrait_anim.training.data.copies import load_copies
from portrait_anim.training.data.prepare import load_prepared
from portrait_anim.training.mouth.recipes import RECIPES, recipe
from portrait_anim.training.mouth.trainer import train_stages

COLUMNS = {
    "GRID r": "grid_s1 val r",
    "closures": "grid_s1 val closures",
    "sung": "grid_s1 val, sung r",
    "+ music 6 dB": "grid_s1 val, sung_6db r",
    "+ music 0 dB": "grid_s1 val, sung_0db r",
    "others r": "av_multi val people r",
    "at best offset": "av_multi val people r_best",
    "others closures": "av_multi val people closures",
    "others sung": "av_multi val people, sung r",
    "music alone p95, no gate": "music alone p95_ungated",
}
SONGS = ("song: open while sung", "in rests", "karaoke r", "its music alone p95")


def songs_of(model: MotionModel, folder: Path) -> list[float]:
    """Return :data:`SONGS`: the song with syllable times, then the karaoke recordings."""
    timed, karaoke = song_tables(model, folder).values()
    return [
        timed["model"]["open_sung"], timed["model"]["open_rest"], karaoke["model"]["r_voice"],
        karaoke["music alone"]["p95"],
    ]  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("prepared", type=Path)
    parser.add_argument("runs", type=Path)
    parser.add_argument("--recipes", nargs="+", default=list(RECIPES))
    parser.add_argument("--weights", default="default", choices=("default", "open"))
    parser.add_argument("--songs", type=Path, help="also real songs, of this folder (DATA/audio)")
    args = parser.parse_args()
    torch.set_num_threads(1)
    voice = VoiceDetector.from_weights()
    clips, copies = load_prepared(args.prepared), load_copies(args.prepared)
    columns = [*COLUMNS, *(SONGS if args.songs else ())]
    print(f"| recipe | {' | '.join(columns)} |\n|---|{'---|' * len(columns)}", flush=True)
    for name in args.recipes:
        config = recipe(name, weights=args.weights)
        folder = args.runs / name.replace(" ", "_").replace(",", "")
        trained = train_stages(config, choose(clips, args.weights, "train"), folder, copies if config.copies else [])
        held_out = choose(clips, args.weights, "val")
        figures = summary(evaluate_clips(trained.net, trained.space, held_out, copies, voice=voice))
        values = [figures[key] for key in COLUMNS.values()]
        if args.songs:
            model = MotionModel.from_weights(args.weights)
            model.net, model.space = trained.net, trained.space
            values += songs_of(model, args.songs)
        print(f"| {name} | {' | '.join(f'{value:.3f}' for value in values)} |", flush=True)


if __name__ == "__main__":
    main()
