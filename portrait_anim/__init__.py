"""Make one still photo talk or sing.

>>> from portrait_anim import animate
>>> film = animate("photo.jpg", "song.wav")  # doctest: +SKIP
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from portrait_anim.system import torch_guard as _torch_guard  # noqa: F401  notices forks from here on; imports nothing heavy
from portrait_anim.version import __version__

if TYPE_CHECKING:
    from portrait_anim.animation import Animation
    from portrait_anim.audio.spoken import say
    from portrait_anim.live.engine import LiveFace
    from portrait_anim.pipeline import Animator, animate
    from portrait_anim.provenance.verify import verify

__all__ = ["Animation", "Animator", "LiveFace", "__version__", "animate", "say", "verify"]


def __getattr__(name: str) -> Any:
    if name == "say":
        from portrait_anim.audio.spoken import say

        return say
    if name == "verify":
        from portrait_anim.provenance.verify import verify

        return verify
    if name == "LiveFace":
        from portrait_anim.live.engine import LiveFace

        return LiveFace
    if name in __all__:
        from portrait_anim import pipeline

        return getattr(pipeline, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
