"""What a face is asked for so that as much is seen of it as is meant: its turns, and its mouth."""

from __future__ import annotations

from dataclasses import dataclass

from portrait_anim.face.state import FaceState
from portrait_anim.face.types import Face, Landmarker
from portrait_anim.render import lips, turning
from portrait_anim.render.portrait import Portrait


@dataclass(frozen=True)
class Seen:
    """How one photo's face is seen to move.

    Attributes:
        turning: how far its head turns.
        lips: how its mouth moves.
    """

    turning: turning.Turning
    lips: lips.Lips

    @classmethod
    def of(cls, portrait: Portrait, face: Face, landmarker: Landmarker | None) -> Seen:
        """Try a photo; without a landmarker the usual numbers are taken."""
        return cls(turning.measured(portrait, face, landmarker), lips.measured(portrait, face, landmarker))

    def shown(self, state: FaceState) -> FaceState:
        """Return the state to draw so that ``state`` is seen."""
        return self.lips.shown(self.turning.shown(state))
