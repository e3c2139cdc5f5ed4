"""Many films from a list of jobs: on this machine's cores, or on a cluster's."""
