"""The version: everything else that names one reads it here."""

__version__ = "0.1.0"
