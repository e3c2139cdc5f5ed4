"""Emotions: timelines read and refused, what the face then shows (found again in the picture), closures kept."""

import math

import numpy as np
import numpy.typing as npt
import pytest
from conftest import EXAMPLES
from scipy.ndimage import maximum_filter1d

from portrait_anim.audio.load import load_audio
from portrait_anim.config import FPS
from portrait_anim.errors import OptionError
from portrait_anim.face.detect import make_landmarker
from portrait_anim.face.normalise import normalise
from portrait_anim.face.photo import load_photo
from portrait_anim.face.state import FaceState
from portrait_anim.motion.action_units import SIDES, TRACKS, ActionUnits, measure
from portrait_anim.motion.emotion import activations as activations_over_time
from portrait_anim.motion.emotion import emotion_activations, keep_closures, photo_smile
from portrait_anim.motion.model import MotionModel
from portrait_anim.options import EMOTIONS, EmotionSegment, parse_emotion
from portrait_anim.render.portrait import Portrait

pytestmark = pytest.mark.media

# emotion -> units that must be seen in the picture, and by how much (IOD): a quarter or more of what the unit does at
# full activation; the landmark net itself draws faces back to the average
SHOWN = {
    "happy": [("AU12", 0.030)],
    "sad": [("AU15", -0.020), ("AU1", 0.010)],
    "angry": [("AU4", -0.025)],
    "surprised": [("AU2", 0.020), ("AU5", 0.008), ("AU26", -0.050)],
    "fearful": [("AU1", 0.020), ("AU5", 0.006)],
    "disgusted": [("AU9", 0.015), ("AU10", 0.020)],
}


def test_timelines() -> None:
    assert parse_emotion(None).neutral
    assert parse_emotion("neutral").neutral
    assert parse_emotion("happy:0").neutral
    assert parse_emotion("Sad:0.6").segments == (EmotionSegment("sad", 0.6, 0, math.inf),)
    timeline = parse_emotion("sad:.6@4-, happy@0-4")
    assert timeline.segments == (EmotionSegment("happy", 1, 0, 4), EmotionSegment("sad", 0.6, 4, math.inf))
    assert parse_emotion("auto@1-2").needs_voice


@pytest.mark.parametrize(
    ("text", "says"),
    [("", "is empty"), ("joyful", "unknown emotion"), ("happy:2", "out of range"), ("happy@4-2", "ends before"),
     ("happy@0-4,sad@3-", "overlap"), ("happy,sad", "overlap"), ("happy:-1", "cannot be read"),
     ("happy@0", "cannot be read"), ("happy:nan", "cannot be read"), (3, "is empty")],
)  # fmt: skip
def test_bad_timelines_are_refused_in_one_line(text: str, says: str) -> None:
    with pytest.raises(OptionError, match=says) as caught:
        parse_emotion(text)
    assert "\n" not in str(caught.value)


UNSEEN_BROWS = ("hopper", "johnson", "rasputin")  # behind the rims of glasses, in the dark


@pytest.fixture(scope="module")
def seen() -> dict[tuple[str, str, str], npt.NDArray[np.float32]]:
    """(photo, weights, emotion) -> (478, 3) face found again in the rendered picture, IOD."""
    landmarker = make_landmarker()
    found = {}
    for path in (EXAMPLES / "astronaut.jpg", *sorted((EXAMPLES / "portraits").glob("*.jpg"))):
        if any(name in path.stem for name in UNSEEN_BROWS):
            continue
        photo = load_photo(path, 640)
        face = landmarker.detect(photo.pixels)[0]
        portrait = Portrait(photo, face)
        smile = photo_smile(normalise(face.landmarks)[0])
        for weights in ("default", "open"):
            units = ActionUnits.from_weights(weights)
            for emotion in EMOTIONS:
                rest = FaceState.rest()
                displacement = units.displacement(emotion_activations(emotion, 1.0, smile))
                state = FaceState(displacement, rest.blink, rest.gaze, rest.rotation, rest.shift)
                faces = landmarker.detect(portrait.render(state))
                found[path.stem, weights, emotion] = normalise(faces[0].landmarks)[0]
    return found


@pytest.mark.parametrize("weights", ["default", "open"])
@pytest.mark.parametrize("emotion", SHOWN)
def test_the_face_shows_it(
    seen: dict[tuple[str, str, str], npt.NDArray[np.float32]], weights: str, emotion: str
) -> None:
    photos = {name for name, _, _ in seen}
    clear = 0
    for name in photos:
        moved = seen[name, weights, emotion] - seen[name, weights, "neutral"]
        clear += all(measure(moved, unit) * np.sign(least) >= abs(least) for unit, least in SHOWN[emotion])
    assert clear >= 0.7 * len(photos), f"{clear} of {len(photos)}"


def test_lips_that_speech_closes_stay_closed_in_every_emotion() -> None:
    model = MotionModel.from_weights()
    waveform = load_audio(EXAMPLES / "speech.flac")[: 16_000 * 6]
    plain = model.motion(waveform).mouth
    opening = model.space.aperture(plain)
    closed = (opening < 0.01) & (maximum_filter1d(opening, 9) > 0.05)  # in the midst of speech
    assert closed.sum() > 4
    upper, lower = 13, 14
    for emotion in EMOTIONS[1:]:
        motion = model.motion(waveform, emotion=parse_emotion(f"{emotion}:1.5"))
        np.testing.assert_array_equal(motion.mouth, plain)
        shown = np.stack([model.space.state(motion, i).displacement for i in range(len(motion))])
        gap = shown[:, upper, 1] - shown[:, lower, 1]
        assert (gap - opening)[closed].max() < 0.02, emotion


def test_changes_are_smooth_seeded_and_end_in_time() -> None:
    timeline = parse_emotion("happy@1-3,sad@5-")
    waveform = np.zeros(16_000 * 8, np.float32)
    track = activations_over_time(timeline, 8 * FPS, FPS, 0, waveform)
    np.testing.assert_array_equal(track, activations_over_time(timeline, 8 * FPS, FPS, 0, waveform))
    assert track.shape == (8 * FPS, len(TRACKS))
    assert (np.abs(np.diff(track, axis=0)).max(0) <= 0.2 * np.abs(track).max(0)).all()
    happy = track[:, [TRACKS.index(f"AU12_{side}") for side in SIDES]].mean(1)
    assert np.abs(track[0]).max() < 0.05
    assert happy[2 * FPS] > 0.7
    assert abs(happy[round(4.5 * FPS)]) < 0.1
    assert track[7 * FPS, TRACKS.index("AU15_image_left")] > 0.5


def test_a_jaw_drop_gives_way_to_a_closure() -> None:
    track = np.zeros((10, len(TRACKS)), np.float32)
    jaw = [TRACKS.index(name) for name in TRACKS if name.startswith("AU26")]
    track[:, jaw] = 1
    opening = np.full(10, 0.0)
    opening[:2], opening[4:6] = 0.2, 0.2
    kept = keep_closures(track, opening, FPS)
    assert kept[2:4, jaw].max() < 0.1
