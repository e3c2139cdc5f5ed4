"""Files of captions: four formats, times of lines and words, and one line for whatever is wrong."""

from __future__ import annotations

import json
import logging
import math
from pathlib import Path
from typing import Any

import pytest

from portrait_anim.captions.lines import Caption, as_srt, one_at_a_time, paced, within, words_of
from portrait_anim.captions.read import read_captions
from portrait_anim.errors import CaptionError, OptionError
from portrait_anim.options import FilmOptions

pytestmark = pytest.mark.unit

SRT = """1
00:00:01,000 --> 00:00:02,500
<i>Hello</i> there
second &amp; line

2
00:01:03,5 --> 00:01:04,000
Bye
"""
VTT = """WEBVTT

NOTE a remark
of two lines

STYLE
::cue { color: red }

first
00:01.000 --> 00:02.500 align:start position:10%
<v Ann>Hello <00:01.500>there<00:02.000><c.big>fore</c>
"""
LRC = """[ti:A song]
[offset:+500]
[00:01.50]Hello there
[00:03.50][00:07.50]Again <00:04.50>and <00:05.50>again
[00:06.50]
"""


def read(folder: Path, name: str, text: str | bytes) -> tuple[Caption, ...]:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_captions(path).captions


def seen(captions: tuple[Caption, ...]) -> list[tuple[float, float, str]]:
    return [(each.start_s, each.end_s, each.text) for each in captions]


def starts(caption: Caption) -> list[float | None]:
    return [word.start_s for word in caption.words]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_srt(tmp_path: Path, encoding: str, newline: str) -> None:
    captions = read(tmp_path, "a.srt", SRT.replace("\n", newline).encode(encoding))
    assert seen(captions) == [(1, 2.5, "Hello there\nsecond & line"), (63.5, 64, "Bye")]
    assert not captions[0].timed
    assert starts(paced(captions[1])) == [63.5]
    assert read(tmp_path, "b.srt", as_srt(captions)) == captions


def test_vtt_with_times_of_words(tmp_path: Path) -> None:
    (caption,) = read(tmp_path, "a.vtt", VTT)
    assert (caption.start_s, caption.end_s, caption.text) == (1, 2.5, "Hello therefore")
    assert starts(caption) == [1, 1.5, 2]


def test_lrc(tmp_path: Path) -> None:
    captions = read(tmp_path, "a.LRC", LRC)
    assert seen(captions) == [
        (1, 3, "Hello there"), (3, 6, "Again and again"), (7, math.inf, "Again and again"),
    ]  # fmt: skip
    assert starts(captions[1]) == [3, 4, 5]
    assert starts(captions[2]) == [7, 8, 9]


def word(text: str, start: float, end: float | None = None) -> dict[str, Any]:
    return {"word": text, "start": start, "end": start + 0.3 if end is None else end}


def test_words_become_lines(tmp_path: Path) -> None:
    said = ("So", "it", "is", ",", "she", "said", ".", "Then", "a", "pause")
    plain = [word(text, 0.4 * i) for i, text in enumerate(said)]
    plain[-1] = word("pause", 6.0)
    captions = read(tmp_path, "a.json", json.dumps(plain))
    assert [each.text for each in captions] == ["So it is, she said.", "Then a", "pause"]
    assert starts(captions[1]) == pytest.approx([2.8, 3.2])
    assert captions[0].end_s == pytest.approx(2.8)  # no gap of less than .4 s between lines
    assert captions[1].end_s == pytest.approx(3.9)
    long = read(tmp_path, "b.json", json.dumps([word("word", i) | {"end": i + 1} for i in range(30)]))
    assert len(long) > 3
    assert all(len(each.text) <= 42 for each in long)


def test_words_of_scripts_without_spaces_and_of_whisper(tmp_path: Path) -> None:
    (line,) = read(tmp_path, "a.json", json.dumps([word("你好", 0), word("世界", 0.4)]))
    assert line.text == "你好世界"
    whisper = {
        "segments": [{"words": [word(" Hi", 0), word("-fi", 0.4), word(" you", 0.8)]}, {"words": [word(" B", 2)]}]
    }
    assert [each.text for each in read(tmp_path, "b.json", json.dumps(whisper))] == ["Hi-fi you", "B"]


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("a.txt", "x", "must end in .srt, .vtt, .lrc, .json"),
        ("a.srt", "", "empty file"),
        ("a.srt", "no times here", "holds no line with a time: give 00:00:12,500 -->"),
        ("a.srt", "\n1 --> 2\nx", "line 2 of captions"),
        ("a.srt", "00:00:05,0 --> 00:00:02,0\nx", "ends at 2 s, not after its start at 5 s"),
        ("a.vtt", "00:05.0 --> 00:06.0\nx\n\n00:04.0 --> 00:06.0\ny", "line 4 of captions"),
        ("a.vtt", "00:05.0 --> 00:06.0\n<00:05.9>x <00:05.2>y", "the times of its words go backwards"),
        ("a.srt", b"00:00:01,0 --> 00:00:02,0\n\xff\xff caf\xe9", "is not UTF-8 text"),
        ("a.lrc", "hello", "line 1 of captions"),
        ("a.json", "[1", "is not JSON"),
        ("a.json", "3", "is no list of words"),
        ("a.json", "[" * 100_000, "is not JSON"),
        ("a.json", '[{"word": "a"}]', "word 1 of captions"),
        ("a.json", '[{"word": 1, "start": 0, "end": 1}]', "cannot be read"),
        ("a.json", '[{"word": "a", "start": 2, "end": 1}]', "are no stretch of time"),
        ("a.json", '[{"word": "a", "start": NaN, "end": 1}]', "are no stretch of time"),
        ("a.json", '[{"word": "a", "start": 2, "end": 3}, {"word": "b", "start": 1, "end": 3}]', "word 2 of captions"),
        ("a.json", '{"segments": [{"text": "a"}]}', "segments without words"),
        ("a.json", "[]", "holds no line"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_in_one_line(tmp_path: Path, name: str, text: str | bytes, told: str) -> None:
    with pytest.raises(CaptionError) as error:
        read(tmp_path, name, text)
    assert told in str(error.value)
    assert name in str(error.value)
    assert "\n" not in str(error.value)
    with pytest.raises(CaptionError, match="not found"):
        read_captions(tmp_path / "missing.srt")


def test_what_lies_beyond_the_end_is_cut_or_told(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    captions = [Caption(0, 2, words_of("a")), Caption(3, math.inf, words_of("b")), Caption(9, 10, words_of("c"))]
    assert [(each.start_s, each.end_s) for each in within(captions, 5.0, "captions x")] == [(0, 2), (3, 5)]
    assert caplog.messages == ["captions x: 1 line begins after the film's end at 5.00 s and is left out"]


def test_lines_at_the_same_time_are_stacked() -> None:
    shown = one_at_a_time([Caption(0, 4, words_of("a b")), Caption(2, 6, words_of("c")), Caption(8, 9, words_of("d"))])
    assert seen(tuple(shown)) == [(0, 2, "a b"), (2, 4, "a b\nc"), (4, 6, "c"), (8, 9, "d")]


@pytest.mark.parametrize(
    "options",
    [{"karaoke": True}, {"caption_style": "burned"}, {"captions": "a.srt", "caption_style": "hot"},
     {"captions": "a.srt", "caption_style": "track", "karaoke": True}],
)  # fmt: skip
def test_options_that_do_not_fit_are_one_line(options: dict[str, Any]) -> None:
    with pytest.raises(OptionError):
        FilmOptions(**options)
    assert FilmOptions(captions="a.srt", karaoke=True).burned
    assert not FilmOptions(captions="a.srt").burned
