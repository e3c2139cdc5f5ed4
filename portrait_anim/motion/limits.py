"""How far a head goes, whoever drives it: what one photo can show."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from portrait_anim.system.easing import bent

FREE_TURN = np.deg2rad([15.0, 25.0, 20.0])  # pitch, yaw, roll that are shown as they are
FURTHEST_TURN = np.deg2rad([18.0, 30.0, 24.0])  # what none goes beyond


def limited_turn(rotation: npt.NDArray[np.floating]) -> npt.NDArray[np.float32]:
    """Limit rotation vectors (T, 3) softly to what one photo can show."""
    return np.asarray(bent(rotation, FREE_TURN, FURTHEST_TURN - FREE_TURN), np.float32)
