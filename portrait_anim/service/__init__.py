"""Films made for others: a queue of jobs on the disk, processes that make them, and the HTTP service over it."""
