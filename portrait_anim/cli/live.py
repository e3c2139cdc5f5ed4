"""``portrait-anim live``: a photo speaks in real time, on a page in the browser or from one pipe into another."""

from __future__ import annotations

import argparse
import logging
import sys
import threading
from pathlib import Path
from typing import IO, Any

from portrait_anim.cli.arguments import number, whole
from portrait_anim.config import FPS, SAMPLE_RATE
from portrait_anim.errors import DependencyError, OptionError, OutputError
from portrait_anim.options import EMOTIONS

logger = logging.getLogger(__name__)

PIPE, PAGE = "-", "page"
SOURCES = {"mic": "microphone", "camera": "camera"}  # inputs of the page, as the page calls them
PAGE_SIZE = 512  # px, of a face on the page
PAGE_RATE = 48_000  # Hz, of WebRTC's sound
CLOSE_S = 2  # s that calls get to end when the server does
RANGES = (("port", 0, 65535), ("sessions", 1, 64))
PIECE_BYTES = 2 * SAMPLE_RATE // 50  # 20 ms of 16-bit sound
REST_S = 0.6  # that the face stays after the last word

EXAMPLES = """examples:
  {prog} photo.jpg --input mic              a page on http://127.0.0.1:7861: your voice moves the face
  {prog} photo.jpg --input camera           the same with your face
  {prog} photo.jpg --input speech.wav --output page
  arecord -f S16_LE -r 16000 | {prog} photo.jpg | mpv -
  {prog} photo.jpg --input speech.wav --output film.mp4
  {prog} photo.jpg --format y4m < speech.s16 | ffmpeg -i - -f flv rtmp://...

Animate real people only with their consent, and tell people that the face is synthetic.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the subcommand's arguments."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = EXAMPLES.format(prog="portrait-anim live")
    parser.add_argument("photo", help="the picture")
    parser.add_argument(
        "--input", default=PIPE, metavar="FILE",
        help="a sound file; mic or camera: the browser's; -: 16-bit mono at 16 kHz on stdin (-)",
    )  # fmt: skip
    parser.add_argument(
        "--output", metavar="FILE", help="a film; page: in the browser; - is stdout (-; page of mic and camera)"
    )
    parser.add_argument("--format", choices=("mp4", "y4m"), default="mp4", help="fragmented mp4, or raw pictures (mp4)")
    parser.add_argument(
        "--size", type=whole, metavar="PX", help=f"limit of the picture's longer side (page: {PAGE_SIZE})"
    )
    parser.add_argument("--face", type=whole, metavar="N", help="which face, from the left")
    parser.add_argument("--emotion", metavar="E", help=f"one of {', '.join(EMOTIONS)}, with a strength as happy:0.7")
    parser.add_argument("--gaze", choices=("camera", "photo"), default="camera", help="where the eyes look (camera)")
    parser.add_argument("--head-motion", type=number, default=1.0, metavar="X", help="0 (still) to 2 (1)")
    parser.add_argument("--blinks", type=number, default=1.0, metavar="X", help="0 to 3 times the natural rate (1)")
    parser.add_argument("--seed", type=whole, default=0, metavar="N", help="of blinks, gaze and head (0)")
    parser.add_argument("--weights", choices=("default", "open"), default="default", help="set of weights")
    parser.add_argument("--force", action="store_true", help="replace the output if it is there")
    page = parser.add_argument_group("the page")
    page.add_argument("--host", default="127.0.0.1", help="address to listen on (127.0.0.1: this machine only)")
    page.add_argument("--port", type=whole, default=7861, help="port to listen on (7861); 0: a free one")
    page.add_argument("--sessions", type=whole, default=4, metavar="N", help="calls at a time (4)")


def run(args: argparse.Namespace) -> int:
    """Play until the sound ends, or serve the page until Ctrl-C."""
    output = args.output or (PAGE if args.input in SOURCES else PIPE)
    if output == PAGE:
        return _serve(args)
    if args.input in SOURCES:
        raise OptionError(f"--input {args.input} is the browser's and needs --output page: leave --output out")
    return _play(args, output)


def _serve(args: argparse.Namespace) -> int:
    """Serve the page."""
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


def _play(args: argparse.Namespace, output: str) -> int:
    """Play into a film until the sound ends."""
    from portrait_anim.audio.load import load_audio
    from portrait_anim.live.clock import played
    from portrait_anim.live.engine import LiveFace
    from portrait_anim.video.stream import StreamWriter

    if output == PIPE and sys.stdout.isatty():
        raise OptionError("a film is not for a terminal: give --output FILE, or a program after |")
    if output != PIPE and Path(output).exists() and not args.force:
        raise OutputError(f"{output} is there already: choose another name, or --force")
    sound = None if args.input == PIPE else load_audio(args.input)
    face = LiveFace(
        args.photo, max_size=args.size, face=args.face, emotion=args.emotion, gaze=args.gaze,
        head_motion=args.head_motion, blinks=args.blinks, seed=args.seed, weights=args.weights,
    )  # fmt: skip
    face.step()  # what has to be compiled is
    ended = threading.Event()
    if sound is None:
        threading.Thread(target=_listen, args=(sys.stdin.buffer, face, ended), name="ears", daemon=True).start()
    else:
        face.feed(sound)
        face.end_of_speech()
        ended.set()
    logger.info("live films carry the invisible mark; a signature needs a file that is whole")
    width, height = (side - side % 2 for side in face.size)
    try:
        out = sys.stdout.buffer if output == PIPE else Path(output).open("wb")  # noqa: SIM115
    except OSError as e:
        raise OutputError(f"cannot write {output} ({e.strerror}): choose another name") from e
    try:
        with StreamWriter(out, (width, height), face.sample_rate, args.format) as film:
            rest = 0
            for frame in played(face):
                film.write(None if frame.pixels is None else frame.pixels[:height, :width], frame.samples)
                rest = 0 if frame.state == "speaking" or not ended.is_set() else rest + 1
                if rest > REST_S * FPS and not face.numbers.queued_s:
                    break
    finally:
        if output != PIPE:
            out.close()
    if dropped := face.numbers.dropped:
        logger.info("%d of %d frames were not drawn: the processor was too slow", dropped, face.numbers.frames)
    return 0


def _listen(pipe: IO[bytes], face: object, ended: threading.Event) -> None:
    """Feed what comes through a pipe until it ends."""
    from portrait_anim.audio.waveform import PieceReader
    from portrait_anim.live.engine import LiveFace

    assert isinstance(face, LiveFace)  # noqa: S101
    read = PieceReader()  # keeps half a sample until its other half comes
    while data := pipe.read1(PIECE_BYTES):  # type: ignore[attr-defined]
        if (samples := read(data)).size:
            face.feed(samples, SAMPLE_RATE)
    face.end_of_speech()
    ended.set()
