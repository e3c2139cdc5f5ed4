"""Faces: finding them, their mesh, removing their pose."""
