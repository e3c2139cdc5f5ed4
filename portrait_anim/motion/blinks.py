"""More or fewer blinks than the net makes: whole blinks are removed from the lids' track or added to it.

The net itself cannot blink more than about twice as often as is natural, nor less than a fifth as often. So it is
always asked for the natural rate, and its blinks are counted. For a lower rate only a share of them is kept, evenly
chosen. For a higher one more are added in the gaps: for each of the net's blinks as many as the rate asks for.
In long rests, where the net does not blink at all, blinks are put in.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from portrait_anim.config import FPS

Array = npt.NDArray[np.float32]

SHUT = 0.5  # closure from which on the lids count as blinking
OPEN = 0.25  # closure below which a blink is over
DELAY = 30  # frames (1.2 s) by which live lids are shown later; a longer closure is no blink and stays as it is
APART = 5  # frames (.2 s), least time between an added blink and others
RISE = 6  # frames in which lids shut, at most
NATURAL_S = 2.2  # s between blinks that are assumed before any were counted
CLOSING_S, SHUT_S, OPENING_S = (0.07, 0.10), (0.02, 0.06), (0.14, 0.20)  # s, range of the parts of an added blink
DEEPEST = (0.9, 1.0)  # range of its closure
REST_S = (3.5, 7.0)  # s without a blink after which one is added: people at rest blink every three to six seconds
GOLDEN = (5**0.5 - 1) / 2  # the fractional parts of its multiples lie evenly in 0..1


class BlinkPacer:
    """Brings the lids' track to a multiple of its own blinks, frame by frame, ``DELAY`` frames later.

    Args:
        blinks: above 0, up to 3; the number of blinks over that in the track, on average.
        seed: decides which are kept and where others are added.
    """

    def __init__(self, blinks: float, seed: int) -> None:
        self._blinks, self._rng = blinks, np.random.default_rng([seed, 11])
        self._shown = [0.0] * DELAY  # closure of the frames not yet returned, the oldest first
        self._busy = [False] * DELAY  # in which of them there is a blink
        self._since_open = 0  # frames since the lids were open
        self._shuts = 0  # how often they shut since then
        self._before = 0.0
        self._seen = self._own = 0  # frames and blinks of the track itself
        # blinks owed at the start: on average as many as are still owed at the end; spread evenly over seeds
        self._due = (seed * GOLDEN) % 1 * (max(1.0, blinks - 1) if blinks > 1 else 1.0)
        self._next = self._new_blink()
        self._not_before = int(self._rng.uniform(0, self._period))

    @property
    def _period(self) -> float:
        """Frames from one blink to the next at the wanted rate, by the blinks counted so far."""
        every_s = (self._seen / FPS + NATURAL_S) / (self._own + 1)
        return every_s * FPS / self._blinks

    def film(self, closure: Array) -> Array:
        """Return a whole track (T,), without delay."""
        return self.push(np.concatenate([closure, np.zeros(DELAY, np.float32)]))[DELAY:]

    def push(self, closure: Array) -> Array:
        """Take the next frames (T,) of closure in 0..1; return as many, ``DELAY`` frames later, 0 at the start."""
        return np.array([self._step(float(value)) for value in closure], np.float32)

    def _step(self, closure: float) -> float:
        out = self._shown.pop(0)
        del self._busy[0]
        self._shown.append(closure)
        self._busy.append(False)
        self._seen += 1
        self._shuts += self._before <= SHUT < closure
        self._before = closure
        self._since_open += 1
        if closure <= OPEN:
            if self._shuts:
                self._blinked()
            self._since_open = self._shuts = 0
        if self._blinks > 1 and self._due >= 1:
            self._put_in()
        return out

    def _blinked(self) -> None:
        """Handle the end of one of the net's blinks: keep or remove it, and count the ones to add for it."""
        first = max(0, DELAY - 1 - self._since_open)  # the last frame before it
        whole = self._since_open < DELAY
        self._own += self._shuts
        if self._blinks > 1:
            self._due += (self._blinks - 1) * self._shuts
        elif whole:
            self._due += self._blinks
            if self._due < 1:
                level = np.linspace(self._shown[first], self._shown[-1], DELAY - first)
                self._shown[first:] = np.minimum(self._shown[first:], level).tolist()
                return
            self._due -= 1
        self._busy[first:] = [True] * (DELAY - first)
        self._wait(self._seen)

    def _put_in(self) -> None:
        """Add a blink at the next possible place, if there is room."""
        length = len(self._next)
        at = DELAY - (RISE + APART + length)
        now = self._seen - DELAY + at  # its number
        shutting = self._shuts > 0 and self._since_open > RISE
        if now < self._not_before or shutting or any(self._busy[max(0, at - APART) : at + length + APART]):
            return
        for i, closure in enumerate(self._next):
            self._shown[at + i] = max(self._shown[at + i], closure)
            self._busy[at + i] = True
        self._due -= 1
        self._wait(now + length)
        self._next = self._new_blink()

    def _wait(self, end: int) -> None:
        """Choose by chance how long after a blink's ``end`` none is added; shorter when several are owed."""
        mean = max(APART, 0.6 * (self._period - len(self._next)) / max(1.0, self._due))
        self._not_before = end + round(self._rng.uniform(APART, 2 * mean - APART))

    def _new_blink(self) -> list[float]:
        """Return the closure of a blink, frame by frame."""
        return [float(value) for value in one_blink(self._rng)]


class RestBlinks:
    """Adds blinks where there were none for long: the net never blinks while it hears nothing. Frame by frame.

    Args:
        blinks: above 0, up to 3, times the natural rate.
        seed: of when and how.
    """

    def __init__(self, blinks: float, seed: int) -> None:
        self._blinks, self._rng = blinks, np.random.default_rng([seed, 19])
        self._since = 0
        self._left: list[float] = []  # of a blink that is under way
        self._wait = self._new_wait()

    def push(self, closure: Array) -> Array:
        """Take the next frames (T,) of closure in 0..1; return as many."""
        return np.array([self._step(float(value)) for value in closure], np.float32)

    def _step(self, closure: float) -> float:
        self._since += 1
        if closure > SHUT:
            self._since, self._left = 0, []
        elif not self._left and closure < OPEN and self._since > self._wait:
            self._left = [float(value) for value in one_blink(self._rng)]
            self._since, self._wait = 0, self._new_wait()
        return max(closure, self._left.pop(0)) if self._left else closure

    def _new_wait(self) -> float:
        return float(self._rng.uniform(*REST_S)) * FPS / self._blinks


def one_blink(rng: np.random.Generator) -> npt.NDArray[np.float64]:
    """Return (T,) the closure of a blink at 25 fps, 0..1: quickly shut, slowly opened."""
    closing, shut, opening = (rng.uniform(*span) * FPS for span in (CLOSING_S, SHUT_S, OPENING_S))
    frames = np.arange(1, np.ceil(closing + shut + opening)) - rng.uniform(0, 0.5)
    share = np.minimum(frames / closing, (closing + shut + opening - frames) / opening).clip(0, 1)
    return np.asarray(rng.uniform(*DEEPEST) * share * share * (3 - 2 * share), np.float64)
