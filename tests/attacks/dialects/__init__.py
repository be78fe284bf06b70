"""One manifest through every dialect that the simulator speaks, and kills in the midst of its tasks (G7)."""
