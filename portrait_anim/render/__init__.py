"""Pixels: the photo warped by face motion."""
