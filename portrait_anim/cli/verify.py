"""``portrait-anim verify``: arguments and printing."""

from __future__ import annotations

import argparse
import json
import sys

MARKED, NOT_FOUND, UNREADABLE = 0, 1, 2

DESCRIPTION = (
    "Say what an image or video tells about its making: signed manifest, invisible mark, metadata. "
    "Exit status: 0 marked as synthetic, 1 no mark found (which proves nothing), 2 the file cannot be read. "
    "With --quiet the exit status is the whole answer."
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the subcommand's arguments."""
    parser.add_argument("file", metavar="FILE", help="any image or video")
    parser.add_argument("--json", action="store_true", help="print everything that was found as JSON")


def run(args: argparse.Namespace) -> int:
    """Look at ``args.file``, print, and return the exit status."""
    from portrait_anim.errors import PortraitAnimError
    from portrait_anim.provenance.verify import verify

    try:
        found = verify(args.file)
    except PortraitAnimError as e:
        sys.stderr.write(f"error: {' '.join(str(e).split())}\n")
        return UNREADABLE
    if getattr(args, "quiet", False) and not args.json:
        return MARKED if found.marked else NOT_FOUND
    text = found.summary()
    if args.json:
        text = json.dumps(found.to_dict(), indent=2, ensure_ascii=False)
        if not all(line.isprintable() for line in text.split("\n")):  # the file's own words may hold anything
            text = json.dumps(found.to_dict(), indent=2)
    sys.stdout.write(text + "\n")
    return MARKED if found.marked else NOT_FOUND
