"""Reading arguments: a parser whose errors are one line, and what several commands take."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any, NoReturn

from portrait_anim.errors import PortraitAnimError
from portrait_anim.options import parse_duration, text

BAD_INPUT = 2  # exit code of anything about the input


class Parser(argparse.ArgumentParser):
    """An argument parser whose errors are one line."""

    def error(self, message: str) -> NoReturn:
        """Print one line and exit with 2."""
        self.exit(BAD_INPUT, f"error: {' '.join(message.split())} (see {self.prog} --help)\n")

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Parse; sounds that come after an option count too: argparse has by then taken the photo for all there is."""
        found, rest = super().parse_known_args(args, namespace)
        if rest and getattr(found, "audio", None) == [] and not any(word.startswith("-") for word in rest):
            found.audio, rest = rest, []
        return found, rest


def _argument(read: Callable[[str], Any]) -> Callable[[str], Any]:
    """Return a reader of an option's text whose errors argparse takes."""

    def argument(given: str) -> Any:
        try:
            return read(given)
        except PortraitAnimError as e:
            raise argparse.ArgumentTypeError(str(e)) from e

    return argument


number, whole, faces, box = map(_argument, (text.number, text.whole, text.faces, text.box))
frame_rate = _argument(text.frame_rate)
duration = _argument(parse_duration)


def add_common_arguments(parser: argparse.ArgumentParser, *, again: bool = False) -> None:
    """Add what every command takes; ``again``: to a subcommand, where they may have come before its name."""
    default: Any = argparse.SUPPRESS if again else False
    loud = parser.add_mutually_exclusive_group()
    loud.add_argument("-q", "--quiet", action="store_true", default=default, help="print nothing but errors")
    loud.add_argument(
        "-v", "--verbose", action="store_true", default=default, help="print details, and where an error comes from"
    )


def formatter(prog: str) -> argparse.RawDescriptionHelpFormatter:
    """Return the layout of --help."""
    return argparse.RawDescriptionHelpFormatter(prog, max_help_position=26, width=100)
