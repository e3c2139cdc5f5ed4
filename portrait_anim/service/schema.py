"""The OpenAPI schema of a request, read off the options' own classes: names, types, defaults and what they say."""

from __future__ import annotations

import dataclasses
import re
import typing
from typing import Any

from pydantic import TypeAdapter

from portrait_anim.options import FilmOptions, MotionOptions, PhotoOptions
from portrait_anim.service.requests import CHOICES

_FILE = {"type": "string", "format": "binary"}
_DATA = {"type": "string", "description": "base64, or a data URL"}
_WRITTEN = {  # told otherwise than in Python
    "face": "which of several faces, counted from the left, from 1: 2, or 1,3, or all",
    "face_box": "x,y,width,height of a face in the photo, upright, px: it is taken there, whatever is found",
    "morph": "NAME@SECOND or NAME@SECOND:LENGTH of photos sent as morph_photo, several with commas",
    "fps": "frames/s of the film, 1 to 60; also as 30000/1001",
}


def option_schemas() -> dict[str, dict[str, Any]]:
    """Return the JSON schema of every option that a client may send."""
    told = {**_told(PhotoOptions), **_told(MotionOptions), **_told(FilmOptions), **_WRITTEN}
    found = {}
    for options in (PhotoOptions, FilmOptions):
        types = typing.get_type_hints(options)
        for part in dataclasses.fields(options):
            if part.name in CHOICES:
                kind: Any = str | None if part.name == "morph" else types[part.name]
                schema = TypeAdapter(kind).json_schema()
                found[part.name] = {**schema, "default": part.default, "description": told[part.name]}
    return found


def _told(options: type) -> dict[str, str]:
    """Return what a class's docstring says of its attributes, without marks for Sphinx."""
    text = (options.__doc__ or "").partition("Attributes:")[2].partition("Raises:")[0]
    entries = re.split(r"^ {8}(\w+): ", text, flags=re.MULTILINE)[1:]
    pairs = zip(entries[::2], entries[1::2], strict=True)
    return {name: " ".join(re.sub(r"``|, see :func:`[^`]*`", "", said).split()) for name, said in pairs}


def request_body() -> dict[str, Any]:
    """Return what ``POST /v1/films`` takes, for OpenAPI."""
    text = {"type": "string", "description": "a text instead of a sound; lines as hers: Good morning. speak in turn"}
    voices = {"type": "array", "items": {"type": "string"}, "description": "of say: NAME, or WHO=NAME in a dialogue"}
    choices = {**option_schemas(), "say": text, "voice": voices}

    def body(one: dict[str, Any], named: dict[str, Any]) -> dict[str, Any]:
        many = {"type": "array", "items": one}
        files = {"photo": one, "audio": many, "actor": one, "motion": many, "morph_photo": named}
        return {"schema": {"type": "object", "required": ["photo"], "properties": {**files, **choices}}}

    content = {
        "multipart/form-data": body(_FILE, {"type": "array", "items": _FILE}),
        "application/json": body(_DATA, {"type": "object", "additionalProperties": _DATA}),
    }
    return {"requestBody": {"required": True, "content": content}}
