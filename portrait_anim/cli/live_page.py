"""``portrait-anim live`` with a page in the browser (extra ``live``: aiortc, starlette, uvicorn)."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from portrait_anim.cli.arguments import whole
from portrait_anim.config import FPS, SAMPLE_RATE
from portrait_anim.errors import DependencyError, OptionError

PIPE, PAGE = "-", "page"
SOURCES = {"mic": "microphone", "camera": "camera"}  # inputs of the page, as the page calls them
PAGE_SIZE = 512  # px, of a face on the page
PAGE_RATE = 48_000  # Hz, of WebRTC's sound
CLOSE_S = 2  # s that calls get to end when the server does
RANGES = (("port", 0, 65535), ("sessions", 1, 64))
EXAMPLES = """\
  {prog} photo.jpg --input mic              a page on http://127.0.0.1:7861: your voice moves the face
  {prog} photo.jpg --input camera           the same with your face
  {prog} photo.jpg --input speech.wav --output page

Animate real people only with their consent, and tell people that the face is synthetic.
"""


def add_page_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what the page alone takes."""
    page = parser.add_argument_group("the page")
    page.add_argument("--host", default="127.0.0.1", help="address to listen on (127.0.0.1: this machine only)")
    page.add_argument("--port", type=whole, default=7861, help="port to listen on (7861); 0: a free one")
    page.add_argument("--sessions", type=whole, default=4, metavar="N", help="calls at a time (4)")


def wants_page(args: argparse.Namespace) -> bool:
    """Return whether the face is shown on a page.

    Raises:
        OptionError: the browser's microphone or camera shall drive a face that is not, or a page is to be recorded.
    """
    if args.input in SOURCES and args.output not in (None, PAGE):
        raise OptionError(f"--input {args.input} is the browser's and needs --output page: leave --output out")
    page = args.input in SOURCES or args.output == PAGE
    if page and (args.record is not None or args.curves):
        raise OptionError("--record and --curves take a face that is not on a page: leave --output page out")
    return page


def serve(args: argparse.Namespace) -> int:
    """Serve the page until Ctrl-C."""
    try:
        import uvicorn

        from portrait_anim.call.desk import Desk
        from portrait_anim.call.web import page
    except ImportError as e:
        raise DependencyError('a face on a page needs aiortc: pip install "portrait-anim[live]"') from e
    import numpy as np

    from portrait_anim.audio.load import load_audio
    from portrait_anim.cli.serve import listener
    from portrait_anim.live.engine import LiveFace
    from portrait_anim.options.checks import check_range

    if args.input == PIPE:
        raise OptionError("the page hears no pipe: give --input mic, camera or a sound file")
    for name, low, high in RANGES:
        check_range(name, getattr(args, name), low, high)
    sound = None if args.input in SOURCES else load_audio(args.input)
    first = SOURCES.get(args.input, "file")
    sources = (first, *(name for name in SOURCES.values() if name != first))

    def make(photo: Any, emotion: str | None, gaze: str) -> LiveFace:
        face = LiveFace(
            args.photo if photo is None else photo, sample_rate=PAGE_RATE, max_size=args.size or PAGE_SIZE,
            face=args.face if photo is None else None, emotion=emotion or args.emotion, gaze=gaze,
            head_motion=args.head_motion, blinks=args.blinks, seed=args.seed, weights=args.weights,
        )  # fmt: skip
        face.step()  # what has to be compiled is
        return face

    def warm() -> None:
        face = make(None, args.emotion, args.gaze)  # a photo that cannot be used is told at once
        face.feed(np.zeros(SAMPLE_RATE, np.float32))  # nets are loaded
        for _ in range(FPS):
            face.step(draw=False)

    warm()
    with listener(args.host, args.port) as socket:
        app = page(Desk(make, args.sessions, sound), sources, args.host)
        config = uvicorn.Config(app, log_config=None, access_log=False, timeout_graceful_shutdown=CLOSE_S)
        host = f"[{args.host}]" if ":" in args.host else args.host
        sys.stdout.write(f"http://{host}:{socket.getsockname()[1]} (Ctrl-C ends it)\n")
        sys.stdout.flush()
        try:
            uvicorn.Server(config).run(sockets=[socket])
        except KeyboardInterrupt:  # uvicorn has ended well, and raises the signal again
            sys.stdout.write("\n")
    return 0
