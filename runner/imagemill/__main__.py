"""`python -m imagemill` is `imagemill`."""

from runner.cli.main import script

if __name__ == "__main__":
    script()
