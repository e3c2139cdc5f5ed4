"""What a page may ask for, read from its messages and checked."""

from __future__ import annotations

import base64
import binascii
import io
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from PIL import Image as PillowImage
from PIL import UnidentifiedImageError

from portrait_anim.errors import LimitError, OptionError, PhotoError
from portrait_anim.options import parse_emotion

MICROPHONE, CAMERA, FILE = "microphone", "camera", "file"
SOURCES = (MICROPHONE, CAMERA, FILE)  # what drives a face
GAZES = ("camera", "photo")
PHOTO_FORMATS = ("JPEG", "PNG", "WEBP")  # others, such as EPS, run other programs
PHOTO_BYTES = 12_000_000
PHOTO_PIXELS = 50_000_000
OFFER_LETTERS = 200_000  # of a session description; browsers send under 10 000
MESSAGE_BYTES = PHOTO_BYTES * 4 // 3 + OFFER_LETTERS + 10_000
KNOWN = {"token", "offer", "source", "photo", "emotion", "gaze", "recalibrate"}


@dataclass(frozen=True)
class Wishes:
    """What shall be different; None: as it is.

    Attributes:
        photo: a picture, not yet decoded.
        emotion: a name with a strength, as ``"happy:0.7"``.
        gaze: ``"camera"`` or ``"photo"``.
        recalibrate: learn the user's resting face anew.
    """

    photo: PillowImage.Image | None = None
    emotion: str | None = None
    gaze: str | None = None
    recalibrate: bool = False

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> Wishes:
        """Read them from a message.

        Raises:
            OptionError: an unknown field, or a value outside its range.
            PhotoError: the photo is no picture.
            LimitError: it is too large.
        """
        if unknown := sorted(set(given) - KNOWN):
            raise OptionError(f"unknown field {unknown[0]!r}: send {', '.join(sorted(KNOWN))}")
        emotion, gaze = _text(given, "emotion"), _text(given, "gaze")
        if emotion is not None and len(parse_emotion(emotion).segments) > 1:
            raise OptionError("a live face has one emotion at a time")
        if gaze is not None and gaze not in GAZES:
            raise OptionError(f"gaze {gaze!r} is unknown: give {' or '.join(GAZES)}")
        photo = _text(given, "photo")
        return cls(None if photo is None else _picture(photo), emotion, gaze, given.get("recalibrate") is True)


def offer_of(given: Mapping[str, Any], sources: tuple[str, ...]) -> tuple[str, str]:
    """Return the session description that a page offers, and what shall drive the face.

    Args:
        given: the message.
        sources: that are there.

    Raises:
        OptionError: they are missing or wrong.
        LimitError: the description is too long.
    """
    offer, source = _text(given, "offer"), _text(given, "source")
    if offer is None or not offer.startswith("v=0"):
        raise OptionError("offer is no session description")
    if len(offer) > OFFER_LETTERS:
        raise LimitError(f"the offer is longer than {OFFER_LETTERS} letters")
    if source not in sources:
        raise OptionError(f"source {source!r} is not there: give {' or '.join(sources)}")
    return offer, source


def _text(given: Mapping[str, Any], name: str) -> str | None:
    value = given.get(name)
    if value is not None and not isinstance(value, str):
        raise OptionError(f"{name} is no text")
    return value


def _picture(text: str) -> PillowImage.Image:
    """Open a picture given as base64; its size is checked before it is decoded."""
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as e:
        raise PhotoError("the photo is not base64") from e
    if len(data) > PHOTO_BYTES:
        raise LimitError(f"the photo has more than {PHOTO_BYTES // 1_000_000} MB: send a smaller one")
    try:
        picture = PillowImage.open(io.BytesIO(data), formats=PHOTO_FORMATS)
    except (UnidentifiedImageError, OSError, ValueError, PillowImage.DecompressionBombError) as e:
        raise PhotoError("that file is no picture that can be read: send JPEG, PNG or WebP") from e
    if picture.width * picture.height > PHOTO_PIXELS:
        raise LimitError(f"the photo has more than {PHOTO_PIXELS // 1_000_000} megapixels: send a smaller one")
    return picture
