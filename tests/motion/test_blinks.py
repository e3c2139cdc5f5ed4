"""``blinks``: the multiple that is asked for is the one that is shown, of whole blinks, in films and live."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
from conftest import EXAMPLES

from portrait_anim.audio.load import load_audio
from portrait_anim.config import FPS
from portrait_anim.motion.blinks import APART, DELAY, OPEN, REST_S, SHUT, BlinkPacer, RestBlinks
from portrait_anim.motion.model import MotionModel
from portrait_anim.motion.streaming import LiveUpper
from portrait_anim.motion.upper import UpperMotion, closure, make_tracks, upper_motion

pytestmark = pytest.mark.media

SEEDS = range(12)
FILM_S = 40
SHAPE = (0.1, 0.4, 0.9, 1.0, 0.7, 0.4, 0.2)  # of a blink of the made-up tracks

Track = npt.NDArray[np.float32]
Lids = Callable[[MotionModel, Track, int, float], Track]


@pytest.fixture(scope="module")
def model() -> MotionModel:
    return MotionModel.from_weights()


@pytest.fixture(scope="module")
def voices(model: MotionModel) -> list[Track]:
    """Latents of speech and of singing."""
    heard = [model.analyse(load_audio(EXAMPLES / name)).latents for name in ("speech.flac", "song.flac")]
    return [np.tile(latents, (9, 1))[: FILM_S * FPS] for latents in heard]


def count(lids: Track) -> int:
    shut = lids > SHUT
    return int((shut[1:] & ~shut[:-1]).sum())


def film(model: MotionModel, latents: Track, seed: int, blinks: float) -> UpperMotion:
    return upper_motion(model.upper, latents, shape=None, seed=seed, head_motion=1.0, blinks=blinks)


def live(model: MotionModel, latents: Track, seed: int, blinks: float) -> Track:
    face, mouth = LiveUpper(model.upper, seed=seed, blinks=blinks), np.zeros((len(latents), 1), np.float32)
    pieces = range(0, len(latents), 70)
    return np.concatenate([face.push(mouth[i : i + 70], latents[i : i + 70]).blink[:, 0] for i in pieces])


def made_up(seed: int, n_frames: int = 4000, mean_gap: int = 50) -> tuple[Track, list[int]]:
    """A track of blinks that come by chance and small closures between them, and the frames they begin at."""
    rng = np.random.default_rng(seed)
    track, starts, at = np.zeros(n_frames, np.float32), [], 20
    while at < n_frames - 20:
        starts.append(at)
        track[at : at + len(SHAPE)] = SHAPE
        at += len(SHAPE) + 3 + int(rng.exponential(mean_gap))
    return track, starts


@pytest.mark.parametrize("make", [lambda *args: film(*args).blink[:, 0], live], ids=["film", "live"])
def test_the_multiple_is_reached(model: MotionModel, voices: list[Track], make: Lids) -> None:
    totals = {}
    for blinks in (0, 0.2, 0.5, 1, 1.5, 2, 2.5, 3):
        totals[blinks] = sum(count(make(model, voice, seed, blinks)) for voice in voices for seed in SEEDS)
    assert totals[0] == 0
    assert totals[1] > 100
    for blinks, total in totals.items():
        expected = blinks * totals[1]
        near = 0.10 if blinks < 2 else 0.18  # three times as often leaves little room between blinks
        assert total == pytest.approx(expected, rel=near, abs=2.5 * np.sqrt(max(0.0, (1 - blinks) * expected)))
    assert list(totals.values()) == sorted(totals.values())
    assert len(set(totals.values())) == len(totals)


def test_one_is_the_net_s_own_and_only_the_lids_change(model: MotionModel, voices: list[Track]) -> None:
    voice = voices[0][:400]
    own = film(model, voice, 3, 1.0)
    made = make_tracks(model.upper, voice, shape=None, seed=3)
    net, shown = closure(made)[20:-20], own.blink[20:-20, 0]
    added = np.flatnonzero(net != shown)
    assert (shown >= net).all()
    for i in added[added > REST_S[0] * FPS]:  # only where the net has not blinked for long
        assert net[max(0, i - int(REST_S[0] * FPS) + 20) : i + 1].max() <= SHUT
    for blinks in (0.3, 2.0, 3.0):
        other = film(model, voice, 3, blinks)
        assert not np.array_equal(other.blink, own.blink)
        for name in ("brows", "gaze", "rotation", "shift"):
            np.testing.assert_array_equal(getattr(other, name), getattr(own, name))
        np.testing.assert_array_equal(film(model, voice, 3, blinks).blink, other.blink)
        assert not np.array_equal(film(model, voice, 4, blinks).blink, other.blink)
        assert not other.blink[[0, -1]].any()


@pytest.mark.parametrize("seed", range(4))
def test_blinks_go_as_a_whole(seed: int) -> None:
    track, starts = made_up(seed)
    shown = BlinkPacer(0.4, seed).film(track)
    kept = 0
    for at in starts:
        part = shown[at : at + len(SHAPE)]
        whole = np.array_equal(part, np.float32(SHAPE))
        assert whole or part.max() <= OPEN
        kept += whole
    assert kept == pytest.approx(0.4 * len(starts), abs=1)
    assert (shown <= track).all()


@pytest.mark.parametrize("seed", range(4))
def test_blinks_that_are_put_in_are_human_and_apart(seed: int) -> None:
    track, starts = made_up(seed)
    shown = BlinkPacer(3.0, seed).film(track)
    own = np.zeros(len(track), bool)
    for at in starts:
        np.testing.assert_array_equal(shown[at : at + len(SHAPE)], np.float32(SHAPE))
        own[at : at + len(SHAPE)] = True
    assert count(shown) > 2.2 * len(starts)
    edges = np.diff(np.concatenate([[0], ((shown > 0) & ~own).astype(int), [0]]))
    added = list(zip(np.flatnonzero(edges > 0), np.flatnonzero(edges < 0), strict=True))
    shut_s = []
    for first, end in added:
        blink = shown[first:end]
        assert 0.85 <= blink.max() <= 1
        assert 0.2 <= (end - first) / FPS <= 0.4
        shut_s.append(float((blink > SHUT).sum()) / FPS)
        around = np.r_[max(0, first - APART) : first, end : min(len(shown), end + APART - 1)]
        assert shown[around].max() <= OPEN
    assert min(shut_s) >= 0.1
    assert max(shut_s) <= 0.28
    assert np.diff([first for first, _ in added]).min() >= 0.4 * FPS  # never frantic


def test_a_long_closure_stays() -> None:
    track = np.zeros(400, np.float32)
    track[100:180] = 1.0  # 3 s: eyes shut in a song
    np.testing.assert_array_equal(BlinkPacer(0.1, 0).film(track), track)
    np.testing.assert_array_equal(BlinkPacer(3.0, 0).film(track)[95:185], track[95:185])


def test_frames_do_not_depend_on_the_pieces() -> None:
    track, _ = made_up(1, 600)
    for blinks in (0.5, 2.5):
        whole = BlinkPacer(blinks, 7).push(track)
        pacer = BlinkPacer(blinks, 7)
        parts = np.concatenate([pacer.push(track[i : i + 37]) for i in range(0, 600, 37)])
        np.testing.assert_array_equal(parts, whole)
        np.testing.assert_array_equal(BlinkPacer(blinks, 7).film(track)[: 600 - DELAY], whole[DELAY:])


def test_a_long_rest_has_blinks_and_speech_gets_none() -> None:
    quiet = RestBlinks(1.0, 0).push(np.zeros(60 * 25, np.float32))
    starts = np.flatnonzero((quiet[1:] > 0.5) & (quiet[:-1] <= 0.5))
    assert 8 <= len(starts) <= 17
    assert quiet[: round(3.5 * 25)].max() == 0
    busy = np.zeros(60 * 25, np.float32)
    for start in range(20, len(busy) - 10, 60):  # every 2.4 s
        busy[start : start + 5] = [0.4, 0.9, 1.0, 0.6, 0.2]
    np.testing.assert_array_equal(RestBlinks(1.0, 0).push(busy), busy)


def test_rests_in_pieces_are_the_same_and_the_rate_is_followed() -> None:
    silence = np.zeros(2000, np.float32)
    whole = RestBlinks(1.0, 5).push(silence)
    pieces = RestBlinks(1.0, 5)
    np.testing.assert_array_equal(np.concatenate([pieces.push(silence[i : i + 7]) for i in range(0, 2000, 7)]), whole)
    counts = [
        ((b[1:] > 0.5) & (b[:-1] <= 0.5)).sum() for b in (RestBlinks(x, 5).push(silence) for x in (0.5, 1.0, 2.0))
    ]
    assert counts[0] < counts[1] < counts[2]
