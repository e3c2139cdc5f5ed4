"""What cannot be done is said in one line: which input, what is wrong, what to do. Nothing is left behind.

Every case runs through the command's own entry point in this process; some of each kind also as the real command.
"""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import soundfile
from conftest import EXAMPLES, run_cli
from PIL import Image

from portrait_anim.cli.main import animate_main
from portrait_anim.motion.arkit import VALUES
from portrait_anim.motion.livelink import write_csv
from portrait_anim.motion.space import Motion
from portrait_anim.video.writer import Writer

pytestmark = pytest.mark.media

Arguments = list[str]


@dataclass(frozen=True)
class Media:
    """A folder of bad files, beside the good ``photo.png`` and ``sound.wav``; all names are relative to it."""

    folder: Path

    def write(self, name: str, data: bytes) -> None:
        (self.folder / name).write_bytes(data)


def png_of_size(width: int, height: int) -> bytes:
    """A picture that says it is huge and holds nothing."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    start = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + start + chunk(b"IDAT", zlib.compress(b"\0" * 64)) + chunk(b"IEND", b"")


def write_motions(folder: Path) -> None:
    """Motion files that cannot be used, made of one that could."""
    take = io.StringIO()
    write_csv(take, {name: np.zeros(10) for name in VALUES}, 25)
    good = take.getvalue()
    (folder / "good.csv").write_text(good)
    (folder / "no_columns.csv").write_text("a,b\n1,2\n")
    (folder / "few_columns.csv").write_text(good.replace("JawOpen", "Jaw"))
    (folder / "twice.csv").write_text(good.replace("JawOpen", "JawLeft"))
    (folder / "words.csv").write_text(good.replace("0.0000000000", "much", 1))
    (folder / "nan.csv").write_text(good.replace("0.0000000000", "nan", 1))
    (folder / "no_rows.csv").write_text(good.splitlines()[0])
    (folder / "degrees.csv").write_text(good.replace("0.0000000000", "55.0"))
    (folder / "text.npz").write_text("no numbers here")
    (folder / "text.csv").write_bytes(bytes(range(128, 256)) * 9)
    np.savez(folder / "other.npz", a=np.zeros(3))
    np.savez(folder / "objects.npz", format=np.array([{"a": 1}], object), version=1)
    parts = {"format": "portrait_anim motion", "version": 1, "basis": "another", "turned_eyes": False}
    tracks = Motion.rest(5).tracks()
    mouth = np.ones_like(tracks["mouth"])
    np.savez(folder / "weights.npz", fps=25.0, **parts, **{**tracks, "mouth": mouth})
    np.savez(folder / "version.npz", fps=25.0, **{**parts, "version": 9}, **tracks)
    np.savez(folder / "rate.npz", fps=9e9, **parts, **tracks)
    np.savez(folder / "nan.npz", fps=25.0, **parts, **{**tracks, "gaze": np.full_like(tracks["gaze"], np.nan)})
    np.savez(folder / "shape.npz", fps=25.0, **parts, **{**tracks, "gaze": np.zeros((5, 7), np.float32)})
    whole = (folder / "shape.npz").read_bytes()
    (folder / "cut.npz").write_bytes(whole[: len(whole) // 2])
    swollen = (folder / "swollen.npz").open("wb")
    with swollen, zipfile.ZipFile(swollen, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("mouth.npy", b"\0" * 100)
    says = (folder / "swollen.npz").read_bytes()
    at = says.index(b"PK\x01\x02") + 24  # the size, unpacked, in the list at the end
    (folder / "swollen.npz").write_bytes(says[:at] + struct.pack("<I", 0xFFFFFFF0) + says[at + 4 :])


@pytest.fixture(scope="module")
def media(tmp_path_factory: pytest.TempPathFactory, small_astronaut: Path, second_of_speech: Path) -> Media:
    made = Media(tmp_path_factory.mktemp("bad"))
    folder, rng = made.folder, np.random.default_rng(0)
    photo, sound = small_astronaut.read_bytes(), second_of_speech.read_bytes()
    made.write("photo.png", photo)
    made.write("sound.wav", sound)
    (folder / "folder").mkdir()
    made.write("empty.wav", b"")
    made.write("text.wav", b"this is no sound\n" * 20)
    made.write("noise.mp3", rng.bytes(20_000))
    made.write("header.wav", sound[:44])
    made.write("cut.flac", (EXAMPLES / "speech.flac").read_bytes()[:60])
    soundfile.write(folder / "short.wav", rng.normal(0, 0.1, 1600), 16_000)
    spoiled = rng.normal(0, 0.1, 16_000).astype(np.float32)
    spoiled[5000] = np.nan
    soundfile.write(folder / "nan.wav", spoiled, 16_000, "FLOAT")
    spoiled[5000] = np.inf
    soundfile.write(folder / "inf.wav", spoiled, 16_000, "FLOAT")
    with Writer(folder / "silent.mp4", (64, 64), 25, None) as writer:
        for _ in range(10):
            writer.write(np.zeros((64, 64, 3), np.uint8))
    with Writer(folder / "talk.mp4", (64, 64), 25, folder / "sound.wav") as writer:
        for _ in range(25):
            writer.write(np.zeros((64, 64, 3), np.uint8))
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("a.txt", "x" * 500)
    made.write("zip.m4a", packed.getvalue())
    made.write("list.wav", b"ffconcat version 1.0\nfile sound.wav\n")
    made.write("list.m3u8", b"#EXTM3U\n#EXTINF:1,\nsound.wav\n")
    made.write("empty.png", b"")
    made.write("text.jpg", b"this is no picture\n" * 20)
    made.write("cut.png", photo[: len(photo) // 2])
    made.write("cut.jpg", (EXAMPLES / "astronaut.jpg").read_bytes()[:3000])
    made.write("vector.svg", b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>')
    made.write("paper.png", b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n1 0 obj\n<<>>\nendobj\n")
    made.write("bomb.png", png_of_size(60_000, 60_000))
    made.write("postscript.eps", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\nshowpage\n")
    Image.new("RGB", (8, 8), "red").save(folder / "tiny.png")
    Image.new("RGB", (2000, 4), "red").save(folder / "thin.png")
    Image.new("1", (9000, 7000)).save(folder / "huge.png")
    Image.new("RGB", (256, 256), (120, 130, 140)).save(folder / "grey.png")
    Image.fromarray(rng.integers(0, 255, (256, 256, 3), np.uint8)).save(folder / "noise.png")
    Image.fromarray(np.full((64, 64), np.nan, np.float32)).save(folder / "nan.tiff")
    half = Image.open(folder / "photo.png").convert("RGB").crop((0, 150, 256, 256))
    half.save(folder / "no_head.png")
    write_motions(folder)
    made.write("back.srt", b"1\n00:00:02,000 --> 00:00:01,000\nlate\n")
    made.write("times.srt", b"1\n00:00 -> 00:01\nno arrow\n")
    made.write("latin.srt", "1\n00:00:00,000 --> 00:00:01,000\nß\n".encode("latin-1"))
    made.write("good.srt", b"1\n00:00:00,000 --> 00:00:01,000\nGood day\n")
    made.write("words.txt", b"words")
    made.write("broken.json", b'{"words": [')
    made.write("empty.lrc", b"[ti:nothing]\n")
    made.write("times.lrc", b"[99999999999:00]photo.png\n")
    made.write("font.ttf", b"no font" * 20)
    made.write("here.mp4", b"a film that must stay")
    made.write("photo_sound.mp4", b"a film that must stay")
    (folder / "folder.mp4").mkdir()
    return made


GOOD = ["photo.png", "sound.wav", "-o", "out.mp4"]


def sound(name: str) -> Arguments:
    return ["photo.png", name, "-o", "out.mp4"]


def photo(name: str) -> Arguments:
    return [name, "sound.wav", "-o", "out.mp4"]


def option(*words: str) -> Arguments:
    return [*GOOD, *words]


def motion(name: str) -> Arguments:
    return ["photo.png", "--motion", name, "-o", "out.mp4"]


def captions(name: str, *words: str) -> Arguments:
    return [*GOOD, "--captions", name, *words]


def output(*words: str) -> Arguments:
    return ["photo.png", "sound.wav", "-o", *words]


# case -> arguments, words that the line must hold: the input's name first, then what is wrong or what to do
CASES: dict[str, tuple[Arguments, tuple[str, ...]]] = {
    "sound missing": (sound("gone.wav"), ("gone.wav", "not found", "check the path")),
    "sound is a folder": (sound("folder"), ("folder", "name a file in it")),
    "sound is empty": (sound("empty.wav"), ("empty.wav", "empty file")),
    "sound has no path": (sound(""), ("sound", "name a file")),
    "sound is text": (sound("text.wav"), ("text.wav", "try a wav or mp3")),
    "sound is noise": (sound("noise.mp3"), ("noise.mp3",)),
    "sound is a header": (sound("header.wav"), ("header.wav",)),
    "sound is cut off": (sound("cut.flac"), ("cut.flac",)),
    "sound is short": (sound("short.wav"), ("short.wav", "0.1", "0.2 s of sound are needed")),
    "sound holds NaN": (sound("nan.wav"), ("nan.wav", "NaN", "export it again")),
    "sound holds inf": (sound("inf.wav"), ("inf.wav", "infinite", "export it again")),
    "video without sound": (sound("silent.mp4"), ("silent.mp4", "no sound track", "give a sound file")),
    "sound is a picture": (sound("photo.png"), ("photo.png", "no sound track")),
    "sound is a zip": (sound("zip.m4a"), ("zip.m4a", "try a wav or mp3")),
    "sound is a concat list": (sound("list.wav"), ("list.wav", "a list of files")),
    "sound is a playlist": (sound("list.m3u8"), ("list.m3u8",)),
    "sound is a web address": (sound("http://localhost/a.wav"), ("http://localhost/a.wav", "not found")),
    "sound is a device": (sound("/dev/null"), ("/dev/null", "not a regular file")),
    "sound has a null byte": (sound("a\0.wav"), ("a\\x00.wav", "check the path")),
    "photo missing": (photo("gone.jpg"), ("gone.jpg", "not found", "check the path")),
    "photo missing, two lines": (photo("go\nne.jpg"), ("go\\nne.jpg", "not found")),
    "photo is a folder": (photo("folder"), ("folder", "name a file in it")),
    "photo is empty": (photo("empty.png"), ("empty.png", "empty file")),
    "photo has no path": (photo(""), ("photo", "name a file")),
    "photo is text": (photo("text.jpg"), ("text.jpg", "use one of jpg, png")),
    "photo is cut off (png)": (photo("cut.png"), ("cut.png", "damaged or cut off", "copy it again")),
    "photo is cut off (jpg)": (photo("cut.jpg"), ("cut.jpg", "damaged or cut off", "copy it again")),
    "photo is a drawing": (photo("vector.svg"), ("vector.svg", "use one of jpg, png")),
    "photo is a pdf": (photo("paper.png"), ("paper.png", "use one of jpg, png")),
    "photo is postscript": (photo("postscript.eps"), ("postscript.eps", "use one of jpg, png")),
    "photo is a sound": (photo("sound.wav"), ("sound.wav", "use one of jpg, png")),
    "photo is a video": (photo("talk.mp4"), ("talk.mp4", "use one of jpg, png")),
    "photo is tiny": (photo("tiny.png"), ("tiny.png", "8x8", "32 px or more")),
    "photo is thin": (photo("thin.png"), ("thin.png", "2000x4", "32 px or more")),
    "photo is huge": (photo("huge.png"), ("huge.png", "63 megapixels", "--max-size 2048")),
    "photo is a bomb": (photo("bomb.png"), ("bomb.png", "megapixels", "reduce it first")),
    "photo holds NaN": (photo("nan.tiff"), ("nan.tiff", "NaN", "export it")),
    "no face: grey": (photo("grey.png"), ("grey.png", "no face found", "seen from the front")),
    "no face: noise": (photo("noise.png"), ("noise.png", "no face found", "seen from the front")),
    "no face: below the head": (photo("no_head.png"), ("no_head.png", "no face found", "seen from the front")),
    "face 2 of 1": (option("--face", "2"), ("photo.png", "no face number 2", "it has 1 face")),
    "face 0": (option("--face", "0"), ("face 0", "at least 1")),
    "face no number": (option("--face", "left"), ("--face", "'left'", "whole number")),
    "head motion high": (option("--head-motion", "2.1"), ("head_motion 2.1", "from 0 to 2")),
    "head motion negative": (option("--head-motion", "-1"), ("head_motion -1", "from 0 to 2")),
    "head motion NaN": (option("--head-motion", "nan"), ("head_motion nan", "from 0 to 2")),
    "head motion a word": (option("--head-motion", "much"), ("--head-motion", "'much'", "not a number")),
    "blinks high": (option("--blinks", "3.5"), ("blinks 3.5", "from 0 to 3")),
    "blinks infinite": (option("--blinks", "inf"), ("blinks inf", "from 0 to 3")),
    "seed negative": (option("--seed", "-1"), ("seed -1", "at least 0")),
    "seed broken": (option("--seed", "1.5"), ("--seed", "'1.5'", "whole number")),
    "seed too large": (option("--seed", str(2**64)), (f"seed {2**64}", "at most")),
    "fps zero": (option("--fps", "0"), ("fps 0", "from 1 to 60")),
    "fps high": (option("--fps", "61"), ("fps 61", "from 1 to 60")),
    "fps over zero": (option("--fps", "30/0"), ("--fps", "'30/0'", "divides by zero")),
    "fps a word": (option("--fps", "film"), ("--fps", "'film'", "not a number")),
    "max size small": (option("--max-size", "63"), ("max_size 63", "at least 64")),
    "max size broken": (option("--max-size", "1e3"), ("--max-size", "'1e3'", "whole number")),
    "max size leaves too little": (
        ["thin.png", "sound.wav", "-o", "out.mp4", "--max-size", "500"],
        ("thin.png", "32 px or more"),
    ),
    "weights unknown": (option("--weights", "best"), ("weights 'best'", "default, open")),
    "device unknown": (option("--device", "gpu"), ("device 'gpu'", "auto, cpu, cuda, mps")),
    "landmarker unknown": (option("--landmarker", "dlib"), ("landmarker 'dlib'", "facemesh, face-alignment")),
    "option unknown": (option("--hed-motion", "1"), ("--hed-motion", "--help)")),
    "option cut short": (option("--head", "1"), ("--head", "--help)")),
    "option without value": (option("--seed"), ("--seed", "--help)")),
    "quiet and verbose": (option("--quiet", "--verbose"), ("--verbose", "--quiet")),
    "no sound given": (["photo.png"], ("nothing moves the photo", "give a sound")),
    "nothing given": ([], ("PHOTO, AUDIO", "--help)")),
    "too much given": ([*GOOD, "more.wav"], ("more.wav", "--help)")),
    "certificate without key": (option("--sign-cert", "photo.png"), ("key",)),
    "certificate is no certificate": (
        option("--sign-cert", "photo.png", "--sign-key", "photo.png"),
        ("certificate", "PEM"),
    ),
    "label is empty": (option("--label", " "), ("label",)),
    "film there": (output("here.mp4"), ("here.mp4", "exists already", "--force")),
    "film there, default name": (["photo.png", "sound.wav"], ("photo_sound.mp4", "exists already", "--force")),
    "film's folder missing": (output("gone/out.mp4"), ("gone/out.mp4", "does not exist, make it first")),
    "film is no mp4": (output("out.avi"), ("out.avi", "must end in .mp4")),
    "film has no suffix": (output("out"), ("out", "must end in .mp4")),
    "film has no name": (output(""), (".mp4",)),
    "film is a folder": (output("folder.mp4", "--force"), ("folder.mp4", "a folder has that name")),
    "film's folder is a file": (output("photo.png/out.mp4"), ("photo.png/out.mp4",)),
    "film's name is long": (output("x" * 300 + ".mp4"), (".mp4", "choose another name")),
    "film is the sound": (["photo.png", "talk.mp4", "-o", "talk.mp4", "--force"], ("talk.mp4", "is the sound itself")),
    "film is the photo": (["here.mp4", "sound.wav", "-o", "here.mp4", "--force"], ("here.mp4", "is the photo itself")),
    # timelines
    "emotion unknown": (option("--emotion", "hungry"), ("unknown emotion 'hungry'", "choose one of")),
    "emotion empty": (option("--emotion", ""), ("emotion", "is empty", "give one of")),
    "emotion strength": (option("--emotion", "sad:9"), ("emotion strength 9", "give 0 to 1.5")),
    "emotion backwards": (option("--emotion", "sad@4-2"), ("emotion 'sad@4-2'", "give times as in")),
    "emotions overlap": (option("--emotion", "sad@0-4,happy@2-"), ("overlap at 2 s", "give each its own time")),
    "emotion endless": (option("--emotion", "sad@" + "9" * 5000 + "-"), ("emotion 'sad@9999", "give times as in")),
    "morph without time": (option("--morph", "photo.png"), ("morph", "give PHOTO@SECOND")),
    "morph missing": (option("--morph", "gone.png@0.2"), ("gone.png", "not found")),
    "morph backwards": (
        option("--morph", "photo.png@.5,photo.png@.2:.1"),
        ("0.2 s comes after 0.5 s", "order of time"),
    ),
    "morph too late": (option("--morph", "photo.png@9"), ("the film ends at 1.00 s", "give earlier times")),
    "morph too long": (option("--morph", "photo.png@0:99"), ("99", "from 0.04 to 60")),
    "morph list is empty": (option("--morph", "empty.lrc"), ("morph", "names no photo")),
    "morph list's time": (option("--morph", "times.lrc"), ("times.lrc", "line 1")),
    "morph list missing": (option("--morph", "gone.lrc"), ("gone.lrc",)),
    "morph style unknown": (option("--morph-style", "cat"), ("morph_style 'cat'", "face, photo")),
    # motion files
    "motion missing": (motion("gone.csv"), ("gone.csv", "not found", "check the path")),
    "motion of another kind": (motion("sound.wav"), ("sound.wav", "must end in .npz or .csv")),
    "motion has no columns": (motion("no_columns.csv"), ("no_columns.csv", "none of ARKit's columns", "give a csv")),
    "motion lacks a column": (motion("few_columns.csv"), ("few_columns.csv", "lacks the columns JawOpen", "add them")),
    "motion's column twice": (motion("twice.csv"), ("twice.csv", "two columns JawLeft", "remove one")),
    "motion holds words": (motion("words.csv"), ("words.csv", "line 2")),
    "motion holds NaN (csv)": (motion("nan.csv"), ("nan.csv",)),
    "motion has no rows": (motion("no_rows.csv"), ("no_rows.csv", "has no rows", "export it again")),
    "motion is in percent": (motion("degrees.csv"), ("degrees.csv",)),
    "motion is bytes": (motion("text.csv"), ("text.csv", "is no csv", "give what Live Link Face records")),
    "motion is text": (motion("text.npz"), ("text.npz", "is no npz of numbers", "save it again")),
    "motion is another npz": (motion("other.npz"), ("other.npz", "holds something else", "--save-motion")),
    "motion is pickled": (motion("objects.npz"), ("objects.npz", "is no npz of numbers", "save it again")),
    "motion is cut off": (motion("cut.npz"), ("cut.npz", "is no npz of numbers", "save it again")),
    "motion is a bomb": (motion("swollen.npz"), ("swollen.npz", "unpacks to 4095 MB")),
    "motion of other weights": (motion("weights.npz"), ("weights.npz", "made with other weights", "--weights")),
    "motion of a later version": (motion("version.npz"), ("version.npz", "version 9", "save it again")),
    "motion's frame rate": (motion("rate.npz"), ("rate.npz", "9e+09 frames/s", "give 1 to 300")),
    "motion holds NaN (npz)": (motion("nan.npz"), ("nan.npz", "gaze is not finite", "repair it")),
    "motion's shape": (motion("shape.npz"), ("shape.npz", "gaze is (5, 7)", "expected")),
    "motion and sound": ([*GOOD, "--motion", "good.csv", "--actor", "silent.mp4"], ("motion",)),
    "motion saved elsewhere": (option("--save-motion", "gone/a.npz"), ("gone", "make it first")),
    "motion saved as text": (option("--save-motion", "a.txt"), ("a.txt", "must end in .npz or .csv")),
    # captions
    "captions missing": (captions("gone.srt"), ("gone.srt", "not found")),
    "captions of another kind": (captions("words.txt"), ("words.txt", "must end in .srt")),
    "captions end early": (captions("back.srt"), ("line 2 of captions back.srt", "not after its start")),
    "captions without times": (captions("times.srt"), ("times.srt", "no line with a time", "give 00:00:12,500")),
    "captions in another code": (captions("latin.srt"), ("latin.srt", "not UTF-8", "save it as UTF-8")),
    "captions are broken JSON": (captions("broken.json"), ("broken.json",)),
    "captions without lines": (captions("empty.lrc"), ("empty.lrc", "no line with a time", "[00:12.50]words")),
    "captions' style": (captions("good.srt", "--caption-style", "loud"), ("caption_style 'loud'", "track, burned")),
    "captions' font": (captions("good.srt", "--caption-style", "burned", "--caption-font", "font.ttf"), ("font.ttf",)),
    "karaoke without captions": (option("--karaoke"), ("captions", "--captions FILE")),
    # where, how and what behind
    "face box short": (option("--face-box", "1,2,3"), ("--face-box", "'1,2,3' is no box", "as 120,80,200,240")),
    "face box of words": (option("--face-box", "a,b,c,d"), ("--face-box", "'a' is not a number")),
    "face box NaN": (option("--face-box", "nan,0,50,50"), ("face_box x nan", "give a number from")),
    "face box tiny": (option("--face-box", "1,2,3,4"), ("face_box width 3", "from 16 to")),
    "face box outside": (option("--face-box", "900,0,50,50"), ("photo.png", "256x256 px", "give x,y,width,height")),
    "face box and face": (option("--face-box", "9,9,99,99", "--face", "1"), ("face and face_box", "give one of them")),
    "background missing": (option("--background", "gone.jpg"), ("gone.jpg", "not found")),
    "background is text": (option("--background", "words.txt"), ("words.txt",)),
    "background colour": (option("--background", "#12345"), ("#12345",)),
    "transparent mp4": (option("--background", "none"), ("out.mp4", "background none", "NAME.webm")),
    "aspect of words": (option("--aspect", "wide"), ("wide", "9:16")),
    "aspect of zero": (option("--aspect", "0:1"), ("0:1",)),
    "fill without aspect": (option("--fill", "blur"), ("fill", "aspect")),
    "actor missing": (option("--actor", "gone.mp4"), ("gone.mp4", "not found", "check the path")),
    "actor is a sound": (option("--actor", "sound.wav"), ("sound.wav", "no picture track", "give a video")),
    "actor is nobody": (["photo.png", "--actor", "talk.mp4", "-o", "out.mp4"], ("talk.mp4", "no face")),
    "actor's face without actor": (option("--actor-face", "1"), ("actor", "--actor")),
    "gaze unknown": (option("--gaze", "up"), ("gaze 'up'", "camera, photo, actor")),
    "idle and sound": (option("--idle", "3"), ("idle", "give a sound or --idle SECONDS, not both")),
    "idle too short": (["photo.png", "--idle", "0.1", "-o", "out.mp4"], ("idle 0.1", "from 1 to")),
    "sound over the limit": (option("--max-duration", "0.5"), ("sound.wav", "0.5")),
    "duration of words": (option("--max-duration", "long"), ("--max-duration", "'long'", "MM:SS")),
    "voice without a text": (option("--voice", "heart"), ("--voice", "--say TEXT")),
    "a text and a sound": (option("--say", "Good day"), ("--say", "give one of them")),
    "a text of nothing": (["photo.png", "--say", " ", "-o", "out.mp4"], ("say",)),
    "audit log's folder": (option("--audit-log", "gone/log"), ("gone/log", "make it first")),
    "key missing": (option("--sign-cert", "words.txt", "--sign-key", "gone.pem"), ("gone.pem", "not found")),
    "two sounds for one face": (
        ["photo.png", "sound.wav", "sound.wav", "-o", "out.mp4"],
        ("photo.png", "face number 2"),
    ),
}
REAL = (
    "sound missing", "sound is text", "sound holds NaN", "video without sound", "sound is a picture",
    "photo missing", "photo is cut off (png)", "photo is huge", "photo is a bomb", "no face: grey",
    "face 2 of 1", "head motion high", "option unknown", "nothing given", "film there", "film is the sound",
)  # fmt: skip


def contents(folder: Path) -> dict[str, tuple[int, int]]:
    return {path.name: (path.stat().st_size, path.stat().st_mtime_ns) for path in folder.iterdir()}


def check_line(code: object, out: str, err: str, words: tuple[str, ...]) -> None:
    assert code == 2, err
    assert out == ""
    lines = err.splitlines()
    assert len(lines) == 1, err
    assert lines[0].startswith("error: ")
    assert "Traceback" not in err
    missing = [word for word in words if word not in lines[0]]
    assert not missing, f"{missing} not in {lines[0]}"


@pytest.mark.parametrize("case", CASES)
def test_one_line_and_nothing_left(
    case: str, media: Media, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments, words = CASES[case]
    monkeypatch.chdir(media.folder)
    before = contents(media.folder)
    try:
        code: object = animate_main(arguments)
    except SystemExit as stopped:
        code = stopped.code
    said, after = capsys.readouterr(), contents(media.folder)
    for name in after.keys() - before.keys():
        (media.folder / name).unlink()  # so that one failure does not become many
    check_line(code, said.out, said.err, words)
    assert after == before


def test_no_cuda_is_said(media: Media, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    import torch

    if torch.cuda.is_available():
        pytest.skip("this machine has cuda")
    monkeypatch.chdir(media.folder)
    code = animate_main(option("--device", "cuda"))
    check_line(code, "", capsys.readouterr().err, ("device 'cuda'", "use --device auto or cpu"))
    assert not (media.folder / "out.mp4").exists()


def test_real_command(media: Media) -> None:
    before = contents(media.folder)
    with ThreadPoolExecutor(2) as pool:
        runs: Callable[[str], object] = lambda case: run_cli(CASES[case][0], media.folder)  # noqa: E731
        done = dict(zip(REAL, pool.map(runs, REAL), strict=True))
    for case, run in done.items():
        check_line(run.returncode, run.stdout, run.stderr, CASES[case][1])
    assert contents(media.folder) == before


def test_verbose_shows_where_it_comes_from(
    media: Media, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(media.folder)
    assert animate_main([*sound("gone.wav"), "--verbose"]) == 2
    said = capsys.readouterr()
    assert "Traceback" in said.err
    assert said.err.splitlines()[-1].startswith("error: sound gone.wav not found")
