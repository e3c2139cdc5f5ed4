"""``portrait-anim live``: a photo speaks in real time what it hears, or moves as a phone's or a camera's face does."""

from __future__ import annotations

import argparse
import contextlib
import logging
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from io import FileIO
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, BinaryIO

from portrait_anim.cli import live_page
from portrait_anim.cli.arguments import number, whole
from portrait_anim.config import FPS, SAMPLE_RATE
from portrait_anim.errors import OptionError, OutputError
from portrait_anim.options import EMOTIONS

if TYPE_CHECKING:
    from portrait_anim.live.engine import LiveFace
    from portrait_anim.live.frame import LiveFrame

logger = logging.getLogger(__name__)

PIPE, CAMERA, PHONE = "-", "camera", "udp://"
PIECE_BYTES = 2 * SAMPLE_RATE // 50  # 20 ms of 16-bit sound
REST_S = 0.6  # that the face stays after the last word

EXAMPLES = f"""examples:
  arecord -f S16_LE -r 16000 | {{prog}} photo.jpg | mpv -
  {{prog}} photo.jpg --input speech.wav --output film.mp4
  {{prog}} photo.jpg --format y4m < speech.s16 | ffmpeg -i - -f flv rtmp://...
  {{prog}} photo.jpg --input udp://0.0.0.0:11111 --record film.mp4     a phone's face (Live Link Face), until Ctrl-C
  {{prog}} photo.jpg --input speech.wav --curves udp://127.0.0.1:11111   to Unreal, Blender, ...
{live_page.EXAMPLES}"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the subcommand's arguments."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = EXAMPLES.format(prog="portrait-anim live")
    parser.add_argument("photo", help="the picture")
    parser.add_argument(
        "--input", default=PIPE, metavar="FILE",
        help="a sound file; mic or camera: the browser's; -: 16-bit mono at 16 kHz on stdin; udp://HOST:PORT: packets "
        "of the app Live Link Face (-)",
    )  # fmt: skip
    parser.add_argument(
        "--output",
        metavar="FILE",
        help="a film; page: in the browser; - is stdout; camera: a virtual one (-; page of mic "
        "and camera; with --record or --curves: nothing)",
    )
    parser.add_argument("--record", metavar="FILE", help="keep it as a signed mp4, too")
    parser.add_argument(
        "--curves", action="append", default=[], metavar="URL",
        help="send ARKit's values: to udp://HOST:PORT as Live Link Face, or served as JSON at ws://HOST:PORT",
    )  # fmt: skip
    parser.add_argument("--format", choices=("mp4", "y4m"), default="mp4", help="fragmented mp4, or raw pictures (mp4)")
    parser.add_argument("--size", type=whole, metavar="PX", help="limit of the longer side (page: 512)")
    parser.add_argument("--face", type=whole, metavar="N", help="which face, from the left")
    parser.add_argument("--emotion", metavar="E", help=f"one of {', '.join(EMOTIONS)}, with a strength as happy:0.7")
    parser.add_argument("--gaze", choices=("camera", "photo"), default="camera", help="where the eyes look (camera)")
    parser.add_argument("--head-motion", type=number, default=1.0, metavar="X", help="0 (still) to 2 (1)")
    parser.add_argument("--blinks", type=number, default=1.0, metavar="X", help="0 to 3 times the natural rate (1)")
    parser.add_argument("--seed", type=whole, default=0, metavar="N", help="of blinks, gaze and head (0)")
    parser.add_argument("--weights", choices=("default", "open"), default="default", help="set of weights")
    parser.add_argument("--force", action="store_true", help="replace the output if it is there")
    live_page.add_page_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Play until the sound ends, or until Ctrl-C; or serve a page until then."""
    if live_page.wants_page(args):
        return live_page.serve(args)
    from portrait_anim.audio.load import load_audio
    from portrait_anim.live.clock import played
    from portrait_anim.live.curves_out import split_address
    from portrait_anim.live.engine import LiveFace
    from portrait_anim.live.phone import Phone

    output = args.output or (None if args.record or args.curves else PIPE)
    if output == PIPE and sys.stdout.isatty():
        raise OptionError("a film is not for a terminal: give --output FILE, or a program after |")
    if output not in (None, PIPE, CAMERA) and Path(output).exists() and not args.force:
        raise OutputError(f"{output} is there already: choose another name, or --force")
    if args.record is not None:
        from portrait_anim.video.formats import check_output

        check_output(args.record, overwrite=args.force)
    for address in args.curves:
        split_address(address)
    from_phone = args.input.startswith(PHONE)
    where = split_address(args.input, ("udp",)) if from_phone else None
    sound = None if args.input == PIPE or where else load_audio(args.input)
    face = LiveFace(
        args.photo, max_size=args.size, face=args.face, emotion=args.emotion, gaze=args.gaze,
        head_motion=args.head_motion, blinks=args.blinks, seed=args.seed, weights=args.weights,
    )  # fmt: skip
    face.step()  # what has to be compiled is
    ended = threading.Event()
    with contextlib.ExitStack() as stack:
        outlets = list(_outlets(args, output, face, stack))
        phone = Phone(where[1], where[2]) if where else None
        if phone is not None:
            stack.callback(phone.close)
            logger.info("waiting for a phone at UDP port %d", phone.port)
        elif sound is None:
            threading.Thread(target=_listen, args=(sys.stdin.buffer, face, ended), name="ears", daemon=True).start()
        else:
            face.feed(sound)
            face.end_of_speech()
            ended.set()
        stopped = stack.enter_context(_stopping())
        rest = 0
        for frame in played(face):
            for write in outlets:
                write(frame)
            if phone is not None:
                face.follow(phone.motion())
            rest = 0 if frame.state == "speaking" or not ended.is_set() else rest + 1
            if stopped.is_set() or (rest > REST_S * FPS and not face.numbers.queued_s):
                break
    if dropped := face.numbers.dropped:
        logger.info("%d of %d frames were not drawn: the processor was too slow", dropped, face.numbers.frames)
    return 0


def _outlets(
    args: argparse.Namespace, output: str | None, face: LiveFace, stack: contextlib.ExitStack
) -> Iterator[Callable[[LiveFrame], None]]:
    """Open where frames go and yield what takes them."""
    from portrait_anim.live.curves_out import open_curves
    from portrait_anim.live.outlets import LiveRecording, VirtualCamera
    from portrait_anim.video.stream import StreamWriter

    if args.record is not None:
        yield stack.enter_context(LiveRecording(face, args.record, overwrite=args.force)).write
    for address in args.curves:
        curves = open_curves(address, face.space)
        stack.callback(curves.close)
        yield curves.write
    if output == CAMERA:
        camera = stack.enter_context(VirtualCamera(face.size))
        logger.info("the face is in the camera %s", camera.device)
        yield camera.write
    elif output is not None:
        logger.info("a film that grows carries the invisible mark; with --record it is also kept, whole and signed")
        width, height = (side - side % 2 for side in face.size)
        try:
            out = sys.stdout.buffer if output == PIPE else stack.enter_context(Path(output).open("wb"))  # noqa: SIM115
        except OSError as e:
            raise OutputError(f"cannot write {output} ({e.strerror}): choose another name") from e
        film = stack.enter_context(StreamWriter(out, (width, height), face.sample_rate, args.format))
        yield lambda frame: film.write(None if frame.pixels is None else frame.pixels[:height, :width], frame.samples)


@contextlib.contextmanager
def _stopping() -> Iterator[threading.Event]:
    """Let the first Ctrl-C (or SIGTERM) end it well: between two frames. Another one ends it at once."""
    stopped = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stopped
        return

    def stop(signum: int, frame: FrameType | None) -> None:
        if stopped.is_set():
            raise KeyboardInterrupt
        stopped.set()

    names = [name for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
    before = {name: signal.signal(getattr(signal, name), stop) for name in names}
    try:
        yield stopped
    finally:
        for name, handler in before.items():
            signal.signal(getattr(signal, name), handler)


def _listen(pipe: BinaryIO, face: LiveFace, ended: threading.Event) -> None:
    """Feed what comes through a pipe until it ends."""
    from portrait_anim.audio.waveform import PieceReader

    read = PieceReader()  # keeps half a sample until its other half comes
    raw = FileIO(pipe.fileno(), closefd=False)  # a buffered one stays locked while it waits, and Python could not end
    while data := raw.read(PIECE_BYTES):
        if (samples := read(data)).size:
            face.feed(samples, SAMPLE_RATE)
    face.end_of_speech()
    ended.set()
