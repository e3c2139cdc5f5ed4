"""Several faces in one photo: one of them, all, and a duet."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from conftest import EXAMPLES
from PIL import Image

from portrait_anim import Animator, animate
from portrait_anim.audio.load import load_audio
from portrait_anim.errors import OptionError
from portrait_anim.face.mesh import LIPS_INNER

pytestmark = pytest.mark.media


@pytest.fixture(scope="module")
def couple(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The astronaut, and right of her a painted lady."""
    path = tmp_path_factory.mktemp("couple") / "couple.png"
    left = Image.open(EXAMPLES / "astronaut.jpg").convert("RGB").resize((384, 384)).crop((64, 0, 320, 256))
    right = Image.open(EXAMPLES / "portraits" / "sargent_lady_agnew_1892.jpg").convert("RGB")
    width, height = right.size
    right = right.crop((0, 0, width, width)).resize((256, 256)) if height > width else right.resize((256, 256))
    both = Image.new("RGB", (512, 256))
    both.paste(left, (0, 0))
    both.paste(right, (256, 0))
    both.save(path)
    return path


def voice(start_s: float, silence_s: float) -> tuple[npt.NDArray[np.float32], int]:
    """A second of speech after so much silence."""
    speech = load_audio(EXAMPLES / "speech.flac")
    first = round(start_s * 16_000)
    return np.concatenate([np.zeros(round(silence_s * 16_000), np.float32), speech[first : first + 16_000]]), 16_000


def mouth_moves(frames: npt.NDArray[np.uint8], animator: Animator, face: int) -> npt.NDArray[np.floating]:
    """How much each frame's mouth differs from the frame before, mean over its box."""
    x0, y0 = animator.faces[face].landmarks[list(LIPS_INNER), :2].min(0).astype(int)
    x1, y1 = animator.faces[face].landmarks[list(LIPS_INNER), :2].max(0).astype(int)
    box = (slice(None), slice(y0 - 3, y1 + 8), slice(x0, x1 + 1))
    return np.abs(np.diff(frames[box].astype(int), axis=0)).mean((1, 2, 3))


def test_in_a_duet_each_mouth_follows_its_own_voice(couple: Path) -> None:
    animator = Animator(couple, face="all")
    assert len(animator.faces) == 2
    assert animator.faces[0].bbox[0] < animator.faces[1].bbox[0]
    hers, his = voice(1.0, 0.0), voice(2.0, 1.4)
    frames = np.stack(list(animator.frames([hers, his], head_motion=0, blinks=0)))
    assert len(frames) == 60
    left, right = (mouth_moves(frames, animator, face) for face in (0, 1))
    assert left[5:22].mean() > 5 * left[45:].mean()
    assert right[38:].mean() > 5 * right[5:22].mean()


def test_all_faces_say_the_same_but_blink_by_themselves(couple: Path) -> None:
    one, other = Animator(couple, face="all").motions(voice(1.0, 0.0), seed=3)
    np.testing.assert_array_equal(one.mouth, other.mouth)
    assert np.abs(one.rotation - other.rotation).max() > 1e-3


def test_a_duet_becomes_one_film_with_both_voices(couple: Path, tmp_path: Path) -> None:
    hers, his = voice(1.0, 0.0), voice(2.0, 1.4)
    film = animate(couple, [hers, his], tmp_path / "duet.mp4")
    assert (film.n_frames, len(film.motions)) == (60, 2)
    sound = load_audio(film.path)
    assert len(sound) == pytest.approx(2.4 * 16_000, abs=640)
    level = np.sqrt((sound[: 16_000 * 2].reshape(-1, 3200) ** 2).mean(1))
    assert level[:5].max() > 0.02
    assert level[6] < 1e-3
    assert level[8:].max() > 0.02


def test_number_of_sounds_and_faces_must_agree(couple: Path, tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="2 sounds for 1 face"):
        animate(couple, [voice(1, 0), voice(2, 0)], tmp_path / "x.mp4", face=2)
    with pytest.raises(OptionError, match="each face once"):
        animate(couple, voice(1, 0), tmp_path / "x.mp4", face=(1, 1))
    with pytest.raises(OptionError, match="no sound"):
        animate(couple, [], tmp_path / "x.mp4")
    assert not list(tmp_path.iterdir())
