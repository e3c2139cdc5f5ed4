"""Reading arguments: a parser whose errors are one line, and what several commands take."""

from __future__ import annotations

import argparse
from typing import Any, NoReturn

from portrait_anim.errors import PortraitAnimError
from portrait_anim.options import parse_duration

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
