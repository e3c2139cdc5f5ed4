"""``python -m portrait_anim``: the same as ``portrait-anim``."""

from __future__ import annotations

from portrait_anim.cli.entry import portrait_anim

if __name__ == "__main__":
    portrait_anim()
