"""Films of another shape: no face is cut, the eyes come to the upper third, and points stay on their faces."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from conftest import EXAMPLES, cut
from PIL import Image

from portrait_anim import Animator, animate
from portrait_anim.errors import OptionError
from portrait_anim.face.detect import shared_landmarker
from portrait_anim.face.mesh import OUTER_EYE_CORNERS
from portrait_anim.face.photo import Photo
from portrait_anim.face.reframe import canvas_window, crop_window
from portrait_anim.face.types import Face
from portrait_anim.options import PhotoOptions
from portrait_anim.options.format import COMMON
from portrait_anim.provenance.verify import verify
from portrait_anim.render.choose import shown_photo
from portrait_anim.video.reader import read_frames

pytestmark = pytest.mark.media

PHOTOS = (EXAMPLES / "astronaut.jpg", *sorted((EXAMPLES / "portraits").glob("*.jpg")))
MONA_LISA = EXAMPLES / "portraits" / "leonardo_mona_lisa_1503.jpg"


def couple(gap: int = 500) -> npt.NDArray[np.uint8]:
    """Two people far apart."""
    out = np.full((256, 512 + gap, 3), 90, np.uint8)
    for name, x in (("astronaut.jpg", 0), ("portraits/raphael_la_donna_velata_1516.jpg", 256 + gap)):
        out[:, x : x + 256] = Image.open(EXAMPLES / name).convert("RGB").resize((256, 256))
    return out


def shown(photo: Path | npt.NDArray[np.uint8], **options: object) -> tuple[Photo, list[Face]]:
    return shown_photo(photo, shared_landmarker(), PhotoOptions(**options))  # type: ignore[arg-type]


def iod(face: Face) -> float:
    return float(np.linalg.norm(np.subtract(*face.landmarks[list(OUTER_EYE_CORNERS), :2])))


@pytest.mark.parametrize("aspect", COMMON)
@pytest.mark.parametrize("photo", PHOTOS, ids=lambda path: path.stem)
def test_faces_are_whole_with_the_eyes_at_the_upper_third(photo: Path, aspect: str) -> None:
    picture, (face,) = shown(photo, aspect=aspect)
    width, height = picture.size
    across, down = map(int, aspect.split(":"))
    own = np.divide(*shown(photo)[0].size)
    if abs(own / (across / down) - 1) > 0.005:
        assert width % 2 == height % 2 == 0
        assert width == pytest.approx(height * across / down, abs=2)
        assert (
            0.2 < face.landmarks[list(OUTER_EYE_CORNERS), 1].mean() / height < 0.52
        )  # the third, where there is room above
    x0, y0, x1, y1 = face.bbox
    assert min(x0, y0, width - x1, height - y1) > 0
    again = shared_landmarker().detect(picture.pixels)[0]  # what was moved along lies where a face is found now
    assert np.abs(again.landmarks[:, :2] - face.landmarks[:, :2]).mean() < 0.02 * iod(face)


def test_a_crop_holds_the_photos_own_pixels_and_a_canvas_all_of_them() -> None:
    whole = shown(MONA_LISA)[0].pixels
    cropped, (face,) = shown(MONA_LISA, aspect="9:16")
    left = (shown(MONA_LISA)[1][0].landmarks - face.landmarks)[0, 0]
    assert np.array_equal(cropped.pixels, whole[:, round(left) : round(left) + cropped.size[0]])
    for fill, paint in (("blur", None), ("#00b140", (0, 177, 64)), ("#fff", (255, 255, 255))):
        canvas, _ = shown(MONA_LISA, aspect="16:9", fill=fill)
        side = (canvas.size[0] - whole.shape[1]) // 2
        assert np.array_equal(canvas.pixels[:, side : side + whole.shape[1]], whole)
        beside = canvas.pixels[:, :side].reshape(-1, 3).astype(float)
        if paint:
            assert (beside == paint).all()
        else:  # dark, without detail
            assert np.abs(np.diff(canvas.pixels[:, :side].astype(float), axis=0)).max() <= 2
            assert 5 < beside.mean() < 0.8 * whole.mean()


def test_all_that_move_stay_in_and_a_crop_that_would_cut_one_is_refused() -> None:
    one, faces = shown(couple(), aspect="1:1", face=1)
    assert one.size == (192, 192)  # three quarters of the most, and the eyes are at a third
    assert len(faces) == 1
    both, faces = shown(couple(), aspect="1:1", face="all")
    assert both.size == (1012, 1012)
    assert len(faces) == 2
    with pytest.raises(OptionError, match=r"fill 'crop' at 1:1 would cut the 2 faces that move: give --fill blur"):
        shown(couple(), aspect="1:1", face="all", fill="crop")
    close, _ = shown(couple(gap=20), aspect="16:9", face="all")
    assert close.size[0] >= 340


def test_no_window_cuts_what_it_must_keep() -> None:
    rng = np.random.default_rng(0)
    fitted = 0
    for _ in range(2000):
        size = tuple(int(side) for side in rng.integers(64, 2000, 2))
        ratio = float(rng.uniform(0.25, 4))
        x, y = (np.sort(rng.uniform(0, side, 2)) for side in size)
        eyes = float(rng.uniform(*y))
        window = crop_window(size, np.array([x[0], y[0], x[1], y[1]]), eyes, ratio)
        if window is not None:
            fitted += 1
            assert window.left >= 0
            assert window.left + window.width <= size[0]
            assert window.top >= 0
            assert window.top + window.height <= size[1]
            room = 2 + 2 * ratio  # px, of rounding to even numbers
            assert window.left <= x[0] + room
            assert window.left + window.width >= x[1] - room
            assert window.top <= y[0] + room
            assert window.top + window.height >= y[1] - room
        canvas = canvas_window(size, eyes, ratio)
        assert canvas.left <= 0
        assert canvas.top <= 0
        assert canvas.left + canvas.width >= size[0]
        assert canvas.top + canvas.height >= size[1]
        assert canvas.width / canvas.height == pytest.approx(ratio, abs=2 * (1 + ratio) / canvas.height)
    assert fitted > 300


def test_max_size_limits_the_film_and_one_note_tells_its_size(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    picture, (face,) = shown(EXAMPLES / "astronaut.jpg", aspect="9:16", max_size=200)
    assert picture.size == (112, 200)
    again = shared_landmarker().detect(picture.pixels)[0]
    assert np.abs(again.landmarks[:, :2] - face.landmarks[:, :2]).mean() < 0.03 * iod(face)
    (note,) = [record.getMessage() for record in caplog.records]
    assert "is shown as 9:16: cropped, 112x200 of 512x512 px; nothing is enlarged" in note
    large, _ = shown(EXAMPLES / "astronaut.jpg", aspect="16:9", fill="blur", max_size=4000)
    assert large.size == (910, 512)  # nothing is enlarged


def test_a_film_of_another_shape_is_marked_and_moves(tmp_path: Path, speech: Path) -> None:
    sound = cut(speech, tmp_path / "sound.wav", 1.0)
    film = animate(MONA_LISA, sound, tmp_path / "film.mp4", aspect="16:9", label="auto", max_size=512)
    assert film.size == (512, 288)
    frames = np.stack(list(read_frames(film.path))).astype(float)
    spread = frames.std(0).mean(-1)
    assert spread[:, 220:290].max() > 5  # the face moves
    assert spread[:200, :80].max() < 5  # the blurred sides do not, above the label
    assert verify(film.path).mark.found
    same = next(Animator(EXAMPLES / "astronaut.jpg", aspect="1:1").frames(sound))
    assert np.array_equal(same, next(Animator(EXAMPLES / "astronaut.jpg").frames(sound)))


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"aspect": "9x16"}, "aspect '9x16' cannot be read: give one as 9:16, 4:5, 1:1, 16:9"),
        ({"aspect": "9:0"}, "cannot be read"),
        ({"aspect": "100:1"}, "cannot be read"),
        ({"aspect": 1.5}, "cannot be read"),
        ({"fill": "blur"}, "give --aspect too"),
        ({"aspect": "1:1", "fill": "green"}, "fill 'green' cannot be read: give crop, blur, auto or a colour such as"),
        ({"aspect": "1:1", "fill": "#12345"}, "cannot be read"),
    ],
)
def test_bad_values_are_one_line(options: dict[str, object], told: str) -> None:
    with pytest.raises(OptionError) as error:
        PhotoOptions(**options)  # type: ignore[arg-type]
    assert told in str(error.value)
    assert "\n" not in str(error.value)
