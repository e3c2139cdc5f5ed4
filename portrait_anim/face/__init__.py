"""Faces in pictures: finding them, placing the mesh on them, removing their pose."""
