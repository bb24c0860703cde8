"""Playing a suite: episodes in lockstep batches, in worker processes, with every ending accounted for."""
