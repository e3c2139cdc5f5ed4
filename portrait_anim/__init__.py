"""Make one still photo talk or sing.

>>> from portrait_anim import animate
>>> film = animate("photo.jpg", "song.wav")  # doctest: +SKIP
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from portrait_anim.pipeline import Animation, Animator, animate

__version__ = "0.1.0"
__all__ = ["Animation", "Animator", "animate"]


def __getattr__(name: str) -> Any:  # noqa: ANN401 - imported when first asked for, so that --help needs no torch
    if name in __all__:
        from portrait_anim import pipeline

        return getattr(pipeline, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
