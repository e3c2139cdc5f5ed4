"""Films with captions: a track, or in the picture at their time, off mouth and label, with the mark still readable."""

from __future__ import annotations

import logging
import re
import subprocess
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from conftest import EXAMPLES, cut

from portrait_anim import animate
from portrait_anim.captions import fonts
from portrait_anim.errors import OptionError
from portrait_anim.face.detect import shared_landmarker
from portrait_anim.face.mesh import LIPS_OUTER
from portrait_anim.provenance.label import Label, Style
from portrait_anim.provenance.verify import verify
from portrait_anim.system.ffmpeg import ffmpeg_exe
from portrait_anim.video.reader import read_frames

pytestmark = pytest.mark.media

LINES = ((0.3, 1.0, "He was not a man to be moved"), (1.0, 1.52, "שלום עולם"), (1.7, 9.0, "Second\nline"))
SHIPPED = Path(fonts.__file__).parents[1] / "provenance" / "label_cjk.ttf"
Frames = npt.NDArray[np.float32]


def srt(lines: tuple[tuple[float, float, str], ...] = LINES) -> str:
    return "\n".join(f"{n}\n00:00:{a:06.3f} --> 00:00:{b:06.3f}\n{text}\n" for n, (a, b, text) in enumerate(lines, 1))


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory, speech: Path) -> Path:
    return cut(speech, tmp_path_factory.mktemp("sound") / "two.wav", 2.0)


@pytest.fixture(scope="module")
def captions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("captions") / "lines.srt"
    path.write_text(srt(), "utf-8")
    return path


def frames_of(path: Path) -> Frames:
    return np.stack(list(read_frames(path))).astype(np.float32)


def extracted(path: Path) -> list[tuple[float, float, str]]:
    """Read a film's subtitle track with ffmpeg."""
    done = subprocess.run(
        [ffmpeg_exe(), "-v", "error", "-i", path, "-map", "0:s:0", "-f", "srt", "-"], capture_output=True, check=True
    )
    stamp = r"(\d+):(\d+):(\d+),(\d+)"
    found = re.findall(rf"{stamp} --> {stamp}\n(.*?)\n\n", f"{done.stdout.decode()}\n\n", re.DOTALL)
    seconds = [[int(h) * 3600 + int(m) * 60 + int(s) + int(ms) / 1000 for h, m, s, ms in (one[:4], one[4:8])]
               for one in found]  # fmt: skip
    return [(start, end, one[8].strip()) for (start, end), one in zip(seconds, found, strict=True)]


def test_a_track_says_every_line_at_its_time(tmp_path: Path, sound: Path, captions: Path, astronaut: Path) -> None:
    film = animate(astronaut, sound, tmp_path / "film.mp4", captions=captions, max_size=256)
    track = extracted(film.path)
    assert [text for _, _, text in track] == [text for _, _, text in LINES]
    for (start, end, _), (start_s, end_s, _) in zip(track, LINES, strict=True):
        assert start == pytest.approx(start_s, abs=0.02)
        assert end == pytest.approx(min(end_s, 2.0), abs=0.06)
    found = verify(film.path)
    assert found.mark.found
    assert found.ids_agree
    assert found.manifest.valid
    assert any("captions" in line for line in found.summary().splitlines())


@pytest.mark.parametrize(
    ("photo", "place"),
    [("astronaut.jpg", "below"), ("portraits/moller_gogol_1841.jpg", "above"), ("close-up", "above")],
)
def test_burned_lines_change_in_their_frame_and_never_touch_mouth_or_label(
    tmp_path: Path, sound: Path, captions: Path, photo: str, place: str
) -> None:
    from PIL import Image

    given: Path | Image.Image = EXAMPLES / photo
    if photo == "close-up":
        given = Image.open(EXAMPLES / "portraits" / "moller_gogol_1841.jpg").crop((90, 80, 420, 410))
    how = {"label": "auto", "fps": 30.0, "captions": captions}  # the same sources: the same invisible mark
    burned = animate(given, sound, tmp_path / "a.mp4", caption_style="burned", **how)  # type: ignore[arg-type]
    plain = animate(given, sound, tmp_path / "b.mp4", **how)  # type: ignore[arg-type]
    there, without = frames_of(burned.path), frames_of(plain.path)
    changed = np.abs(there - without).max(-1) > 40  # (T, H, W)
    amount = changed.mean((1, 2))
    for start_s, end_s in ((0.3, 1.52), (1.7, 2.0)):
        shown = np.arange(len(amount)) + 0.5
        inside = (shown > start_s * 30 + 1) & (shown < end_s * 30 - 1)
        assert amount[inside].min() > 0.002
    assert amount[:8].max() < 0.001
    assert amount[47:50].max() < 0.001
    assert amount[52] > 0.002
    steps = np.abs(np.diff(there[:, :, :, 0], axis=0)).mean((1, 2))
    assert abs(int(steps[20:40].argmax()) + 20 + 1 - 30) <= 5  # one line becomes the next at 1.0 s
    rows = np.flatnonzero(changed.any((0, 2)))
    assert (rows.mean() > there.shape[1] / 2) == (place == "below")
    finder, previous = shared_landmarker(), None
    for number in range(0, len(without), 6):
        previous = finder.track(without[number].astype(np.uint8), previous)
        assert previous is not None
        lips = previous.landmarks[list(LIPS_OUTER), :2]
        x0, y0, x1, y1 = np.rint([*(lips.min(0) - 3), *(lips.max(0) + 3)]).astype(int)
        assert not changed[number, y0:y1, x0:x1].any()
    left, top, right, bottom = Label(Style.parse("auto"), burned.size, 30).box
    assert changed[:, top:bottom, left:right].mean() < 5e-3  # the head, at times
    found = verify(burned.path)
    assert found.mark.found
    assert found.ids_agree


def test_karaoke_colours_words_when_they_are_said(tmp_path: Path, sound: Path, astronaut: Path) -> None:
    path = tmp_path / "words.json"
    path.write_text('[{"word": "one", "start": 0.2, "end": 0.5}, {"word": "two", "start": 0.8, "end": 1.1}, '
                    '{"word": "three", "start": 1.4, "end": 1.9}]')  # fmt: skip
    sung = animate(astronaut, sound, tmp_path / "sung.mp4", captions=path, karaoke=True)
    white = animate(astronaut, sound, tmp_path / "white.mp4", captions=path, caption_style="burned")
    yellow = (frames_of(white.path)[..., 2] - frames_of(sung.path)[..., 2] > 90).sum((1, 2))
    levels = [int(np.median(yellow[round(a * 25) : round(b * 25)])) for a, b in ((0.3, 0.7), (0.9, 1.3), (1.5, 1.9))]
    assert 30 < levels[0] < levels[1] < levels[2]
    assert yellow[:5].max() < 15
    for at_s, low, high in ((0.2, 0, levels[0]), (0.8, *levels[:2]), (1.4, *levels[1:])):
        first = int(np.flatnonzero(yellow > (low + high) / 2)[0])
        assert abs(first - at_s * 25) <= 1


def test_chinese_with_a_named_font_and_a_track_where_no_font_has_the_letters(
    tmp_path: Path, sound: Path, astronaut: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(fonts, "_files", lambda: ())
    path = tmp_path / "lines.srt"
    path.write_text(srt(((0.0, 2.0, "人工智能生成"),)), "utf-8")
    how = {"captions": path, "caption_style": "burned", "max_size": 256}
    film = animate(astronaut, sound, tmp_path / "a.mp4", caption_font=SHIPPED, **how)  # type: ignore[arg-type]
    assert (frames_of(film.path)[25, 200:] > 240).all(-1).sum() > 60  # white letters
    assert not caplog.records
    film = animate(astronaut, sound, tmp_path / "b.mp4", **how)  # type: ignore[arg-type]
    (told,) = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert "no font on this machine can draw" in told.getMessage()
    assert "they become a track" in told.getMessage()
    assert [text for _, _, text in extracted(film.path)] == ["人工智能生成"]


def test_no_room_beside_the_mouth_and_no_font_are_one_line_and_no_film(
    tmp_path: Path, sound: Path, captions: Path, astronaut: Path
) -> None:
    path = tmp_path / "lines.srt"
    path.write_text(srt(((0.0, 2.0, "word " * 400),)))
    with pytest.raises(OptionError, match="captions would cover a mouth wherever they stand: give shorter lines"):
        animate(astronaut, sound, tmp_path / "film.mp4", captions=path, caption_style="burned", max_size=256)
    for font, told in ((astronaut, "is no font"), (tmp_path / "missing.ttf", "not found")):
        with pytest.raises(OptionError, match=told):
            animate(
                astronaut, sound, tmp_path / "film.mp4", captions=captions, caption_style="burned", caption_font=font
            )
    assert not (tmp_path / "film.mp4").exists()
    assert not [file for file in tmp_path.iterdir() if file.suffix == ".mp4"]
