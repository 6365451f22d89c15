"""The parts of `gpu-check` and their runner. Uses only Python's standard library: the host may have nothing else."""
