"""``python -m gram_core.evaluation``: the evaluate command without the server."""

import sys

from gram_core.evaluation.command import main

sys.exit(main(sys.argv[1:]))
