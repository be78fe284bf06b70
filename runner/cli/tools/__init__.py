"""Commands that work on no output folder: they help to begin, to look something up, and to run without a service."""
