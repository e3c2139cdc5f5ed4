"""``portrait-anim serve``: films over HTTP (extra ``serve``: FastAPI, uvicorn, python-multipart)."""

from __future__ import annotations

import argparse
import os
import secrets
import socket
import sys

from portrait_anim.cli.arguments import duration, number, whole
from portrait_anim.errors import DependencyError, OptionError, PortraitAnimError

KEY_VARIABLE = "PORTRAIT_ANIM_KEY"
MIN_KEY_LETTERS = 16
CLOSE_S = 2  # s that requests get to end when the server does
RANGES = (
    ("workers", 1, 64),
    ("max_queue", 1, 1e6),
    ("max_upload", 1, 1e5),
    ("max_pixels", 0.01, 178),
    ("max_size", 64, 8192),
    ("max_duration", 1, 3.6e6),
    ("keep", 1, 3.2e7),
)
EXAMPLES = """\
examples:
  {prog}                                     on this machine; prints a key made now
  PORTRAIT_ANIM_KEY=... {prog} --port 8000 --workers 2
  {prog} --max-duration 2:00 --max-upload 50 --max-queue 100

  curl -H "Authorization: Bearer $KEY" -F photo=@photo.jpg -F audio=@song.mp3 -F emotion=happy \\
    http://127.0.0.1:7862/v1/films           answers with the job's id; docs/serve.md has the rest

Animate real people only with their consent. No sexual, deceptive or defamatory use.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the subcommand's arguments."""
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (127.0.0.1: this machine only)")
    parser.add_argument("--port", type=whole, default=7862, help="port to listen on (7862); 0: a free one")
    parser.add_argument(
        "--key", help=f"what clients send as Authorization: Bearer KEY (${KEY_VARIABLE}, or a random one, printed)"
    )
    parser.add_argument("--workers", type=whole, default=1, metavar="N", help="films made at a time (1)")
    parser.add_argument("--folder", metavar="DIR", help="where jobs are kept over a restart (the user's data folder)")
    limits = parser.add_argument_group("limits")
    limits.add_argument("--max-queue", type=whole, default=20, metavar="N", help="films that may wait (20)")
    limits.add_argument("--max-upload", type=number, default=200, metavar="MB", help="of one request (200)")
    limits.add_argument("--max-pixels", type=number, default=50, metavar="MP", help="megapixels of one picture (50)")
    limits.add_argument("--max-size", type=whole, default=1920, metavar="PX", help="a film's longer side (1920)")
    limits.add_argument("--max-duration", type=duration, default=600.0, metavar="T", help="of a sound (10:00)")
    limits.add_argument("--keep", type=duration, default=86400.0, metavar="T", help="for finished films (24:00:00)")
    films = parser.add_argument_group("every film")
    films.add_argument("--device", default="auto", metavar="NAME", help="auto, cpu, cuda or mps (auto)")
    films.add_argument("--sign-cert", metavar="PEM", help="your certificate chain (this machine's own)")
    films.add_argument("--sign-key", metavar="PEM", help="its key")
    films.add_argument("--audit-log", metavar="FILE", help="add a line for each film to FILE")


def run(args: argparse.Namespace) -> int:
    """Serve until Ctrl-C."""
    try:
        import uvicorn

        from portrait_anim.service.web import service
    except ImportError as e:
        raise DependencyError('the service needs FastAPI: pip install "portrait-anim[serve]"') from e
    from portrait_anim.options import FilmOptions, PhotoOptions
    from portrait_anim.options.checks import check_range
    from portrait_anim.provenance.identity import data_folder
    from portrait_anim.service.films import FilmQueue
    from portrait_anim.service.requests import Limits

    for name, low, high in RANGES:
        check_range(name, getattr(args, name), low, high)
    every = {"device": args.device, "sign_cert": args.sign_cert, "sign_key": args.sign_key, "audit_log": args.audit_log}
    PhotoOptions(device=args.device)
    FilmOptions(**{name: value for name, value in every.items() if name != "device"})
    limits = Limits(int(args.max_upload * 1e6), int(args.max_pixels * 1e6), args.max_size, args.max_duration)
    key, made = _key(args.key)
    folder = args.folder or data_folder() / "jobs"
    with listener(args.host, args.port) as ears, FilmQueue(
        folder, workers=args.workers, max_queued=args.max_queue, keep_s=args.keep, choices=every
    ) as films:  # fmt: skip
        config = uvicorn.Config(
            service(films, key, limits), log_config=None, access_log=False, timeout_graceful_shutdown=CLOSE_S
        )
        port = ears.getsockname()[1]
        host = f"[{args.host}]" if ":" in args.host else args.host
        sys.stdout.write(f"http://{host}:{port}/docs (Ctrl-C ends it)\n" + (f"key: {key}\n" if made else ""))
        sys.stdout.flush()
        try:
            uvicorn.Server(config).run(sockets=[ears])
        except KeyboardInterrupt:  # uvicorn has ended well, and raises the signal again
            sys.stdout.write("\n")
    return 0


def _key(given: str | None) -> tuple[str, bool]:
    """Return the key, and whether it was made here."""
    given = os.environ.get(KEY_VARIABLE) if given is None else given
    if given is None:
        return secrets.token_urlsafe(24), True
    if len(given) < MIN_KEY_LETTERS or not given.isascii() or not given.isprintable() or " " in given:
        raise OptionError(
            f"the key is too short or has other letters than ASCII's: give at least {MIN_KEY_LETTERS} without spaces"
        )
    return given, False


def listener(host: str, port: int) -> socket.socket:
    """Return a socket that listens.

    Raises:
        PortraitAnimError: the port cannot be used.
    """
    try:
        return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except (OSError, OverflowError) as e:
        raise PortraitAnimError(f"port {port} of {host} cannot be used ({e}): give another --port") from e
