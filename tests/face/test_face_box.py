"""The user says where the face is: it is taken there, whatever is found."""

from __future__ import annotations

import csv
import logging
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from portrait_anim import Animator, animate, verify
from portrait_anim.batch.jobs import read_jobs
from portrait_anim.cli.batch import row_parser
from portrait_anim.errors import NoFaceError, OptionError
from portrait_anim.face.detect import make_landmarker
from portrait_anim.face.face_alignment import weight_file

pytestmark = pytest.mark.media


@pytest.fixture(scope="module")
def found(astronaut: Path) -> Animator:
    return Animator(astronaut)


def box_of(animator: Animator, grown: float = 0.0) -> tuple[float, ...]:
    """The found face's box as x, y, width, height, larger on every side by a share of it."""
    x0, y0, x1, y1 = (float(value) for value in animator.faces[0].bbox)
    more = grown * (x1 - x0)
    return x0 - more, y0 - more, x1 - x0 + 2 * more, y1 - y0 + 2 * more


def off(one: Animator, other: Animator) -> float:
    """The largest distance of two faces' points, as a share of the face's width."""
    a, b = one.faces[0], other.faces[0]
    return float(np.abs(a.landmarks[:, :2] - b.landmarks[:, :2]).max() / (b.bbox[2] - b.bbox[0]))


@pytest.mark.parametrize("grown", [0.0, 0.15, -0.1])
def test_a_rough_box_gives_the_same_face(grown: float, found: Animator, astronaut: Path) -> None:
    assert off(Animator(astronaut, face_box=box_of(found, grown)), found) < 0.02


def test_the_box_is_of_the_photo_and_not_of_the_reduced_one(found: Animator, astronaut: Path) -> None:
    reduced, told = Animator(astronaut, max_size=200), Animator(astronaut, max_size=200, face_box=box_of(found))
    assert told.size == (200, 200)
    assert off(told, reduced) < 0.03
    shaped = Animator(astronaut, max_size=200, aspect="9:16", face_box=box_of(found))
    assert off(shaped, Animator(astronaut, max_size=200, aspect="9:16")) < 0.03


def test_a_lying_face_and_a_turned_file(found: Animator, astronaut: Path, tmp_path: Path) -> None:
    picture = Image.open(astronaut)
    x, y, width, height = box_of(found)
    lying = picture.transpose(Image.Transpose.ROTATE_270)  # clockwise: (x, y) -> (511 - y, x)
    told = Animator(lying, face_box=(picture.height - y - height, x, height, width))
    assert off(told, Animator(lying)) < 0.05
    exif = Image.Exif()
    exif[0x0112] = 8  # shown a quarter turn counter-clockwise
    lying.save(tmp_path / "turned.png", exif=exif)
    assert off(Animator(tmp_path / "turned.png", face_box=box_of(found)), found) < 0.02


def test_where_nothing_is_seen_it_is_taken_and_said(
    tmp_path: Path, second_of_speech: Path, caplog: pytest.LogCaptureFixture
) -> None:
    grey = np.full((160, 160, 3), 120, np.uint8)
    with pytest.raises(NoFaceError, match="--face-box"):
        Animator(grey)
    caplog.set_level(logging.INFO, "portrait_anim")
    film = animate(grey, second_of_speech, tmp_path / "film.mp4", face_box=(40, 40, 80, 80))
    assert film.n_frames == 25
    assert verify(film.path).manifest.valid
    (line,) = [record.message for record in caplog.records if "face_box" in record.message]
    assert line == "no face is seen in face_box 40,40,80,80 of the picture: the film shows what moves there anyway"


@pytest.mark.parametrize(
    ("box", "words"),
    [
        ((600, 10, 50, 50), "does not lie in photo"), ((10, -100, 50, 50), "512x512 px"),
        ((0, 0, 9000, 9000), "does not lie in photo"), ((10, 10, 20, 20), "by max_size: give a larger max_size"),
    ],
)  # fmt: skip
def test_boxes_elsewhere(box: tuple[float, ...], words: str, astronaut: Path) -> None:
    with pytest.raises(NoFaceError, match=words) as told:
        Animator(astronaut, face_box=box, max_size=64 if box[2] == 20 else None)
    assert str(astronaut) in str(told.value)


@pytest.mark.parametrize(
    "box",
    [(1, 2, 3), (1, 2, 3, 4), "1,2,30,40", (1, 2, float("nan"), 40), (0, 0, True, 40), 7, (1, 2, None, 40), "", ()],
)
def test_what_is_no_box(box: object, astronaut: Path) -> None:
    with pytest.raises(OptionError, match="face_box"):
        Animator(astronaut, face_box=box)


def test_a_number_and_a_box(astronaut: Path) -> None:
    with pytest.raises(OptionError, match="face and face_box both"):
        Animator(astronaut, face=1, face_box=np.array([100, 100, 200, 200]))


def test_the_same_word_in_a_list(tmp_path: Path, small_astronaut: Path) -> None:
    jobs = tmp_path / "jobs.csv"
    rows = [("id", "photo", "audio", "face-box"), ("a", "a.png", "s.wav", "1,2,30,40"), ("b", "b.png", "s.wav", "1,2")]
    with jobs.open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    good, bad = read_jobs(jobs, row_parser())
    assert good.options["face_box"] == (1, 2, 30, 40)
    assert bad.error is not None
    assert "is no box" in bad.error


def test_the_other_landmarker(found: Animator, astronaut: Path) -> None:
    if not weight_file().is_file():
        pytest.skip("face-alignment's weights are not here")
    finder = make_landmarker("face-alignment")
    image = np.asarray(Image.open(astronaut).convert("RGB"))
    face = finder.at(image, found.faces[0].bbox)
    assert np.allclose(face.landmarks, finder.detect(image)[0].landmarks, atol=6)
