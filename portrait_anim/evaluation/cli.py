"""``portrait-anim evaluate``: the table of mouth motion with its baselines."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("prepared", type=Path, help="folder made by portrait-anim prepare")
    parser.add_argument("--weights", choices=("default", "open"), default="default")
    parser.add_argument(
        "--songs", type=Path, help="folder with song_timed_lyrics and song_left_music_right_voice in it"
    )
    parser.add_argument("--json", action="store_true", help="one JSON object a clip and condition")


def run(args: argparse.Namespace) -> int:
    """Print the table for the held-out clips."""
    from dataclasses import asdict

    from portrait_anim.evaluation.tables import evaluate_clips, format_table
    from portrait_anim.motion.model import MotionModel
    from portrait_anim.training.copies import load_copies
    from portrait_anim.training.data import choose
    from portrait_anim.training.prepare import load_prepared

    model = MotionModel.from_weights(args.weights)
    clips = choose(load_prepared(args.prepared), args.weights, "val")
    rows = evaluate_clips(model.net, model.space, clips, load_copies(args.prepared))
    if args.json:
        sys.stdout.writelines(json.dumps(asdict(row)) + "\n" for row in rows)
    else:
        sys.stdout.write(format_table(rows) + "\n")
    if args.songs:
        from portrait_anim.evaluation.songs import format_songs, song_tables

        tables = song_tables(model, args.songs)
        sys.stdout.write((json.dumps(tables) if args.json else format_songs(tables)) + "\n")
    return 0
