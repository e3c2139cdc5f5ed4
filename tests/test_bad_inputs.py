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
