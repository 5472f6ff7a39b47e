"""``python -m gram_core.training``: the train command without the server."""

import sys

from gram_core.training.command import main

sys.exit(main(sys.argv[1:]))
