"""``animate``: photo and sound to a film."""

from __future__ import annotations

import argparse
import contextlib
from typing import Any

from portrait_anim.cli.arguments import box, duration, faces, frame_rate, number, whole
from portrait_anim.cli.display import progress_display
from portrait_anim.errors import OptionError
from portrait_anim.options import EMOTIONS, MAX_DURATION_S, OPTION_NAMES

EXAMPLES = """\
examples:
  {prog} photo.jpg song.wav                       writes photo_song.mp4 here
  {prog} photo.jpg speech.mp3 -o film.mp4 --seed 7
  {prog} group.png voice.m4a --face 2             the second face from the left
  {prog} couple.jpg hers.wav his.wav              a duet, from the left
  {prog} photo.jpg song.wav --emotion "happy@0-4,sad:0.6@4-"
  {prog} photo.jpg song.wav --motion face.csv     motion recorded with a phone, or saved with --save-motion
  {prog} photo.jpg song.wav --morph "second.jpg@12.5,third.jpg@20:1.5"
  {prog} photo.jpg song.wav --background none -o film.webm    transparent; also blur, #00b140, beach.jpg, sea.mp4
  {prog} photo.jpg voice.mp3 --aspect 9:16        for a phone, with the eyes at the upper third
  {prog} photo.jpg song.mp3 --captions song.lrc --karaoke
  {prog} photo.jpg --idle 20 --loop               waits, to be played again and again
  {prog} photo.jpg talk.mp4 --head-motion 0 --blinks 0.5 --max-size 1024
  {prog} photo.jpg --actor acting.mp4             the video's face moves the photo's, and its sound is played
  {prog} photo.jpg voice.wav --actor acting.mp4   lips from the voice, all else from the video
  {prog} photo.jpg --say "Good morning."          a text instead of a sound
  {prog} couple.jpg --say lines.txt --voice hers=heart --voice his=en-us

Animate real people only with their consent: whoever is in the photo, whoever acts in the video, whoever speaks.
No sexual, deceptive or defamatory use.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("photo", metavar="PHOTO", help="jpg, png, webp, bmp, tiff, gif, heic")
    parser.add_argument(
        "audio", metavar="AUDIO", nargs="*",
        help="wav, mp3, flac, ogg, opus, m4a, or a video with sound; several: a duet, one for each face from the left; "
        "none: the actor's, or with --motion a silent film",
    )  # fmt: skip
    parser.add_argument(
        "--say", metavar="TEXT",
        help="speak TEXT instead of a sound; of a .txt file, lines as 'hers: Good morning.' let faces speak in turn",
    )  # fmt: skip
    parser.add_argument(
        "--voice", action="append", metavar="NAME",
        help="of --say: heart (English), or what espeak-ng --voices lists; WHO=NAME in a dialogue, several times",
    )  # fmt: skip
    parser.add_argument("-o", "--output", metavar="OUT", help="the .mp4 to write (default: PHOTO_AUDIO.mp4 here)")
    parser.add_argument(
        "--max-duration", type=duration, default=MAX_DURATION_S, metavar="T",
        help="refuse a longer sound: seconds, MM:SS or HH:MM:SS (3:00:00; an hour needs 0.3 GB for temporary files)",
    )  # fmt: skip
    parser.add_argument("--idle", type=duration, metavar="T", help="no sound: a face that waits, blinks and breathes")
    parser.add_argument("--loop", action="store_true", help="the film's last frame goes over into its first")
    motion = parser.add_argument_group("motion")
    motion.add_argument("--emotion", metavar="E", help=f"{', '.join(EMOTIONS)}, auto; sad:0.6; happy@0-4,sad@4-")
    motion.add_argument("--head-motion", type=number, default=1.0, metavar="X", help="0 still to 2 lively (1)")
    motion.add_argument("--blinks", type=number, default=1.0, metavar="X", help="0 none to 3 times as often (1)")
    motion.add_argument(
        "--gaze", metavar="WHERE",
        help="where the eyes look: camera; photo, as there; actor, as the actor's (as what moves the face says)",
    )  # fmt: skip
    motion.add_argument("--seed", type=whole, default=0, metavar="N", help="another seed, other blinks and nods (0)")
    acting = parser.add_argument_group("acting", "a video or a motion file moves the photo")
    acting.add_argument("--actor", metavar="VIDEO", help="its face moves the photo's: lips, eyes, brows, head")
    acting.add_argument("--actor-face", type=whole, metavar="N", help="which face of it from the left (the largest)")
    acting.add_argument("--actor-neutral", type=duration, metavar="T", help="when its face is at rest (found)")
    acting.add_argument("--lips", default="auto", metavar="WHOSE", help="actor, voice, auto: the voice if given (auto)")
    acting.add_argument(
        "--motion", action="append", metavar="FILE",
        help="motion that moves the face instead of the voice: .npz of --save-motion, or .csv of Live Link Face; "
        "given several times: one for each face",
    )  # fmt: skip
    acting.add_argument("--save-motion", metavar="FILE", help="also save the motion: .npz (all of it) or .csv (ARKit)")
    picture = parser.add_argument_group("picture")
    picture.add_argument(
        "--face", type=faces, metavar="N", help="which face from the left: 2, or 1,3, or all (the largest)"
    )
    picture.add_argument(
        "--face-box", type=box, metavar="X,Y,W,H", help="take the face there, in px of the photo, whatever is found"
    )
    picture.add_argument("--fps", type=frame_rate, default=25, metavar="N", help="frames a second, 1 to 60 (25)")
    picture.add_argument("--max-size", type=whole, metavar="PX", help="reduce the longer side to PX (not reduced)")
    picture.add_argument(
        "--background", default="keep", metavar="WHAT",
        help="what is behind the people: keep; none, transparent (OUT: NAME.webm, NAME.mov or a folder of PNG); blur; "
        "a colour, #00b140; a picture or a video (played over and over), which fills the frame (keep)",
    )  # fmt: skip
    picture.add_argument("--aspect", metavar="W:H", help="shape of the film: 9:16, 4:5, 1:1, 16:9 (the photo's own)")
    picture.add_argument(
        "--fill", metavar="HOW", help="with --aspect: crop, blur, #RRGGBB (crop where no head is cut, else blur)"
    )
    morph = parser.add_argument_group(
        "faces that change", "a comma separates photos only after @SECOND: names may hold commas, @ and colons"
    )
    morph.add_argument(
        "--morph", metavar="M",
        help="PHOTO@SECOND or PHOTO@SECOND:LENGTH (0.8 s), with commas; PHOTO#2 is its second face from the left; "
        "or an .lrc file of times and photos beside it: [00:12.50]second.jpg",
    )  # fmt: skip
    morph.add_argument(
        "--morph-style", default="face", metavar="NAME",
        help="face (hair, body and room of PHOTO stay) or photo (everything changes) (face)",
    )  # fmt: skip
    captions = parser.add_argument_group("captions", "lines with times: .srt, .vtt, .lrc, or .json with words' times")
    captions.add_argument("--captions", metavar="FILE", help="a track of the film, which players can show")
    captions.add_argument(
        "--caption-style", metavar="HOW", help="track, or burned: into the picture, off mouths (track)"
    )
    captions.add_argument("--karaoke", action="store_true", help="burned, and words change colour when they are said")
    captions.add_argument("--caption-font", metavar="FILE", help="for burned ones: .ttf, .otf, .ttc (found)")
    nets = parser.add_argument_group("nets")
    nets.add_argument("--weights", default="default", metavar="SET", help="default (CC BY-NC 4.0) or open (any use)")
    nets.add_argument("--device", default="auto", metavar="NAME", help="auto, cpu, cuda or mps (auto)")
    nets.add_argument("--landmarker", default="facemesh", metavar="NAME", help="facemesh or face-alignment (facemesh)")
    marks = parser.add_argument_group("marks", "every film is marked as synthetic, in its pixels and by a signature")
    marks.add_argument("--label", metavar="TEXT", help="also a visible label: auto, eu, cn or a text")
    marks.add_argument("--sign-cert", metavar="PEM", help="your certificate chain (this machine's own)")
    marks.add_argument("--sign-key", metavar="PEM", help="its key")
    marks.add_argument("--audit-log", metavar="FILE", help="add a line for this film to FILE")
    parser.add_argument("--force", action="store_true", help="replace OUT if it is there")


def _sounds(args: argparse.Namespace) -> list[Any] | None:
    """Return the sounds, or the text as one or several."""
    if args.say is None and args.voice is None:
        return args.audio or None
    if args.say is None:
        raise OptionError("--voice is of a text: give it with --say TEXT")
    if args.audio:
        raise OptionError("a sound and --say are given: give one of them")
    from portrait_anim.audio.spoken import read_lines, speeches

    in_file = args.say.lower().endswith(".txt")
    return list(speeches(read_lines(args.say) if in_file else args.say, args.voice or (), dialogue=in_file))


def options(args: argparse.Namespace) -> dict[str, Any]:
    """Return the options of :func:`portrait_anim.animate` that were parsed, by its names."""
    return {name: getattr(args, name) for name in OPTION_NAMES}


def run(args: argparse.Namespace) -> int:
    """Make a film and say on stdout what was written."""
    from portrait_anim.pipeline import animate

    with progress_display(quiet=args.quiet) as progress:
        film = animate(args.photo, _sounds(args), args.output, **options(args), progress=progress, overwrite=args.force)
    if not args.quiet:
        from portrait_anim.system.files import printable

        width, height = film.size
        length = f"{film.duration_s:.2f} s, {film.n_frames} frames at {film.fps:g} fps, {width}x{height}"
        with contextlib.suppress(BrokenPipeError):
            print(f"wrote {printable(film.path)}: {length}", flush=True)
    return 0
