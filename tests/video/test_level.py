"""Films whose H.264 level most players do not play: told in one line, by what x264 itself writes."""

from __future__ import annotations

import logging
import re
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from portrait_anim.video.level import largest_side, level_note, plays_everywhere
from portrait_anim.video.writer import Writer

pytestmark = pytest.mark.media


def written_level(path: Path) -> int:
    """Ten times the H.264 level that a film's header names."""
    data = path.read_bytes()
    return data[data.index(b"avcC") + 7]


def film(path: Path, size: tuple[int, int], fps: float) -> int:
    with Writer(path, size, fps) as writer:
        for _ in range(2):
            writer.write(np.full((size[1], size[0], 3), 90, np.uint8))
    return written_level(path)


@pytest.mark.parametrize(
    ("size", "fps"),
    [((4032, 3024), 25), ((3024, 4032), 30), ((6000, 4000), 25), ((3840, 2160), 60), ((5000, 1000), 25)],
)
def test_the_note_names_a_size_that_ends_at_5_2(
    tmp_path: Path, size: tuple[int, int], fps: int, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "portrait_anim"):
        level = film(tmp_path / "film.mp4", size, fps)
    notes = [record.getMessage() for record in caplog.records if "max-size" in record.getMessage()]
    assert len(notes) == (level > 52)
    if not notes:
        return
    assert "\n" not in notes[0]
    found = re.search(r"--max-size (\d+)", notes[0])
    assert found is not None
    side = int(found[1])
    smaller = round(size[0] * side / max(size)), round(size[1] * side / max(size))
    assert film(tmp_path / "smaller.mp4", smaller, fps) <= 52
    above = round(size[0] * (side + 32) / max(size)), round(size[1] * (side + 32) / max(size))
    assert not plays_everywhere(above, Fraction(fps))


@pytest.mark.parametrize(
    ("size", "fps"), [((512, 512), 60), ((1920, 1080), 60), ((3840, 2160), 60), ((4096, 2304), 25), ((3536, 2652), 25)]
)
def test_ordinary_films_are_not_remarked_upon(size: tuple[int, int], fps: int) -> None:
    assert level_note(size, Fraction(fps)) == ""


def test_the_frame_rate_counts() -> None:
    size = (4096, 2304)  # the largest of level 5.2
    assert largest_side(size, Fraction(25)) is None
    side = largest_side(size, Fraction(60))
    assert side is not None
    assert 3900 < side < 4096
    long = largest_side((8160, 100), Fraction(25))
    assert long is None or long < 8160
    assert largest_side((8688, 16), Fraction(25)) is None
    assert largest_side((8720, 16), Fraction(25)) == 8688
