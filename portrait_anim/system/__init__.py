"""Access to the machine: files, ffmpeg, threads, devices, weight files."""
