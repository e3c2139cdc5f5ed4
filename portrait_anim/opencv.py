"""The one place that imports OpenCV."""

from __future__ import annotations

import cv2

__all__ = ["cv2"]
