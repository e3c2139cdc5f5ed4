"""The options of a film in three frozen objects, and the ranges they are checked against."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import Any, TypedDict

from portrait_anim.config import FPS
from portrait_anim.errors import OptionError
from portrait_anim.options.background import Background, BackgroundLike, check_background
from portrait_anim.options.checks import check_choice, check_range, check_whole, shown
from portrait_anim.options.format import Format, parse_format
from portrait_anim.options.morph import STYLES, MorphChange, MorphLike, parse_morph
from portrait_anim.options.timeline import EmotionTimeline, parse_emotion
from portrait_anim.options.which import Box, Which, check_box, check_faces

LIPS = ("auto", "actor", "voice")
CAPTION_STYLES = ("track", "burned")
GAZES = ("camera", "photo", "actor")
WEIGHT_SETS = {"default": "CC-BY-NC-4.0", "open": "CC-BY-4.0"}  # of the motion model, with their licences
DEVICES = ("auto", "cpu", "cuda", "mps")
LANDMARKERS = ("facemesh", "face-alignment")

MAX_HEAD_MOTION = 2.0  # times the natural amount
MAX_BLINKS = 3.0  # times the natural rate
MIN_FPS, MAX_FPS = 1, 60
MAX_SEED = 2**63 - 1
MIN_MAX_SIZE_PX = 64
MAX_DURATION_S = 3 * 3600.0  # of a sound, unless more is asked for; an hour needs 0.3 GB for temporary files
MIN_IDLE_S = 1.0
LONGEST_S = 1000 * 3600.0  # that can be asked for


@dataclass(frozen=True)
class PhotoOptions:
    """Which faces of a photo move, and what finds and moves them.

    Attributes:
        face: which of several, counted from the left, from 1; some as (1, 3); ``"all"``; None: the largest.
        max_size: limit of the picture's longer side in px, at least 64; None: the photo's own size.
        weights: ``"default"`` or ``"open"``.
        device: ``"auto"``, ``"cpu"``, ``"cuda"`` or ``"mps"``, for the speech nets.
        landmarker: ``"facemesh"`` or ``"face-alignment"``.
        morph: other faces that the face becomes, see :func:`portrait_anim.options.morph.parse_morph`; None: none.
        morph_style: ``"face"`` (hair, body and room stay) or ``"photo"`` (everything changes).
        background: what is behind the people, see :func:`portrait_anim.options.background.parse_background`.
        aspect: the film's width to height, as ``"9:16"``; None: the photo's own.
        fill: what a film of another shape shows: ``"crop"``, ``"blur"``, a colour ``"#202020"``, or ``"auto"`` (None).
        face_box: x, y, width and height of a face in the photo, px of the upright file: it is taken there, whatever is
            found; None: found.
        changes, behind, format: ``morph``, ``background``, ``aspect`` with ``fill``, read.

    Raises:
        OptionError: a value outside its range.
    """

    face: Which = None
    max_size: int | None = None
    weights: str = "default"
    device: str = "auto"
    landmarker: str = "facemesh"
    morph: MorphLike = None
    morph_style: str = "face"
    background: BackgroundLike = "keep"
    aspect: str | None = None
    fill: str | None = None
    face_box: Box = None
    changes: tuple[MorphChange, ...] = field(init=False, repr=False)
    behind: Background = field(init=False, repr=False)
    format: Format | None = field(init=False, repr=False)

    def __post_init__(self) -> None:
        check_choice("morph_style", self.morph_style, STYLES)
        object.__setattr__(self, "changes", parse_morph(self.morph))
        object.__setattr__(self, "behind", check_background(self.background, self.changes, self.morph_style))
        object.__setattr__(self, "format", parse_format(self.aspect, self.fill))
        check_choice("weights", self.weights, WEIGHT_SETS)
        check_choice("device", self.device, DEVICES)
        check_choice("landmarker", self.landmarker, LANDMARKERS)
        object.__setattr__(self, "face", check_faces(self.face))
        object.__setattr__(self, "face_box", check_box(self.face_box))
        if self.face is not None and self.face_box is not None:
            raise OptionError("face and face_box both say which face moves: give one of them")
        if self.max_size is not None:
            object.__setattr__(self, "max_size", check_whole("max_size", self.max_size, MIN_MAX_SIZE_PX))


@dataclass(frozen=True)
class MotionOptions:
    """How one film moves. Numbers of any type (numpy's, fractions, decimals) become Python's own.

    Attributes:
        emotion: an emotion or a timeline of them, see :func:`portrait_anim.options.parse_emotion`; None is neutral.
        head_motion: 0 (perfectly still) to 2 (lively), 1 is natural.
        blinks: 0 (none) to 3, times the natural rate.
        seed: of blinks, gaze and head motion; a whole number of at least 0.
        fps: frames/s of the film, 1 to 60.
        max_duration: s; a longer sound is refused.
        actor: a video whose face moves the photo's.
        actor_face: which face of several in it, counted from the left in the first frame that shows any, from 1; None:
            the largest.
        actor_neutral: s, when the actor's face is at rest; None: found.
        lips: what moves them: ``"actor"``, ``"voice"``, or ``"auto"``: the voice where a sound is given.
        motion: what moves the faces instead of a voice: a motion file, a ``Motion``, or a list of them, one a face.
        gaze: where the eyes look: ``"camera"``, ``"photo"`` (as in the photo, with small darts) or ``"actor"`` (as the
            actor's); None: the driver's own, which is ``"photo"`` of a voice and ``"actor"`` of an actor.
        idle: s of a silent film in which nothing moves the faces from outside: they wait, blink and breathe.
        loop: whether the film's last frame goes over into its first.
        timeline: ``emotion``, read.

    Raises:
        OptionError: a value outside its range.
    """

    emotion: str | None = None
    head_motion: float = 1.0
    blinks: float = 1.0
    seed: int = 0
    fps: float = FPS
    max_duration: float = MAX_DURATION_S
    actor: str | os.PathLike[str] | None = None
    actor_face: int | None = None
    actor_neutral: float | None = None
    lips: str = "auto"
    motion: Any = None
    gaze: str | None = None
    idle: float | None = None
    loop: bool = False
    timeline: EmotionTimeline = field(init=False, repr=False)

    @property
    def motions(self) -> tuple[Any, ...]:
        """``motion`` as a tuple; () is none."""
        if self.motion is None:
            return ()
        return tuple(self.motion) if isinstance(self.motion, (list, tuple)) else (self.motion,)

    def __post_init__(self) -> None:
        plain: dict[str, Any] = {
            "timeline": parse_emotion(self.emotion),
            "head_motion": check_range("head_motion", self.head_motion, 0, MAX_HEAD_MOTION),
            "blinks": check_range("blinks", self.blinks, 0, MAX_BLINKS),
            "fps": check_range("fps", self.fps, MIN_FPS, MAX_FPS),
            "seed": check_whole("seed", self.seed, 0, MAX_SEED),
            "max_duration": check_range("max_duration", self.max_duration, 0, LONGEST_S),
        }
        check_choice("lips", self.lips, LIPS)
        if self.gaze is not None:
            check_choice("gaze", self.gaze, GAZES)
        if self.gaze == "actor" and self.actor is None:
            raise OptionError(
                "gaze 'actor' follows an actor's eyes: name a video with --actor (actor=), or give camera or photo"
            )
        if self.actor is None and (self.actor_face, self.actor_neutral, self.lips) != (None, None, "auto"):
            raise OptionError(
                "actor_face, actor_neutral and lips are of an actor's video: name it with --actor (actor=)"
            )
        if self.actor_face is not None:
            plain["actor_face"] = check_whole("actor_face", self.actor_face, 1)
        if self.actor_neutral is not None:
            plain["actor_neutral"] = check_range("actor_neutral", self.actor_neutral, 0, LONGEST_S)
        if self.idle is not None:
            plain["idle"] = check_range("idle", self.idle, MIN_IDLE_S, self.max_duration)
            if self.actor is not None or self.motion is not None:
                raise OptionError("with idle nothing moves the face from outside: leave out --actor and --motion")
        for name, value in plain.items():
            object.__setattr__(self, name, value)
        if self.motion is not None and not self.motions:
            raise OptionError("motion is an empty list: name a motion file, or leave it out")


@dataclass(frozen=True)
class FilmOptions(MotionOptions):
    """How one film moves, how it is marked and who signs it.

    Attributes:
        label: a visible label: ``"auto"``, ``"eu"``, ``"cn"`` or a text; None for none. The machine-readable marks are
            always there.
        sign_cert: PEM certificate chain that signs the film; None for this machine's own.
        sign_key: its PEM key.
        audit_log: a file that gets a line for this film.
        save_motion: an .npz or .csv file that gets how the face moves; several faces: NAME-1.npz, NAME-2.npz, ...
        captions: an .srt, .vtt, .lrc or .json file of lines and their times.
        caption_style: ``"track"`` (of the film) or ``"burned"`` (into its pixels); None: a track, burned with karaoke.
        karaoke: whether words change their colour when they are said.
        caption_font: a font file that is tried before this machine's.

    Raises:
        OptionError: a value outside its range, or one of captions without captions.
    """

    label: str | None = None
    sign_cert: str | os.PathLike[str] | None = None
    sign_key: str | os.PathLike[str] | None = None
    audit_log: str | os.PathLike[str] | None = None
    save_motion: str | os.PathLike[str] | None = None
    captions: str | os.PathLike[str] | None = None
    caption_style: str | None = None
    karaoke: bool = False
    caption_font: str | os.PathLike[str] | None = None

    @property
    def burned(self) -> bool:
        """Whether captions are drawn into the pixels."""
        return self.karaoke or self.caption_style == "burned"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.caption_style is not None:
            check_choice("caption_style", self.caption_style, CAPTION_STYLES)
        if self.captions is None and (self.caption_style, self.karaoke, self.caption_font) != (None, False, None):
            raise OptionError("caption_style, karaoke and caption_font are of captions: name them with --captions FILE")
        if self.karaoke and self.caption_style == "track":
            raise OptionError("karaoke colours words in the picture, which a track cannot: leave out --caption-style")


class PhotoChoices(TypedDict, total=False):
    """The keywords of :class:`PhotoOptions`."""

    face: Which
    max_size: int | None
    weights: str
    device: str
    landmarker: str
    morph: MorphLike
    morph_style: str
    background: BackgroundLike
    aspect: str | None
    fill: str | None
    face_box: Box


class MotionChoices(TypedDict, total=False):
    """The keywords of :class:`MotionOptions`."""

    emotion: str | None
    head_motion: float
    blinks: float
    seed: int
    fps: float
    max_duration: float
    actor: str | os.PathLike[str] | None
    actor_face: int | None
    actor_neutral: float | None
    lips: str
    motion: Any
    gaze: str | None
    idle: float | None
    loop: bool


class FilmChoices(MotionChoices, total=False):
    """The keywords of :class:`FilmOptions`."""

    label: str | None
    sign_cert: str | os.PathLike[str] | None
    sign_key: str | os.PathLike[str] | None
    audit_log: str | os.PathLike[str] | None
    save_motion: str | os.PathLike[str] | None
    captions: str | os.PathLike[str] | None
    caption_style: str | None
    karaoke: bool
    caption_font: str | os.PathLike[str] | None


def parse_duration(text: str) -> float:
    """Read a duration as seconds, MM:SS or HH:MM:SS and return it in s.

    >>> parse_duration("90"), parse_duration("1:30"), parse_duration("2:00:00.5")
    (90.0, 90.0, 7200.5)

    Raises:
        OptionError: it is written otherwise.
    """
    parts = text.split(":")
    plain = all(part.isascii() and part.replace(".", "", 1).isdigit() for part in parts)
    if not plain or len(parts) > 3 or any("." in part for part in parts[:-1]):
        raise OptionError(f"{shown(text)} is no duration: give seconds, MM:SS or HH:MM:SS")
    return float(sum(float(part) * 60.0**power for power, part in enumerate(reversed(parts))))
