"""How a film begins and ends: in the photo's own pose."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from portrait_anim.config import FPS
from portrait_anim.system.easing import eased

REST_S = 0.4  # fade from and to the photo's own pose at both ends


def ends_at_rest(frames: npt.NDArray[np.integer], n_frames: int | None) -> npt.NDArray[np.float64]:
    """Return (T,) 0 at both ends of a film, 1 in between, fading over ``REST_S``; None: the end is unknown."""
    near = frames if n_frames is None else np.minimum(frames, n_frames - 1 - frames)
    near = near / (REST_S * FPS)
    ramp = np.clip(near, 0, 1)
    return np.asarray(eased(ramp))
