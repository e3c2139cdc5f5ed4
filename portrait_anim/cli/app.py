"""``portrait-anim app``: serves the page in the browser, on this machine only (extra ``app``: gradio)."""

from __future__ import annotations

import argparse
import sys

from portrait_anim.errors import PortraitAnimError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the subcommand's arguments."""
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (127.0.0.1: this machine only)")
    parser.add_argument("--port", type=int, default=7860, help="port to listen on (7860)")
    parser.add_argument("--open", action="store_true", help="open the page in the browser")


def run(args: argparse.Namespace) -> int:
    """Serve the page until Ctrl-C."""
    from portrait_anim.app.page import build

    page = build()
    try:
        page.launch(
            server_name=args.host, server_port=args.port, inbrowser=args.open, quiet=True, prevent_thread_lock=True
        )
    except OSError as e:
        raise PortraitAnimError(f"port {args.port} of {args.host} cannot be used ({e}): give another --port") from e
    sys.stdout.write(f"http://{args.host}:{args.port} (Ctrl-C ends it)\n")
    sys.stdout.flush()
    page.block_thread()
    page.films.close()
    return 0
