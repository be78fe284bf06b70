"""What should happen next: pure functions from values to values. Imports `schemas` only."""

IMAGEMILL_PACKAGE = "jobs"
