"""Drivers, which move faces: by a recording, or by live sound."""
