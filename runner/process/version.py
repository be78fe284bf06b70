"""The version, from the installed distribution; `0+source` when run from a checkout that is not installed."""

from importlib.metadata import PackageNotFoundError, version

try:
    VERSION = version("imagemill")
except PackageNotFoundError:
    VERSION = "0+source"
