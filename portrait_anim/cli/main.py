"""The commands ``animate`` and ``portrait-anim``: arguments and printing, nothing else.

Exit codes: 0 done, 1 a bug, 2 something about the input (one ``error:`` line on stderr), 130 ended by Ctrl-C,
141 whoever read the output has gone. Without a usable stderr there is no progress and no note; the work is done all the
same.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import importlib.util
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from types import FrameType
from typing import Any, NoReturn

from portrait_anim.cli.display import notes, progress_display, unfailing_streams
from portrait_anim.errors import OutputError, PortraitAnimError
from portrait_anim.options import EMOTIONS, MAX_DURATION_S, parse_duration
from portrait_anim.version import __version__

Run = Callable[[argparse.Namespace], int]

OK, BUG, BAD_INPUT, INTERRUPTED, READER_GONE = 0, 1, 2, 130, 141  # as a shell tells of SIGINT and SIGPIPE
PARTS = {  # command -> the module with add_arguments(parser) and run(args), and what it does
    "prepare": ("portrait_anim.cli.prepare", "turn clips of talking heads into training data"),
    "train": ("portrait_anim.cli.train", "train the motion model"),
    "evaluate": ("portrait_anim.cli.evaluate", "measure the motion model beside baselines"),
    "app": ("portrait_anim.app.page", "serve a page in the browser, on this machine"),
    "verify": ("portrait_anim.cli.verify", "say what a film or picture tells about its making"),
}
EXAMPLES = """\
examples:
  {prog} photo.jpg song.wav                       writes photo_song.mp4 here
  {prog} photo.jpg speech.mp3 -o film.mp4 --seed 7
  {prog} group.png voice.m4a --face 2             the second face from the left
  {prog} couple.jpg hers.wav his.wav              a duet, from the left
  {prog} photo.jpg song.wav --emotion "happy@0-4,sad:0.6@4-"
  {prog} photo.jpg talk.mp4 --head-motion 0 --blinks 0.5 --max-size 1024

Animate real people only with their consent. No sexual, deceptive or defamatory use.
"""


class Parser(argparse.ArgumentParser):
    """An argument parser whose errors are one line."""

    def error(self, message: str) -> NoReturn:
        """Print one line and exit with 2."""
        self.exit(BAD_INPUT, f"error: {' '.join(message.split())} (see {self.prog} --help)\n")


def number(text: str) -> float:
    """Read a number for argparse."""
    try:
        return float(text)
    except ValueError as e:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number") from e


def whole(text: str) -> int:
    """Read a whole number for argparse."""
    try:
        return int(text)
    except ValueError as e:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number") from e


def faces(text: str) -> int | str | tuple[int, ...]:
    """Read which faces: 2, 1,3 or all."""
    if text == "all":
        return text
    numbers = tuple(whole(part) for part in text.split(","))
    return numbers if len(numbers) > 1 else numbers[0]


def frame_rate(text: str) -> float:
    """Read a frame rate: 25, 29.97 or 30000/1001."""
    above, slash, below = text.partition("/")
    rate = number(above)
    if not slash:
        return int(rate) if rate.is_integer() else rate
    if not (divisor := number(below)):
        raise argparse.ArgumentTypeError(f"{text!r} divides by zero")
    return rate / divisor


def duration(text: str) -> float:
    """Read a duration: 90, 1:30 or 1:30:00."""
    try:
        return parse_duration(text)
    except PortraitAnimError as e:
        raise argparse.ArgumentTypeError(str(e)) from e


def add_animate_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what ``animate`` takes."""
    parser.add_argument("photo", metavar="PHOTO", help="jpg, png, webp, bmp, tiff, gif, heic")
    parser.add_argument(
        "audio", metavar="AUDIO", nargs="+",
        help="wav, mp3, flac, ogg, opus, m4a, or a video with sound; several: a duet, one for each face from the left",
    )  # fmt: skip
    parser.add_argument("-o", "--output", metavar="OUT", help="the .mp4 to write (default: PHOTO_AUDIO.mp4 here)")
    parser.add_argument(
        "--max-duration", type=duration, default=MAX_DURATION_S, metavar="T",
        help="refuse a longer sound: seconds, MM:SS or HH:MM:SS (3:00:00; an hour takes about 1 GB of memory)",
    )  # fmt: skip
    motion = parser.add_argument_group("motion")
    motion.add_argument("--emotion", metavar="E", help=f"{', '.join(EMOTIONS)}, auto; sad:0.6; happy@0-4,sad@4-")
    motion.add_argument("--head-motion", type=number, default=1.0, metavar="X", help="0 still to 2 lively (1)")
    motion.add_argument("--blinks", type=number, default=1.0, metavar="X", help="0 none to 3 times as often (1)")
    motion.add_argument("--seed", type=whole, default=0, metavar="N", help="another seed, other blinks and nods (0)")
    picture = parser.add_argument_group("picture")
    picture.add_argument(
        "--face", type=faces, metavar="N", help="which face from the left: 2, or 1,3, or all (the largest)"
    )
    picture.add_argument("--fps", type=frame_rate, default=25, metavar="N", help="frames a second, 1 to 60 (25)")
    picture.add_argument("--max-size", type=whole, metavar="PX", help="reduce the longer side to PX (not reduced)")
    nets = parser.add_argument_group("nets")
    nets.add_argument("--weights", default="default", metavar="SET", help="default (CC BY-NC 4.0) or open (any use)")
    nets.add_argument("--device", default="auto", metavar="NAME", help="auto, cpu, cuda or mps (auto)")
    nets.add_argument("--landmarker", default="facemesh", metavar="NAME", help="facemesh or face-alignment (facemesh)")
    marks = parser.add_argument_group("marks", "every film is marked as synthetic, in its pixels and by a signature")
    marks.add_argument("--label", metavar="TEXT", help="also a visible label: auto, eu, cn or a text")
    marks.add_argument("--sign-cert", metavar="PEM", help="your certificate chain (this machine's own)")
    marks.add_argument("--sign-key", metavar="PEM", help="its key")
    marks.add_argument("--audit-log", metavar="FILE", help="add a line for this film to FILE")
    parser.add_argument("--force", action="store_true", help="replace OUT if it is there")


def add_common_arguments(parser: argparse.ArgumentParser, *, again: bool = False) -> None:
    """Add what every command takes; ``again``: to a subcommand, where they may have come before its name."""
    default: Any = argparse.SUPPRESS if again else False
    loud = parser.add_mutually_exclusive_group()
    loud.add_argument("-q", "--quiet", action="store_true", default=default, help="print nothing but errors")
    loud.add_argument(
        "-v", "--verbose", action="store_true", default=default, help="print details, and where an error comes from"
    )


def run_animate(args: argparse.Namespace) -> int:
    """Make a film and say on stdout what was written."""
    from portrait_anim.pipeline import animate

    with progress_display(quiet=args.quiet) as progress:
        film = animate(
            args.photo, args.audio, args.output, emotion=args.emotion, head_motion=args.head_motion,
            blinks=args.blinks, seed=args.seed, face=args.face, fps=args.fps, max_size=args.max_size,
            max_duration=args.max_duration,
            weights=args.weights, device=args.device, landmarker=args.landmarker, label=args.label,
            sign_cert=args.sign_cert, sign_key=args.sign_key, audit_log=args.audit_log,
            progress=progress, overwrite=args.force,
        )  # fmt: skip
    if not args.quiet:
        from portrait_anim.system.files import shown

        width, height = film.size
        length = f"{film.duration_s:.2f} s, {film.n_frames} frames at {film.fps:g} fps, {width}x{height}"
        with contextlib.suppress(BrokenPipeError):
            print(f"wrote {shown(film.path)}: {length}", flush=True)
    return OK


def add_info_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what ``info`` takes."""
    parser.add_argument("--json", action="store_true", help="print it as JSON")


def run_info(args: argparse.Namespace) -> int:
    """Print versions, device and weights with their licences."""
    from portrait_anim.cli.info import as_json, as_text, collect

    facts = collect()
    print(as_json(facts) if args.json else as_text(facts))
    return OK


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
    """Turn SIGINT, SIGTERM and SIGHUP into one KeyboardInterrupt; more of them do not disturb the tidying up."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    received = 0

    def interrupt(signum: int, frame: FrameType | None) -> None:
        nonlocal received
        received += 1
        if received == 1:
            raise KeyboardInterrupt
        if received > 3:
            os._exit(INTERRUPTED)

    names = [name for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
    before = {name: signal.signal(getattr(signal, name), interrupt) for name in names}
    try:
        yield
    finally:
        for name, handler in before.items():
            signal.signal(getattr(signal, name), handler)


def _printed(run: Run, args: argparse.Namespace) -> int:
    """Run a command; what it printed has arrived, or that is said. A film that is there counts, whoever hears of it."""
    status = run(args)
    sys.stdout.flush()
    lost: OSError | None = getattr(sys.stdout, "lost", None)
    if lost is not None and run is not run_animate:
        raise OutputError(f"cannot print ({lost.strerror}): give a standard output that takes it")
    return status


def guarded(run: Run, args: argparse.Namespace) -> int:
    """Run a command and turn what it raises into one line and an exit code."""
    verbose = getattr(args, "verbose", False)

    def fail(code: int, message: str) -> int:
        if verbose:
            traceback.print_exc()
        print(f"error: {' '.join(message.split())}", file=sys.stderr)
        return code

    try:
        with interruptible(), notes(quiet=getattr(args, "quiet", False), verbose=verbose):
            return _printed(run, args)
    except PortraitAnimError as e:
        return fail(BAD_INPUT, str(e))
    except KeyboardInterrupt:
        return fail(INTERRUPTED, "interrupted, nothing was written")
    except MemoryError:
        return fail(BAD_INPUT, "out of memory: reduce the picture with --max-size")
    except BrokenPipeError:  # e.g. head has seen enough
        return READER_GONE
    except Exception as e:
        return fail(BUG, f"{type(e).__name__}: {e}; this is a bug: run it with --verbose and report what it prints")


def formatter(prog: str) -> argparse.RawDescriptionHelpFormatter:
    """Return the layout of --help."""
    return argparse.RawDescriptionHelpFormatter(prog, max_help_position=26, width=100)


def animate_main(argv: Sequence[str] | None = None) -> int:
    """Run the command ``animate``."""
    parser = Parser(
        prog="animate", description="Make one still photo talk or sing.", epilog=EXAMPLES.format(prog="animate"),
        formatter_class=formatter, allow_abbrev=False,
    )  # fmt: skip
    parser.add_argument("--version", action="version", version=f"portrait_anim {__version__}")
    add_animate_arguments(parser)
    add_common_arguments(parser)
    with unfailing_streams():
        return guarded(run_animate, parser.parse_args(argv))


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command ``portrait-anim`` with one of its subcommands."""
    argv = sys.argv[1:] if argv is None else argv
    parser = Parser(
        prog="portrait-anim", description="Make one still photo talk or sing.", formatter_class=formatter,
        epilog=EXAMPLES.format(prog="portrait-anim animate"), allow_abbrev=False,
    )  # fmt: skip
    parser.add_argument("--version", action="version", version=f"portrait_anim {__version__}")
    add_common_arguments(parser)
    commands = parser.add_subparsers(metavar="COMMAND", required=True)

    def add(name: str, text: str, run: Run, epilog: str = "") -> argparse.ArgumentParser:
        part = commands.add_parser(
            name, help=text, description=f"{text[0].upper()}{text[1:]}.", epilog=epilog, formatter_class=formatter,
            allow_abbrev=False,
        )  # fmt: skip
        part.set_defaults(run=run)
        add_common_arguments(part, again=True)
        return part

    chosen = next((word for word in argv if not word.startswith("-")), None)
    examples = EXAMPLES.format(prog="portrait-anim animate")
    add_animate_arguments(add("animate", "make one still photo talk or sing", run_animate, examples))
    for name, (module_name, text) in PARTS.items():
        if importlib.util.find_spec(module_name) is None:
            continue
        if name == chosen:  # the others are only listed, so that --help loads nothing
            module = importlib.import_module(module_name)
            module.add_arguments(add(name, text, module.run))
        else:
            add(name, text, run_animate)
    add_info_arguments(add("info", "print versions, device, weights and their licences", run_info))
    with unfailing_streams():
        args = parser.parse_args(argv)
        if args.quiet and args.verbose:
            parser.error("argument -v/--verbose: not allowed with argument -q/--quiet")
        return guarded(args.run, args)


if __name__ == "__main__":
    sys.exit(main())
