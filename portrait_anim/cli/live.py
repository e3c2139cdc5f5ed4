"""``portrait-anim live``: a photo speaks in real time what comes through a pipe."""

from __future__ import annotations

import argparse
import logging
import sys
import threading
from pathlib import Path
from typing import IO

from portrait_anim.cli import live_page
from portrait_anim.cli.arguments import number, whole
from portrait_anim.config import FPS, SAMPLE_RATE
from portrait_anim.errors import OptionError, OutputError
from portrait_anim.options import EMOTIONS

logger = logging.getLogger(__name__)

PIPE = "-"
PIECE_BYTES = 2 * SAMPLE_RATE // 50  # 20 ms of 16-bit sound
REST_S = 0.6  # that the face stays after the last word

EXAMPLES = f"""examples:
  arecord -f S16_LE -r 16000 | {{prog}} photo.jpg | mpv -
  {{prog}} photo.jpg --input speech.wav --output film.mp4
  {{prog}} photo.jpg --format y4m < speech.s16 | ffmpeg -i - -f flv rtmp://...
{live_page.EXAMPLES}"""


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
    """Play until the sound ends, or serve a page until Ctrl-C."""
    if live_page.wants_page(args):
        return live_page.serve(args)
    output = args.output or PIPE
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
