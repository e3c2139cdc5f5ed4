"""A face in real time: speech in, frames and sound in step out."""
