"""``portrait-anim batch``: many films from a list, with progress over all."""

from __future__ import annotations

import argparse
import contextlib
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from portrait_anim.cli import animate
from portrait_anim.cli.arguments import Parser, number, whole
from portrait_anim.cli.display import terminal_columns
from portrait_anim.errors import OptionError
from portrait_anim.options.checks import check_range, check_whole

if TYPE_CHECKING:
    from portrait_anim.batch.crew import Crew
    from portrait_anim.batch.results import Result
    from portrait_anim.batch.run import Summary

DONE, SOME_FAILED, INTERRUPTED = 0, 1, 130
MAX_WORKERS = 1024
DEFAULT_RETRY = 2
MIN_PART, MAX_PART = 0.01, 180.0  # minutes

EXAMPLES = """\
examples:
  portrait-anim batch jobs.csv --out films
  portrait-anim batch jobs.jsonl --out films --workers 4 --retry 1
  portrait-anim batch pairs/ --out films                    anna.jpg and anna.wav make films/anna.mp4
  portrait-anim batch lectures.csv --out films --parts-of 5   a film of hours is made by all workers together
  portrait-anim batch jobs.csv --out s3://bucket/films --ray auto

jobs.csv, a row a film; the columns after audio are options of `portrait-anim animate`, empty cells are left out:
  id,photo,audio,emotion,seed,karaoke,captions
  anna,anna.jpg,hello.wav,happy:0.6,7,,
  duet,couple.jpg,hers.wav|his.wav,,,yes,song.lrc
jobs.jsonl, an object a line:
  {{"id": "anna", "photo": "anna.jpg", "audio": "hello.wav", "head_motion": 0.5}}
  {{"id": "duet", "photo": "s3://bucket/couple.jpg", "audio": ["hers.wav", "his.wav"], "karaoke": true}}

Relative paths begin at the jobs file's folder. DIR/results.csv says what became of every film. Run the same command
again to go on after an end: films whose inputs and options are the same are skipped. Exit status: 0 all films are
there, 1 some could not be made, 2 the list cannot be used, 130 ended by Ctrl-C.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.epilog = EXAMPLES
    parser.add_argument("jobs", metavar="JOBS", help="a .csv or .jsonl file, or a folder of photo-sound pairs")
    parser.add_argument(
        "--out", metavar="DIR", required=True, help="folder or URL (s3://...) of the films, made if need be"
    )
    parser.add_argument("--workers", type=whole, metavar="N", help="films at a time (one a core; about 0.8 GB each)")
    parser.add_argument(
        "--ray", metavar="ADDRESS", help="work on a Ray cluster: auto, host:6379, ray://host:10001 (extra ray)"
    )
    parser.add_argument(
        "--retry", type=whole, default=DEFAULT_RETRY, metavar="N",
        help=f"more tries where a worker died, a disk was full, a store was away ({DEFAULT_RETRY})",
    )  # fmt: skip
    parser.add_argument(
        "--parts-of", type=number, metavar="MINUTES",
        help="make films that are longer in parts of this length, with several workers, and join them",
    )  # fmt: skip
    parser.add_argument("--overwrite", action="store_true", help="make all films anew, replace those that are there")


class RowParser(Parser):
    """A parser of a row's values, whose errors are raised."""

    def error(self, message: str) -> NoReturn:
        """Raise what cannot be read."""
        raise OptionError(" ".join(message.split()))


def row_parser() -> Callable[[list[str]], tuple[str, list[str], dict[str, Any]]]:
    """Return what reads a row's words as the command ``animate`` reads its own."""
    parser = RowParser(prog="row", add_help=False, allow_abbrev=False)
    animate.add_arguments(parser)

    def parse(words: list[str]) -> tuple[str, list[str], dict[str, Any]]:
        args = parser.parse_args(words)
        return args.photo, args.audio, animate.options(args)

    return parse


def run(args: argparse.Namespace) -> int:
    """Make the films of a list."""
    from portrait_anim.batch.crew import LocalCrew, cores
    from portrait_anim.batch.jobs import read_jobs
    from portrait_anim.batch.run import out_of
    from portrait_anim.batch.run import run as make_films

    check_whole("retry", args.retry, 0)
    if args.workers is not None:
        check_whole("workers", args.workers, 1, MAX_WORKERS)
    longest_s = None
    if args.parts_of is not None:
        longest_s = 60 * check_range("parts-of", args.parts_of, MIN_PART, MAX_PART)
    jobs, out = read_jobs(args.jobs, row_parser()), out_of(args.out)
    if Path(out).resolve() == Path(args.jobs).resolve():
        raise OptionError(f"films in {args.jobs} would be taken for sounds of its pairs next time: give another --out")

    def crew_of(films: int) -> Crew:
        films = films if longest_s is None else MAX_WORKERS  # each may be work for all
        if args.ray is not None:
            from portrait_anim.batch.ray_crew import RayCrew

            return RayCrew(args.ray, args.workers, films, out)
        workers = min(args.workers or cores(), films)
        return LocalCrew(workers, out, threads=max(1, cores() // workers))

    with _display(quiet=args.quiet) as display:
        try:
            summary = make_films(
                jobs, out, crew_of, display, retry=args.retry, overwrite=args.overwrite, longest_s=longest_s
            )
        except KeyboardInterrupt:
            if not args.quiet:
                print("interrupted: finished films stay, the same command goes on with the others", file=sys.stderr)
            return INTERRUPTED
    if not args.quiet:
        said = f"{summary.made} made, {summary.skipped} there already, {summary.failed} failed"
        print(f"{summary.total} films: {said}", flush=True)
    return SOME_FAILED if summary.failed else DONE


@contextlib.contextmanager
def _display(*, quiet: bool) -> Iterator[Callable[[Summary, Result | None], None]]:
    """Yield what is told of every film: failures as lines; how far all are as a bar on a terminal, lines elsewhere."""
    bar: Any = None
    start = time.monotonic()

    def show(summary: Summary, result: Result | None) -> None:
        nonlocal bar, start
        done = summary.total - summary.left
        if result is None:
            start = time.monotonic()
            if summary.skipped and not quiet:
                print(f"note: {summary.skipped} films are there already", file=sys.stderr, flush=True)
        if bar is None and not quiet and terminal_columns():
            from tqdm import tqdm

            bar = tqdm(total=summary.total, unit=" films", file=sys.stderr, dynamic_ncols=True)
        if bar is not None:
            bar.update(done - bar.n)
        if result is None:
            return
        if result.error:
            line = f"failed: {result.id}: {result.error}"
            if bar is not None:
                bar.write(line, file=sys.stderr)
            else:
                print(line, file=sys.stderr, flush=True)
        if bar is None and not quiet:
            rate = (summary.made + summary.failed) / max(time.monotonic() - start, 1e-6)
            left = f"{3600 * rate:.0f} films an hour, {summary.left / rate:.0f} s left"
            print(f"{done}/{summary.total} films, {summary.failed} failed, {left}", file=sys.stderr, flush=True)

    try:
        yield show
    finally:
        if bar is not None:
            bar.close()
