"""The version of the installed package."""

from importlib.metadata import PackageNotFoundError, version

try:
    VERSION = version("lamofc-store")
except PackageNotFoundError:  # a bare checkout on the path
    VERSION = "0+unknown"
