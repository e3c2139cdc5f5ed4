"""What moves a face: a recording, sound that still comes, saved motion."""
