"""More or fewer blinks than the net makes: whole ones are taken out of the lids' track or put into it.

Asked for other rates the net itself stops at about twice the natural one and does not go below a fifth of it. So it is
always asked for the natural rate, and its blinks are counted: below 1 only a share of them stays, evenly chosen; above
1 others are put into the gaps between them, as many as the net's own make due.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from portrait_anim.config import FPS

Array = npt.NDArray[np.float32]

SHUT = 0.5  # closure that makes a blink of what the lids do
OPEN = 0.25  # closure below which a blink is over
DELAY = 30  # frames (1.2 s) by which lids are shown later; a longer closure is no blink and stays as it is
APART = 5  # frames (.2 s) at least between a blink that is put in and others: lids never shut twice at once
RISE = 6  # frames in which lids shut at the latest
NATURAL_S = 2.2  # between blinks, before any were counted
CLOSING_S, SHUT_S, OPENING_S = (0.07, 0.10), (0.02, 0.06), (0.14, 0.20)  # of a blink that is put in, at least, at most
DEEPEST = (0.9, 1.0)  # its closure
GOLDEN = (5**0.5 - 1) / 2  # multiples of it, without their whole parts, lie evenly in 0..1


class BlinkPacer:
    """Brings the lids' track to a multiple of its own blinks, frame by frame, ``DELAY`` frames later.

    Args:
        blinks: over 0, to 3; on average the track then holds so many times its own blinks.
        seed: of which ones stay and where others are put in.
    """

    def __init__(self, blinks: float, seed: int) -> None:
        self._blinks, self._rng = blinks, np.random.default_rng([seed, 11])
        self._shown = [0.0] * DELAY  # what will be shown, the oldest frame first
        self._busy = [False] * DELAY  # where a blink is shown
        self._since_open = 0  # frames since the lids were open
        self._shuts = 0  # times they shut since then
        self._before = 0.0
        self._seen = self._own = 0  # frames and blinks of the track itself
        # due at the start: on average what is still due at the end; over neighbouring seeds evenly spread
        self._due = (seed * GOLDEN) % 1 * (max(1.0, blinks - 1) if blinks > 1 else 1.0)
        self._next = self._new_blink()
        self._not_before = int(self._rng.uniform(0, self._period))

    @property
    def _period(self) -> float:
        """Frames from one blink to the next that the multiple asks for, by what was seen so far."""
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
        """The net's blink is over: it stays or goes, and makes others due."""
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
        """Put a blink where the next one may be, if there is room."""
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
        """Choose how long after a blink's ``end`` none is put in: by chance, less where several are due."""
        mean = max(APART, 0.6 * (self._period - len(self._next)) / max(1.0, self._due))
        self._not_before = end + round(self._rng.uniform(APART, 2 * mean - APART))

    def _new_blink(self) -> list[float]:
        """Return the closure of a blink, frame by frame: quickly shut, slowly opened."""
        closing, shut, opening = (self._rng.uniform(*span) * FPS for span in (CLOSING_S, SHUT_S, OPENING_S))
        frames = np.arange(1, np.ceil(closing + shut + opening)) - self._rng.uniform(0, 0.5)
        share = np.minimum(frames / closing, (closing + shut + opening - frames) / opening).clip(0, 1)
        return [float(value) for value in self._rng.uniform(*DEEPEST) * share * share * (3 - 2 * share)]
