"""Guards: nothing unpickles, starts a shell or fetches; no film tells of the machine it was made on."""

from __future__ import annotations

import ast
import getpass
import os
import re
import socket
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

import portrait_anim
from portrait_anim import Animator, animate, verify
from portrait_anim.errors import VideoError
from portrait_anim.system import ffmpeg
from portrait_anim.system.containers import PICTURES, WHITELIST

pytestmark = pytest.mark.media

PACKAGE = Path(portrait_anim.__file__).parent
MODULES = sorted(PACKAGE.rglob("*.py"))
FORBIDDEN = {"pickle", "dill", "joblib", "shelve", "marshal", "telnetlib", "ftplib", "xmlrpc", "yaml"}
FETCHING = {"urllib.request", "http.client", "requests", "httpx", "aiohttp"}
CALLS = {"eval", "exec", "compile", "__import__", "os.system", "os.popen", "subprocess.getoutput", "tempfile.mktemp"}
MAY_FETCH = {"batch/places.py"}  # url2pathname only


def wrong(text: str, name: str = "a.py") -> list[str]:
    """Return what a module does that none may, with its line."""
    found = []
    for node in ast.walk(ast.parse(text)):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [str(node.module)]
        for module in names:
            if module.split(".")[0] in FORBIDDEN or (module in FETCHING and name not in MAY_FETCH):
                found.append(f"{node.lineno}: import {module}")
        if not isinstance(node, ast.Call):
            continue
        called, words = ast.unparse(node.func), {word.arg: word.value for word in node.keywords}
        if called in CALLS:
            found.append(f"{node.lineno}: {called}")
        if "shell" in words and ast.unparse(words["shell"]) != "False":
            found.append(f"{node.lineno}: shell")
        if (
            called in ("np.load", "numpy.load")
            and ast.unparse(words.get("allow_pickle", ast.Constant(None))) != "False"
        ):
            found.append(f"{node.lineno}: {called} without allow_pickle=False")
        if called == "torch.load" and ast.unparse(words.get("weights_only", ast.Constant(None))) != "True":
            found.append(f"{node.lineno}: torch.load without weights_only=True")
        if called.endswith("Image.open") and "formats" not in words:
            found.append(f"{node.lineno}: {called} without formats")
    return found


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_no_pickle_no_shell_nothing_fetched(path: Path) -> None:
    assert wrong(path.read_text("utf-8"), path.relative_to(PACKAGE).as_posix()) == []


def test_the_guard_sees() -> None:
    for line in (
        "import pickle", "from joblib import load", "import urllib.request", "eval('1')", "os.system('a')",
        "subprocess.run('a', shell=True)", "np.load(p)", "np.load(p, allow_pickle=True)", "torch.load(p)",
        "torch.load(p, weights_only=False)", "Image.open(p)", "PIL.Image.open(p)",
    ):  # fmt: skip
        assert len(wrong(line)) == 1, line
    assert wrong("np.load(p, allow_pickle=False); torch.load(p, weights_only=True); net.eval()") == []


def test_containers_that_name_other_files_are_out() -> None:
    allowed = set(WHITELIST.split(","))
    assert not allowed & {
        "hls", "dash", "concat", "concatf", "imf", "sdp", "rtsp", "rtp", "vobsub", "image2", "image2pipe", "avisynth",
        "dvdvideo", "lavfi", "tty", "ffmetadata", "applehttp", "webm_dash_manifest", "mpl2", "gdigrab", "x11grab",
    }  # fmt: skip
    assert not set(PICTURES) & {"EPS", "PDF", "WMF", "FITS", "HDF5", "GRIB", "BUFR", "PSD"}
    assert ffmpeg.file_input("a.mp4")[:2] == ["-protocol_whitelist", "file"]


def test_many_tags_and_chapters_are_no_obstacle(speech: Path, tmp_path: Path) -> None:
    """The lines of 150 chapters once pushed the file's own out of what is kept of ffmpeg's words."""
    lines = [";FFMETADATA1", "title=Duration: 99:00:00.00, Stream #0:0: Audio: none"]
    for number in range(150):
        lines += ["[CHAPTER]", "TIMEBASE=1/1000", f"START={20 * number}", f"END={20 * number + 20}", "title=a chapter"]
    (tmp_path / "tags.txt").write_text("\n".join(lines))
    book = tmp_path / "book.m4a"
    words = ["-v", "error", "-i", str(speech), "-i", str(tmp_path / "tags.txt"), "-map_metadata", "1", "-map", "0:a"]
    assert ffmpeg.Child([*words, str(book)]).wait() == 0
    header = ffmpeg.header(book)
    assert len(ffmpeg.streams(header, "Audio")) == 1
    assert "99:00" not in header


def test_no_film_tells_of_its_machine(
    small_astronaut: Path, second_of_speech: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "secret_folder"
    folder.mkdir()
    photo, sound = folder / "secret_photo.png", folder / "secret_sound.wav"
    photo.write_bytes(small_astronaut.read_bytes())
    sound.write_bytes(second_of_speech.read_bytes())
    lines = folder / "secret_lines.srt"
    lines.write_text("1\n00:00:00,000 --> 00:00:01,000\nGood day\n")
    monkeypatch.chdir(folder)
    told = {str(tmp_path), str(Path.home()), tempfile.gettempdir(), str(PACKAGE), "secret_"}
    told |= {os.environ["PORTRAIT_ANIM_HOME"], ".portrait_anim-"}
    told |= {f"{os.sep}{getpass.getuser()}{os.sep}"}  # the name alone may be a word, as root
    told |= {host for host in (socket.gethostname(),) if len(host) > 5}  # shorter ones are found by chance
    for name, background in (("secret_film.mp4", "keep"), ("secret_film.webm", "none")):
        film = animate(photo, sound, name, captions=lines, background=background, emotion="happy").path
        for file in (film, film.with_suffix(".c2pa")):
            data = file.read_bytes() if file.exists() else b""
            for word in filter(None, told):
                for coded in (word.encode(), word.encode("utf-16-le"), word.encode("utf-16-be")):
                    assert coded not in data, (file.name, word)
        assert re.search(rb"portrait_anim", film.read_bytes())


def test_verify_obeys_no_terminal_codes(small_astronaut: Path, second_of_speech: Path, tmp_path: Path) -> None:
    film = animate(small_astronaut, second_of_speech, tmp_path / "film.mp4").path
    evil = tmp_path / "evil\x1b[2J\u202e.mp4"
    evil.write_bytes(film.read_bytes())
    text = verify(evil).summary()
    assert "\x1b" not in text
    assert "\u202e" not in text
    (tmp_path / "script.png").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(x) run\nshowpage\n")
    with pytest.raises(VideoError):
        verify(tmp_path / "script.png")


# several at once


def test_two_films_at_once_into_one_folder(small_astronaut: Path, second_of_speech: Path, tmp_path: Path) -> None:
    def make(number: int) -> Path:
        return animate(small_astronaut, second_of_speech, tmp_path / f"{number}.mp4", seed=number).path

    with ThreadPoolExecutor(2) as pool:
        films = list(pool.map(make, range(2)))
    assert all(verify(film).manifest.valid for film in films)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0.mp4", "1.mp4"]


def test_two_films_of_one_name_leave_one_whole(small_astronaut: Path, second_of_speech: Path, tmp_path: Path) -> None:
    def make(seed: int) -> None:
        animate(small_astronaut, second_of_speech, tmp_path / "film.mp4", seed=seed, overwrite=True)

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(make, range(2)))
    assert verify(tmp_path / "film.mp4").manifest.valid
    assert [path.name for path in tmp_path.iterdir()] == ["film.mp4"]


def test_one_animator_in_several_threads(small_astronaut: Path, second_of_speech: Path) -> None:
    """The same frames as one after the other."""
    animator, gate = Animator(small_astronaut, max_size=128), threading.Barrier(2)

    def frames(seed: int) -> np.ndarray:
        return np.stack(list(animator.frames(second_of_speech, seed=seed)))

    def together(seed: int) -> np.ndarray:
        gate.wait(20)
        return frames(seed)

    alone = [frames(seed) for seed in range(2)]
    with ThreadPoolExecutor(2) as pool:
        for one, other in zip(alone, pool.map(together, range(2)), strict=True):
            assert np.array_equal(one, other)
