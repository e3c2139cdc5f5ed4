"""``portrait-anim evaluate``: the table of mouth motion with its baselines."""

from __future__ import annotations

import argparse
import json
import sys
from itertools import islice, zip_longest
from pathlib import Path

from portrait_anim.options import WEIGHT_SETS

RENDER_FRAMES = 75  # of each clip


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("prepared", type=Path, help="folder made by portrait-anim prepare")
    parser.add_argument("--weights", choices=tuple(WEIGHT_SETS), default="default")
    parser.add_argument(
        "--songs", type=Path, help="folder with song_timed_lyrics and song_left_music_right_voice in it"
    )
    parser.add_argument("--upper", action="store_true", help="also lids, brows, gaze and head, against real people's")
    parser.add_argument("--seeds", type=int, default=2, help="with --upper: films of each voice (default: 2)")
    parser.add_argument("--render", type=int, metavar="N", help="also measure pictures, on so many held-out clips")
    parser.add_argument("--json", action="store_true", help="one JSON object a clip and condition")


def run(args: argparse.Namespace) -> int:
    """Print the table for the held-out clips."""
    from dataclasses import asdict

    from tqdm import tqdm

    from portrait_anim.evaluation.reading import format_readings, read_clips
    from portrait_anim.evaluation.tables import evaluate_clips, format_table
    from portrait_anim.evaluation.upper import format_upper, upper_groups
    from portrait_anim.motion.model import MotionModel
    from portrait_anim.training.data.clips import choose
    from portrait_anim.training.data.copies import load_copies
    from portrait_anim.training.data.prepare import load_prepared

    model = MotionModel.from_weights(args.weights)
    prepared = load_prepared(args.prepared)
    clips = choose(prepared, args.weights, "val")
    copies = load_copies(args.prepared)
    rows = evaluate_clips(model.net, model.space, clips, copies, voice=model.vad, live=model.live_nets())
    if args.json:
        sys.stdout.writelines(json.dumps(asdict(row)) + "\n" for row in rows)
    else:
        sys.stdout.write(format_table(rows) + "\n")
    train = [clip for clip in prepared if clip.info.split == "train"]
    readings = read_clips(
        model.net, model.vad, model.space, train, clips, args.prepared / "readers", progress=_learning
    )
    if args.json:
        sys.stdout.writelines(json.dumps({"lip_reader": reading.to_dict()}) + "\n" for reading in readings)
    elif readings:
        sys.stdout.write(format_readings(readings) + "\n")
    if args.upper:
        groups = upper_groups(model.net, {"model": model.upper}, choose(prepared, args.weights, "train"), clips)
        sys.stdout.write((json.dumps(groups) if args.json else format_upper(groups)) + "\n")
        if not args.json:
            from portrait_anim.evaluation.lively_films import lively_tables

            with tqdm(unit="person", file=sys.stderr) as bar:

                def filmed(done: int, total: int) -> None:
                    bar.total = total
                    bar.update(done - bar.n)

                for line in lively_tables(model, args.weights, clips, args.seeds, filmed):
                    sys.stdout.write(line + "\n")
    if args.songs:
        from portrait_anim.evaluation.songs import format_songs, song_tables

        tables = song_tables(model, args.songs)
        sys.stdout.write((json.dumps(tables) if args.json else format_songs(tables)) + "\n")
    if args.render:
        from portrait_anim.evaluation.render import SFACE, render_table
        from portrait_anim.training.convert.wheels import file_of

        people: dict[str, list[Path]] = {}
        for clip in clips:
            people.setdefault(clip.info.person, []).append(Path(clip.info.path))
        turns = (path for turn in zip_longest(*people.values()) for path in turn if path is not None)
        for line in render_table(list(islice(turns, args.render)), RENDER_FRAMES, file_of(*SFACE)):
            sys.stdout.write(line + "\n")
    return 0


def _learning(done: int, total: int, loss: float) -> None:
    if done % 10 == 0 or done == total:
        sys.stderr.write(f"lip-reader: epoch {done} of {total}, loss {loss:.2f}\n")
