"""How sharp and how noisy a face is in the photo, so that what is drawn into it can be made alike."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from portrait_anim.render.scene import Image
from portrait_anim.system.opencv import cv2

Array = npt.NDArray[np.float32]

LEAST_PX = 8  # px, side of the looked-at box at least
EDGE_REACH = 0.03  # IOD to either side of an edge within which its full height is reached
EDGE_PERCENTILE = 98  # slope from which on a pixel counts as lying on one of the strongest edges
BLUR_SHARE, BLUR_LESS = (
    0.8,
    0.4,
)  # the blur is this share of those edges' width, less so many px
LEAST_BLUR_PX = 0.35
MOST_BLUR, MOST_BLUR_PX = 0.02, 0.5  # IOD, or px where that is more
MOST_NOISE = 6.0  # grey levels
MAD = 0.6745  # median absolute value of noise whose standard deviation is 1
KERNEL_GAIN = 6  # standard deviation of noise after Immerkaer's kernel, over that before it
EDGE_WIDTH = 2.5066  # sqrt(2 pi): height over slope of an edge whose blur is 1 px


def sharpness(pixels: Image, xy: Array, scale: float) -> tuple[float, float]:
    """Return the blur (Gaussian deviation, px) and the noise (standard deviation, grey levels) of the face.

    Args:
        pixels: (H, W, 3) the photo.
        xy: (478, 2) px, the landmarks.
        scale: px an IOD.
    """
    height, width = pixels.shape[:2]
    x0, y0 = (int(np.clip(v, 0, limit - LEAST_PX)) for v, limit in zip(xy.min(0), (width, height), strict=True))
    x1, y1 = int(min(width, max(xy[:, 0].max(), x0 + LEAST_PX))), int(min(height, max(xy[:, 1].max(), y0 + LEAST_PX)))
    grey = cv2.cvtColor(np.ascontiguousarray(pixels[y0:y1, x0:x1]), cv2.COLOR_RGB2GRAY).astype(np.float32)
    # noise: what is left by a kernel that gives 0 on flat areas and straight edges (Immerkaer 1996)
    kernel = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float32)
    noise = float(np.median(np.abs(cv2.filter2D(grey, -1, kernel)))) / MAD / KERNEL_GAIN
    # blur: an edge of height h, blurred by a Gaussian of deviation sigma, has the slope h / (sigma sqrt(2 pi))
    slope = np.hypot(cv2.Sobel(grey, cv2.CV_32F, 1, 0) / 8, cv2.Sobel(grey, cv2.CV_32F, 0, 1) / 8)
    size = 2 * max(2, round(EDGE_REACH * scale)) + 1
    kernel_box = np.ones((size, size), np.uint8)
    height_of = cv2.dilate(grey, kernel_box) - cv2.erode(grey, kernel_box)
    strong = slope >= np.percentile(slope, EDGE_PERCENTILE)
    sigma = float(np.median(height_of[strong] / np.maximum(slope[strong], 1e-3))) / EDGE_WIDTH
    most = max(MOST_BLUR * scale, MOST_BLUR_PX)
    return float(np.clip(BLUR_SHARE * sigma - BLUR_LESS, LEAST_BLUR_PX, most)), min(noise, MOST_NOISE)
