"""``python -m portrait_anim``: the same as ``portrait-anim``."""

from __future__ import annotations

import sys

from portrait_anim.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
