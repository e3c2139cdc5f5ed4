"""What the program asks of the machine: files, ffmpeg, threads, devices, weight files."""
