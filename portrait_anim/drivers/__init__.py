"""Drivers, which move faces: by a recording, by live sound, by an actor's video, by saved motion."""
