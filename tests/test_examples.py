"""The example song: what its script promises."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from portrait_anim.audio.load import load_audio
from portrait_anim.motion.model import MotionModel
from portrait_anim.options.morph import check_end, parse_morph

pytestmark = pytest.mark.package

EXAMPLES = Path(__file__).parents[1] / "examples"


def test_every_example_has_a_source() -> None:
    text = (EXAMPLES / "README.md").read_text("utf-8")
    for path in EXAMPLES.rglob("*"):
        if path.is_file() and path.name != "README.md" and ".ipynb_checkpoints" not in path.parts:
            assert str(path.relative_to(EXAMPLES)) in text, path


def test_song_is_not_clipped_and_has_a_break_in_which_the_mouth_rests() -> None:
    samples, rate = soundfile.read(EXAMPLES / "song.flac")
    assert rate == 16_000
    assert 0.5 < np.abs(samples).max() < 0.99
    model = MotionModel.from_weights()
    opening = model.space.aperture(model.motion(load_audio(EXAMPLES / "song.flac")).mouth)
    seconds = opening[: len(opening) // 25 * 25].reshape(-1, 25)
    assert np.percentile(opening, 90) > 0.08
    assert (np.abs(seconds[2:-1]).max(axis=1) < 0.02).any()


def test_the_heart_film_names_photos_that_are_there() -> None:
    changes = parse_morph(EXAMPLES / "heart.lrc")
    assert len(changes) == 6
    assert all(change.photo.is_file() for change in changes)
    check_end(changes, soundfile.info(EXAMPLES / "song.flac").duration)
