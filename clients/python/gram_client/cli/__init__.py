"""The console script ``gram``: answers on stdout, messages on stderr, exit 0, 1 or 2.

0: every puzzle has a solution; 1: one has none; 2: a call could not be made or was refused.
Boards on a terminal, JSON lines elsewhere.
"""

from gram_client.cli.group import main

__all__ = ["main"]
