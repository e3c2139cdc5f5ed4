"""Which face at which time: what can be read, and what is said in one line otherwise."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from portrait_anim.errors import OptionError
from portrait_anim.options import PhotoOptions
from portrait_anim.options.morph import DEFAULT_LENGTH_S, MorphChange, check_end, parse_morph

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("text", "changes"),
    [
        ("b.jpg@12.5", [("b.jpg", 12.5, DEFAULT_LENGTH_S, None)]),
        ("b.jpg@1,c.png@2:0.4", [("b.jpg", 1, DEFAULT_LENGTH_S, None), ("c.png", 2, 0.4, None)]),
        (" b.jpg@1 , c.png@20:1.5 ", [("b.jpg", 1, DEFAULT_LENGTH_S, None), ("c.png", 20, 1.5, None)]),
        ("me@home, 2.jpg@.5", [("me@home, 2.jpg", 0.5, DEFAULT_LENGTH_S, None)]),
        ("C:\\a:b.jpg#2@3:1", [("C:\\a:b.jpg", 3, 1, 2)]),
        ("list.lrc@2", [("list.lrc", 2, DEFAULT_LENGTH_S, None)]),
    ],
)
def test_photos_and_times(text: str, changes: list[tuple[Any, ...]]) -> None:
    assert parse_morph(text) == tuple(MorphChange(*change) for change in changes)
    assert PhotoOptions(morph=text).changes == parse_morph(text)


def test_tuples_take_any_name_and_any_picture() -> None:
    picture = object()
    changes = parse_morph([("a@1,b.jpg", 2), (picture, 4, 0.5)])
    assert changes == (MorphChange("a@1,b.jpg", 2.0), MorphChange(picture, 4.0, 0.5))


def test_a_number_is_part_of_a_name_where_such_a_file_is(tmp_path: Path) -> None:
    (tmp_path / "take#2").write_bytes(b"x")
    assert parse_morph(f"{tmp_path / 'take#2'}@1")[0].face is None
    assert parse_morph(f"{tmp_path / 'other#2'}@1")[0] == MorphChange(str(tmp_path / "other"), 1.0, face=2)


def test_lrc(tmp_path: Path) -> None:
    file = tmp_path / "names.LRC"
    file.write_text("\ufeff[ti:a song]\n[offset:+500]\n\n[01:02.50]b, c.jpg#3\n[00:12.5][02:00]d.png\n", "utf-8")
    assert (
        parse_morph(str(file))
        == parse_morph(file)
        == (
            MorphChange(tmp_path / "d.png", 12.0),
            MorphChange(tmp_path / "b, c.jpg", 62.0, face=3),
            MorphChange(tmp_path / "d.png", 119.5),
        )
    )


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("", "names no photo"),
        ([], "names no photo"),
        ("b.jpg", "cannot be read"),
        ("b.jpg@soon", "cannot be read"),
        ("b.jpg@-1", "cannot be read"),
        ("b.jpg@5,c.jpg@3", "order of time"),
        ("b.jpg@5:2,c.jpg@6", "next begins at 6 s"),
        ("b.jpg@5:0", "out of range"),
        ("b.jpg@5:90", "out of range"),
        ([("b.jpg", float("nan"))], "out of range"),
        (["b.jpg"], "tuples"),
        (7, "cannot be read"),
        ("missing.lrc", "check the path"),
    ],
)
def test_what_is_wrong_is_one_line(given: Any, said: str) -> None:
    with pytest.raises(OptionError, match=said) as error:
        parse_morph(given)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("line", ["b.jpg", "[00:12.5]", "[soon]b.jpg"])
def test_lrc_lines_that_cannot_be_read_are_named(line: str, tmp_path: Path) -> None:
    file = tmp_path / "x.lrc"
    file.write_text(f"[00:01]a.jpg\n{line}\n", "utf-8")
    with pytest.raises(OptionError, match="line 2"):
        parse_morph(file)


def test_a_change_after_the_end_is_refused() -> None:
    changes = parse_morph("b.jpg@1,c.jpg@9.5")
    check_end(changes, 9.6)
    with pytest.raises(OptionError, match=r"ends at 9.50 s, before the change at 9.5 s"):
        check_end(changes, 9.5)


def test_unknown_style() -> None:
    with pytest.raises(OptionError, match="unknown morph_style"):
        PhotoOptions(morph_style="both")
