"""Films in and out, through the bundled ffmpeg."""
