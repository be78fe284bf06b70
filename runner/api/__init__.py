"""Python's face of the use cases: what `runner` offers, with typed options and values to look at."""
