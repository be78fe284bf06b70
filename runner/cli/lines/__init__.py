"""What commands and the Python API show, as lines for people."""
