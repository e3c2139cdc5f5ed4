"""``portrait-anim prepare``: raw clips to training shards."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("data", type=Path, help="folder of talking-head clips (subfolders are people)")
    parser.add_argument("out", type=Path, help="folder for the shards; what is there already is kept")


def run(args: argparse.Namespace) -> int:
    """Prepare, with a progress bar on stderr; the last line says how many clips were kept."""
    from tqdm import tqdm

    from portrait_anim.training.prepare import prepare

    args.out.mkdir(parents=True, exist_ok=True)
    with tqdm(unit="clip", file=sys.stderr) as bar:

        def progress(done: int, total: int, what: str) -> None:
            bar.total = total
            if "dropped" in what:
                bar.write(what, file=sys.stderr)
            bar.update(done - bar.n)

        counts = prepare(args.data, args.out, progress)
    sys.stdout.write(f"{args.out}: {counts['kept']} clips kept, {counts['dropped']} dropped (see manifest.jsonl)\n")
    return 0
