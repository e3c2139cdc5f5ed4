"""What can be said of a background, and what cannot."""

import numpy as np
import pytest

from portrait_anim.errors import OptionError
from portrait_anim.options import PhotoOptions
from portrait_anim.options.background import parse_background

pytestmark = pytest.mark.unit


def test_words_colours_and_files_are_told_apart() -> None:
    assert parse_background("keep").kept
    assert parse_background("none").transparent
    assert parse_background("blur").kind == "blur"
    assert parse_background("#00b140").colour == (0, 177, 64)
    assert parse_background("#fa0").colour == (255, 170, 0)
    assert parse_background("./none").source == "./none"
    picture = np.zeros((4, 4, 3), np.uint8)
    assert parse_background(picture).source is picture
    assert PhotoOptions().behind.kept


@pytest.mark.parametrize("bad", ["#00b1", "#00b14g", "#", "", "  ", None, "#00b140 "])
def test_others_are_one_clear_line(bad: object) -> None:
    with pytest.raises(OptionError, match="background") as error:
        PhotoOptions(background=bad)
    assert "\n" not in str(error.value)
    assert "#00b140" in str(error.value)


def test_a_morph_that_changes_the_background_itself_is_refused() -> None:
    changes = [(np.zeros((64, 64, 3), np.uint8), 1.0)]
    with pytest.raises(OptionError, match="use style face, or background keep"):
        PhotoOptions(morph=changes, morph_style="photo", background="blur")
    PhotoOptions(morph=changes, morph_style="photo")
    PhotoOptions(morph=changes, morph_style="face", background="blur")
