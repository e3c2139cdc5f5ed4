"""``portrait-anim prepare``: raw clips to training shards."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("data", type=Path, help="folder of talking-head clips (subfolders are people)")
    parser.add_argument("out", type=Path, help="folder for the shards; what is there already is kept")
    parser.add_argument("--copies", action="store_true", help="also sung and mixed copies of the clips (needs pyworld)")
    parser.add_argument("--voices", action="store_true", help="with --copies: also each clip in another voice and room")
    parser.add_argument("--music", type=Path, default=None, help="instrumentals to mix in (default: DATA/audio/music)")
    parser.add_argument("--workers", type=int, default=2, help="processes (default: 2)")


def run(args: argparse.Namespace) -> int:
    """Prepare, with a progress bar on stderr; the last line says how many clips were kept."""
    from tqdm import tqdm

    from portrait_anim.training.data.prepare import prepare

    with tqdm(unit="clip", file=sys.stderr) as bar:

        def progress(done: int, total: int, what: str) -> None:
            bar.total = total
            if "dropped" in what:
                bar.write(what, file=sys.stderr)
            bar.update(done - bar.n)

        counts = prepare(args.data, args.out, progress, workers=args.workers)
    sys.stdout.write(f"{args.out}: {counts['kept']} clips kept, {counts['dropped']} dropped (see manifest.jsonl)\n")
    if args.copies:
        from portrait_anim.training.data.copies import make_copies

        music = args.music or args.data / "audio" / "music"
        with tqdm(unit="copy", file=sys.stderr) as bar:
            count = make_copies(
                args.out, music if music.is_dir() else None, args.workers, progress, voices=args.voices
            )  # fmt: skip
        sys.stdout.write(f"{args.out / 'copies'}: {count} copies\n")
    return 0
