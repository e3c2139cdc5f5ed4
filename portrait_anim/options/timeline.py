"""Which emotion a film shows at which time: ``happy``, ``sad:0.6``, ``happy@0-4,sad:0.6@4-``."""

from __future__ import annotations

import itertools
import math
import re
from dataclasses import dataclass

from portrait_anim.errors import OptionError
from portrait_anim.options.checks import shown

EMOTIONS = ("neutral", "happy", "sad", "angry", "surprised", "fearful", "disgusted")
AUTO = "auto"
MAX_STRENGTH = 1.5
HELP = f"one of {', '.join(EMOTIONS)}, auto; with a strength happy:0.6; with times in seconds happy@0-4,sad:0.6@4-"

_NUMBER = r"\d+(?:\.\d*)?|\.\d+"
_PART = re.compile(
    rf"(?P<label>[a-z]+)(?::(?P<strength>{_NUMBER}))?(?:@(?P<start>{_NUMBER})-(?P<end>{_NUMBER})?)?", re.ASCII
)


@dataclass(frozen=True)
class EmotionSegment:
    """One emotion for a while.

    Attributes:
        label: one of :data:`EMOTIONS`, or ``"auto"``.
        strength: 0 to 1.5; 1 is clear and natural.
        start_s, end_s: from when to when, seconds of the film; the end may be infinite.
    """

    label: str
    strength: float = 1.0
    start_s: float = 0.0
    end_s: float = math.inf


@dataclass(frozen=True)
class EmotionTimeline:
    """Emotions in the order of time, without overlaps; neutral in between.

    Attributes:
        segments: the emotions, each with its time.
    """

    segments: tuple[EmotionSegment, ...] = ()

    @property
    def neutral(self) -> bool:
        """Whether no emotion is ever shown."""
        return all(part.label == "neutral" or part.strength == 0 for part in self.segments)

    @property
    def needs_voice(self) -> bool:
        """Whether a part follows the voice."""
        return any(part.label == AUTO and part.strength > 0 for part in self.segments)


def parse_emotion(text: str | None) -> EmotionTimeline:
    """Read an emotion or a timeline of them; ``None`` is neutral.

    >>> parse_emotion("happy@0-4,sad:0.6@4-").segments[1]
    EmotionSegment(label='sad', strength=0.6, start_s=4.0, end_s=inf)

    Raises:
        OptionError: anything else, in one line.
    """
    if text is None:
        return EmotionTimeline()
    if not isinstance(text, str) or not text.strip():
        raise OptionError(f"emotion {shown(text)} is empty: give {HELP}")
    parts = [_segment(part.strip(), text) for part in text.split(",")]
    parts.sort(key=lambda part: part.start_s)
    for before, after in itertools.pairwise(parts):
        if after.start_s < before.end_s:
            raise OptionError(
                f"emotion {shown(text)}: {before.label} and {after.label} overlap at {after.start_s:g} s: "
                "give each its own time, as in happy@0-4,sad@4-"
            )
    return EmotionTimeline(tuple(parts))


def _segment(part: str, text: str) -> EmotionSegment:
    """Read ``label[:strength][@start-[end]]``."""
    where = "" if part == text.strip() else f" in {shown(text)}"
    found = _PART.fullmatch(part.lower())
    if found is None:
        raise OptionError(f"emotion {shown(part)}{where} cannot be read: give {HELP}")
    label = found["label"]
    if label not in (*EMOTIONS, AUTO):
        raise OptionError(f"unknown emotion {shown(label)}{where}: choose one of {', '.join(EMOTIONS)}, {AUTO}")
    strength = float(found["strength"] or 1)
    if not strength <= MAX_STRENGTH:
        raise OptionError(f"emotion strength {strength:g}{where} is out of range: give 0 to {MAX_STRENGTH:g}")
    start, end = float(found["start"] or 0), float(found["end"] or math.inf)
    if not start < end:
        raise OptionError(f"emotion {shown(part)}{where} ends before it starts: give times as in happy@0-4")
    return EmotionSegment(label, strength, start, end)
