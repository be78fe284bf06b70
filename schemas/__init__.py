"""What things are: frozen values, closed enums and tables. Imports nothing of `jobs` or `runner`."""

IMAGEMILL_PACKAGE = "schemas"
