"""``python -m gram_core.puzzles``: the make-puzzles command without the server."""

import sys

from gram_core.puzzles.command import main

sys.exit(main(sys.argv[1:]))
