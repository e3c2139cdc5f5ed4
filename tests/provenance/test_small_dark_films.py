"""Small dark films: their mark outlives hard compression, marks of the old way are read, weak ones are told of."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from portrait_anim import animate
from portrait_anim.provenance import pattern
from portrait_anim.provenance.reading import read_mark
from portrait_anim.provenance.watermark import FrameMarker
from portrait_anim.system import ffmpeg
from portrait_anim.video.reader import read_frames
from portrait_anim.video.writer import Writer

pytestmark = pytest.mark.media

DARK = 0.3  # of the photo's brightness
ID = 0x1234ABCD
HALF_AT_CRF_28 = ("-vf", "scale=iw/2:ih/2", "-crf", "28", "-map_metadata", "-1")


@pytest.fixture(scope="module")
def dark() -> np.ndarray:
    image = Image.open(Path(__file__).parents[2] / "examples" / "portraits" / "nasa_kalpana_chawla_2001.jpg")
    image = image.convert("RGB")
    image.thumbnail((256, 256))
    width, height = (side // 4 * 4 for side in image.size)
    return (np.asarray(image)[:height, :width] * DARK).astype(np.uint8)


def test_outlives_half_the_size_at_crf_28(dark: np.ndarray, tmp_path: Path) -> None:
    assert pattern.needs_coarse((dark.shape[1], dark.shape[0]), float(dark.mean()))
    marker = FrameMarker((dark.shape[1], dark.shape[0]), ID)
    marker.plan(dark)
    assert not marker.weak
    with Writer(tmp_path / "film.mp4", marker.size, 25) as writer:
        for shift in range(20):
            writer.write(marker.mark(np.roll(dark, shift // 7, axis=1)))
    small = tmp_path / "small.mp4"
    quiet = ["-v", "error", "-i", str(tmp_path / "film.mp4")]
    assert ffmpeg.Child([*quiet, *HALF_AT_CRF_28, str(small)]).wait() == 0
    found = read_mark(read_frames(small))
    assert found.content_id == ID
    assert found.chips_across == pytest.approx(pattern.CHIPS_ACROSS_COARSE, rel=0.01)


@pytest.mark.parametrize("across", [72, 96])
def test_marks_of_the_old_way_are_read(across: int, dark: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(pattern, "chips_across", lambda size, *, coarse=False: across)
        marked = FrameMarker((dark.shape[1], dark.shape[0]), ID).mark(dark)
    found = read_mark([marked])
    assert found.content_id == ID
    assert found.chips_across == pytest.approx(across, rel=0.01)


def test_only_small_dark_films_are_marked_otherwise() -> None:
    for size, luma, coarse in (((256, 256), 30, True), ((256, 256), 80, False), ((512, 512), 10, False)):
        assert pattern.needs_coarse(size, luma) is coarse
    assert pattern.chips_across((256, 256)) == 96
    assert {72, 96, 128, 160, 192, 256, 384, 56} == pattern.known_across()


def test_a_weak_mark_is_told(
    small_astronaut: Path, astronaut: Path, second_of_speech: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "portrait_anim")
    animate(small_astronaut, second_of_speech, tmp_path / "small.mp4")
    (line,) = [record.getMessage() for record in caplog.records if "invisible mark" in record.getMessage()]
    assert line.startswith("the invisible mark of this film is weak, its picture is small (256x256 px)")
    caplog.clear()
    animate(astronaut, second_of_speech, tmp_path / "film.mp4")
    assert not [record for record in caplog.records if "invisible mark" in record.getMessage()]
