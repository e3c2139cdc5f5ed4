"""Speech that an agent's framework sends, played by a live face at the clock, with whatever has its place in it."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing
from typing import Any, Generic, TypeVar

from portrait_anim.live.clock import played_async
from portrait_anim.live.engine import LiveFace
from portrait_anim.live.frame import LiveFrame

Item = TypeVar("Item")


class Playback(Generic[Item]):
    """A live face, and items that are let out once all speech that was fed before them is played.

    All methods belong to one event loop.

    Args:
        face: nobody else takes its frames.
    """

    def __init__(self, face: LiveFace) -> None:
        self.face = face
        self._waiting: deque[tuple[int, Item]] = deque()  # at which frame of speech it is due
        self._said = 0  # frames of speech that were let out

    def feed(self, samples: Any, sample_rate: int) -> None:
        """Take speech, as :meth:`LiveFace.feed` does."""
        self.face.feed(samples, sample_rate)

    def place(self, item: Item, *, always: bool = False) -> bool:
        """Let an item wait for its turn; False: it need not wait, and is not kept (unless ``always``)."""
        due = self.face.speech_end
        if due <= self._said and not self._waiting and not always:
            return False
        self._waiting.append((due, item))
        return True

    def end_of_speech(self) -> None:
        """Say that the sentence is whole."""
        self.face.end_of_speech()

    def interrupt(self) -> list[Item]:
        """Drop all speech that was not played; return the items that waited for it."""
        self.face.interrupt()
        return self.left()

    def left(self) -> list[Item]:
        """Return the items that still wait, which are forgotten."""
        items = [item for _, item in self._waiting]
        self._waiting.clear()
        return items

    @property
    def waiting(self) -> Iterator[Item]:
        """The items that wait, in their order."""
        return (item for _, item in self._waiting)

    @property
    def said(self) -> int:
        """How many frames of speech were let out."""
        return self._said

    @property
    def done(self) -> bool:
        """Whether all that was fed is played and nothing waits."""
        return not self._waiting and self.face.speech_end <= self._said

    async def ticks(self) -> AsyncGenerator[tuple[LiveFrame, list[Item]], None]:
        """Yield frames when they are due, each with the items that come after it, without end.

        A frame that was drawn while its speech was dropped is left out.
        """
        async with aclosing(played_async(self.face)) as frames:
            async for frame in frames:
                self._said = max(self._said, frame.said)
                if frame.turn == self.face.turn or frame.state != "speaking":
                    yield frame, self._due()

    def _due(self) -> list[Item]:
        items = []
        while self._waiting and self._waiting[0][0] <= self._said:
            items.append(self._waiting.popleft()[1])
        return items
