"""The version of the package, read by pyproject.toml and sent with every call."""

__version__ = "0.2.0"
