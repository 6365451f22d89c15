"""The parts of `gpu-check` and what runs them. Nothing but Python's standard library, for the host may have no more."""
