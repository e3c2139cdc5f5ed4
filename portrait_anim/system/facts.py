"""The inputs and weight files that a part of the program used, for the film's manifest."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Facts:
    """Inputs and weight files; every driver and scene knows its own.

    Attributes:
        sources: what it was made from: files, as they were when they were read
            (:class:`portrait_anim.system.fingerprint.Fingerprint`), or pixels and samples as they were given.
        models: name -> SHA-256 of every weight file used.
        more: sources beside photo and sound by what they are: ``"actor"`` (a video), ``"morph"`` (further photos),
            ``"motion"`` (a motion file), ``"captions"``, ``"background"`` (a picture or video).
    """

    sources: tuple[Any, ...] = ()
    models: Mapping[str, str] = field(default_factory=dict)
    more: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)
