"""The table of pictures, on a short real clip: the renderer beside the real film and the still photo."""

import numpy as np
import pytest
from conftest import ROOT

from portrait_anim.evaluation.render import COLUMNS, box_of, measure_clip, oracle_states, render_table, track
from portrait_anim.face.normalise import normalise_clip
from portrait_anim.face.photo import load_photo
from portrait_anim.face.types import Face
from portrait_anim.render.portrait import Portrait

pytestmark = pytest.mark.media

CLIP = ROOT.parent / "shared" / "data" / "grid_s1" / "bbaf2n.mp4"
needs_clip = pytest.mark.skipif(not CLIP.is_file(), reason="shared/data is not here")


@needs_clip
def test_rendered_is_closer_to_the_film_than_the_photo_is() -> None:
    clip = track(CLIP, 30)
    rows = measure_clip(clip, None)
    ssim, psnr = (COLUMNS.index(name) for name in ("SSIM", "PSNR"))
    assert rows["ground truth"][ssim] == pytest.approx(1)
    assert rows["rendered"][ssim] > rows["static photo"][ssim] + 0.02
    assert rows["rendered"][psnr] > rows["static photo"][psnr] + 2
    assert rows["rendered"][COLUMNS.index("sharpness")] > 0.9
    assert rows["static photo"][COLUMNS.index("flicker")] == 0
    opening, width = COLUMNS.index("opening, r"), COLUMNS.index("width, r")
    assert rows["ground truth"][opening : width + 2] == pytest.approx([1, 1, 1, 1], abs=0.02)
    assert rows["rendered"][opening] > 0.95
    assert rows["rendered"][width] > 0.85
    assert 0.7 < rows["rendered"][opening + 1] < 1.4  # a second of speech is little
    assert 0.6 < rows["rendered"][width + 1] < 1.5
    assert len(list(render_table([CLIP], 5, None))) == 7


@needs_clip
def test_oracle_states_put_the_landmarks_where_they_were() -> None:
    clip = track(CLIP, 20)
    states = oracle_states(clip.landmarks, None)
    portrait = Portrait(load_photo(clip.frames[0]), Face.from_landmarks(clip.landmarks[0], 1.0))
    start = portrait._head.place(states[0])[:478]
    _, poses = normalise_clip(clip.landmarks)
    for i in (5, 12, 19):
        moved = portrait._head.place(states[i])[:478] - start
        real = (clip.landmarks[i] - clip.landmarks[0])[:, :2]
        assert np.median(np.linalg.norm(moved - real, axis=1)) < 0.02 * poses[0].scale


def test_boxes_stay_in_the_picture() -> None:
    rows, columns = box_of(np.array([[1.0, 2.0], [9.0, 8.0]]), (10, 10), 0.5)
    assert (rows.start, rows.stop, columns.start, columns.stop) == (0, 10, 0, 10)
