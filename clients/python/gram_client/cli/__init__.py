"""The console script ``gram``: answers on stdout, talk on stderr, exit 0, 1 or 2.

0: there is a solution of every puzzle; 1: there is none of one; 2: a call could not be made or was
refused. Boards on a terminal, JSON lines where the output goes elsewhere.
"""

from gram_client.cli.group import main

__all__ = ["main"]
