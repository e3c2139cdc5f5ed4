"""The commands ``animate`` and ``portrait-anim``: arguments and printing, nothing else.

Exit codes: 0 done, 1 a bug, 2 something about the input (one ``error:`` line on stderr), 130 ended by Ctrl-C, 141 the
program that read the output has ended. Without a usable stderr there is no progress and no note, but the work is done.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import sys
import traceback
from collections.abc import Callable, Sequence

from portrait_anim.cli import animate
from portrait_anim.cli.arguments import BAD_INPUT, Parser, add_common_arguments, formatter
from portrait_anim.cli.display import notes, unfailing_streams
from portrait_anim.cli.ending import INTERRUPTED, LINE, Interruption, interruptible
from portrait_anim.errors import OutputError, PortraitAnimError
from portrait_anim.system.threads import limit_threads
from portrait_anim.version import __version__

Command = Callable[[argparse.Namespace], int]

BUG, READER_GONE = 1, 141  # the latter is a shell's code for SIGPIPE
COMMANDS = {  # name -> the module with add_arguments(parser) and run(args), and what it does
    "animate": ("portrait_anim.cli.animate", "make one still photo talk or sing"),
    "live": ("portrait_anim.cli.live", "let a photo speak in real time, on a page in the browser or through pipes"),
    "batch": ("portrait_anim.cli.batch", "make many films from a list, on all cores or on a Ray cluster"),
    "prepare": ("portrait_anim.cli.prepare", "turn clips of talking heads into training data"),
    "train": ("portrait_anim.cli.train", "train the motion model"),
    "evaluate": ("portrait_anim.cli.evaluate", "measure the motion model beside baselines"),
    "app": ("portrait_anim.cli.app", "serve a page in the browser, on this machine"),
    "serve": ("portrait_anim.cli.serve", "serve films over HTTP, with a queue"),
    "verify": ("portrait_anim.cli.verify", "say what a film or picture tells about its making"),
    "info": ("portrait_anim.cli.info", "print versions, device, weights and their licences"),
}

LEARNING = ("prepare", "train", "evaluate")  # commands whose libraries use as many threads as the environment says


def _printed(run: Command, args: argparse.Namespace) -> int:
    """Run a command and flush what it printed. A failure to print is an error, except where a film was written."""
    status = run(args)
    sys.stdout.flush()
    lost: OSError | None = getattr(sys.stdout, "lost", None)
    if lost is not None and run is not animate.run:
        raise OutputError(f"cannot print ({lost.strerror}): give a standard output that takes it")
    return status


def guarded(run: Command, args: argparse.Namespace) -> int:
    """Run a command and turn what it raises into one line and an exit code."""
    verbose = getattr(args, "verbose", False)

    def fail(code: int, message: str) -> int:
        if verbose:
            traceback.print_exc()
        print(f"error: {' '.join(message.split())}", file=sys.stderr)
        return code

    interruption = Interruption()
    try:
        with interruptible() as interruption, notes(quiet=getattr(args, "quiet", False), verbose=verbose):
            return _printed(run, args)
    except KeyboardInterrupt:
        return fail(INTERRUPTED, LINE)
    except PortraitAnimError as e:
        return fail(INTERRUPTED, LINE) if interruption.came else fail(BAD_INPUT, str(e))
    except MemoryError:
        return fail(BAD_INPUT, "out of memory: reduce the picture with --max-size")
    except BrokenPipeError:  # e.g. head has seen enough
        return READER_GONE
    except Exception as e:
        if interruption.came:  # a library made it an error of its own
            return fail(INTERRUPTED, LINE)
        return fail(BUG, f"{type(e).__name__}: {e}; this is a bug: run it with --verbose and report what it prints")


def animate_main(argv: Sequence[str] | None = None) -> int:
    """Run the command ``animate``."""
    parser = Parser(
        prog="animate", description="Make one still photo talk or sing.", formatter_class=formatter,
        epilog=animate.EXAMPLES.format(prog="animate"), allow_abbrev=False,
    )  # fmt: skip
    parser.add_argument("--version", action="version", version=f"portrait_anim {__version__}")
    animate.add_arguments(parser)
    add_common_arguments(parser)
    limit_threads(1)
    with unfailing_streams():
        return guarded(animate.run, parser.parse_args(argv))


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command ``portrait-anim`` with one of its subcommands."""
    argv = sys.argv[1:] if argv is None else argv
    parser = Parser(
        prog="portrait-anim", description="Make one still photo talk or sing.", formatter_class=formatter,
        epilog=animate.EXAMPLES.format(prog="portrait-anim animate"), allow_abbrev=False,
    )  # fmt: skip
    parser.add_argument("--version", action="version", version=f"portrait_anim {__version__}")
    add_common_arguments(parser)
    commands = parser.add_subparsers(metavar="COMMAND", required=True)

    chosen = next((word for word in argv if not word.startswith("-")), None)
    for name, (module_name, text) in COMMANDS.items():
        if importlib.util.find_spec(module_name) is None:
            continue
        part = commands.add_parser(
            name, help=text, description=f"{text[0].upper()}{text[1:]}.", formatter_class=formatter, allow_abbrev=False,
        )  # fmt: skip
        add_common_arguments(part, again=True)
        if name == chosen:  # the others are only listed, so that --help loads nothing
            module = importlib.import_module(module_name)
            module.add_arguments(part)
            part.epilog = getattr(module, "EXAMPLES", "").format(prog=f"portrait-anim {name}")
            part.set_defaults(run=module.run)
    if chosen not in LEARNING:
        limit_threads(1)
    with unfailing_streams():
        args = parser.parse_args(argv)
        if args.quiet and args.verbose:
            parser.error("argument -v/--verbose: not allowed with argument -q/--quiet")
        return guarded(args.run, args)


if __name__ == "__main__":
    sys.exit(main())
