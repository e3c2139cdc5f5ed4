"""The invisible mark: code, marker, reader, on real pictures and real encodes."""

from __future__ import annotations

import math
import subprocess
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from conftest import ROOT
from PIL import Image

from portrait_anim.provenance import ecc, pattern, reading
from portrait_anim.provenance.watermark import FrameMarker, read_mark
from portrait_anim.system.ffmpeg import ffmpeg_exe
from portrait_anim.video.reader import read_frames
from portrait_anim.video.writer import Writer

pytestmark = pytest.mark.media

PHOTO = ROOT / "examples"
CONTENT_ID = 0xC0FFEE11
GOLDEN_SYNC = [0, -1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]
GOLDEN_CODE = "d4a16023e09aafc0"


def _photo(side: int = 512) -> npt.NDArray[np.uint8]:
    path = next(iter(sorted(PHOTO.rglob("*mona*.jpg")) or sorted(PHOTO.rglob("*.jpg"))))
    return np.asarray(Image.open(path).convert("RGB").resize((side, side), Image.Resampling.LANCZOS))


@pytest.fixture(scope="module")
def photo() -> npt.NDArray[np.uint8]:
    return _photo()


@pytest.fixture(scope="module")
def marked(photo: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    return FrameMarker((512, 512), CONTENT_ID).mark(photo)


@pytest.fixture(scope="module")
def film(marked: npt.NDArray[np.uint8], tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("film") / "film.mp4"
    with Writer(path, (512, 512), 25, threads=1) as writer:
        for _ in range(12):
            writer.write(marked)
    return path


def test_the_code_corrects_a_quarter_of_wrong_signs() -> None:
    rng = np.random.default_rng(0)
    word = ecc.Word(ecc.MAKER, CONTENT_ID)
    coded = ecc.encode(word)
    assert coded.shape == (336,)
    flipped = rng.permutation(336)[:84]
    soft = coded.copy()
    soft[flipped] *= -1
    assert ecc.decode(soft) == word


@pytest.mark.parametrize("content_id", [0, 1, 0xFFFFFFFF])
def test_every_content_id_comes_back(content_id: int) -> None:
    assert ecc.decode(ecc.encode(ecc.Word(ecc.MAKER, content_id))) == ecc.Word(ecc.MAKER, content_id)


def test_other_makers_and_noise_are_refused() -> None:
    assert ecc.decode(ecc.encode(ecc.Word(ecc.MAKER ^ 1, CONTENT_ID))) is None
    assert ecc.decode(np.zeros(336, np.float32)) is None
    rng = np.random.default_rng(1)
    assert all(ecc.decode(rng.normal(size=336).astype(np.float32)) is None for _ in range(20))


def test_words_out_of_range_are_refused() -> None:
    with pytest.raises(ValueError, match="does not fit"):
        FrameMarker((64, 64), 1 << 32)


def test_the_crc_is_the_published_one() -> None:
    digits = np.unpackbits(np.frombuffer(b"123456789", np.uint8))
    assert ecc.crc(digits) == 0x29B1  # CRC-16/CCITT-FALSE, the check value of its catalogue entry


def test_the_design_keeps_false_alarms_under_one_in_a_million() -> None:
    assert reading.MAX_WORDS * 2.0**-ecc.CHECK_BITS <= 1e-6


def test_the_layout_never_changes() -> None:
    """Films made by earlier versions must stay readable."""
    plan = pattern.layout()
    assert np.count_nonzero(plan.sync) == 1365
    assert plan.sync[0, :12].tolist() == GOLDEN_SYNC
    coded = ecc.encode(ecc.Word(ecc.MAKER, CONTENT_ID))
    assert np.packbits(coded[:64] > 0).tobytes().hex() == GOLDEN_CODE


def test_a_marked_picture_looks_the_same(photo: npt.NDArray[np.uint8], marked: npt.NDArray[np.uint8]) -> None:
    error = np.mean((marked.astype(float) - photo) ** 2)
    assert 10 * math.log10(255**2 / error) >= 40
    assert marked.shape == photo.shape
    assert marked.dtype == np.uint8


def test_black_stays_black_and_flat_grounds_move_by_two_levels_at_most() -> None:
    frame = np.zeros((256, 512, 3), np.uint8)
    frame[:, 256:] = (135, 180, 230)
    changed = FrameMarker((512, 256), 5).mark(frame).astype(int) - frame
    assert not changed[:, :224].any()
    assert 0 < np.abs(changed[:, 288:]).max() <= 2


def test_the_same_film_gets_the_same_mark(photo: npt.NDArray[np.uint8], marked: npt.NDArray[np.uint8]) -> None:
    marker = FrameMarker((512, 512), CONTENT_ID)
    marker.plan(photo)
    marker.mark(255 - photo)  # another frame first changes nothing once planned
    assert np.array_equal(marker.mark(photo), marked)


def test_frames_of_another_size_are_refused(photo: npt.NDArray[np.uint8]) -> None:
    with pytest.raises(ValueError, match="expected"):
        FrameMarker((100, 100), 1).mark(photo)


def test_one_picture_is_read(marked: npt.NDArray[np.uint8]) -> None:
    found = read_mark([marked])
    assert found.found
    assert found.content_id == CONTENT_ID
    assert found.maker == ecc.MAKER
    assert found.bits == f"{ecc.MAKER:08b}{CONTENT_ID:032b}"
    assert found.confidence > 0.999
    assert found.false_alarm_probability <= 1e-6


def test_an_unmarked_picture_is_not(photo: npt.NDArray[np.uint8]) -> None:
    found = read_mark([photo])
    assert (found.found, found.trace, found.content_id, found.bits) == (False, False, None, "")
    assert found.sync_sigma < 7


def test_nothing_to_read() -> None:
    with pytest.raises(ValueError, match="no frames"):
        read_mark([])
    assert not read_mark([np.zeros((16, 16, 3), np.uint8)]).found
    assert not read_mark([np.full((300, 300, 3), 128, np.uint8)]).found


@pytest.mark.parametrize("size", [(200, 200), (301, 255), (400, 711), (1001, 1500)])
def test_odd_and_other_sizes(size: tuple[int, int]) -> None:
    photo = np.asarray(Image.fromarray(_photo(1024)).resize(size, Image.Resampling.LANCZOS))
    found = read_mark([FrameMarker(size, 77).mark(photo)])
    assert found.content_id == 77


ATTACKS = {
    "crf33": ["-crf", "33"],
    "crf28 half size stripped": ["-crf", "28", "-vf", "scale=iw/2:ih/2", "-map_metadata", "-1"],
    "crop 25 %": ["-vf", "crop=384:384:101:33"],
    "crop to 9:16": ["-vf", "crop=288:512:97:0"],
    "crop and back to size": ["-vf", "crop=384:384:101:33,scale=512:512"],
    "mirrored": ["-vf", "hflip"],
    "15 frames/s": ["-r", "15"],
    "brightness, contrast, noise": ["-vf", "eq=brightness=.1:contrast=1.2,noise=alls=8:allf=t"],
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_films_survive(attack: str, film: Path, tmp_path: Path) -> None:
    result = tmp_path / "attacked.mp4"
    command = [ffmpeg_exe(), "-v", "error", "-i", str(film), *ATTACKS[attack], "-threads", "1", str(result)]
    subprocess.run(command, check=True)
    found = read_mark(read_frames(result))
    assert found.content_id == CONTENT_ID
    assert found.mirrored == (attack == "mirrored")


def test_a_jpeg_screenshot_is_read(marked: npt.NDArray[np.uint8], tmp_path: Path) -> None:
    shot = tmp_path / "shot.jpg"
    Image.fromarray(marked).save(shot, quality=70)
    assert read_mark([np.asarray(Image.open(shot))]).content_id == CONTENT_ID
