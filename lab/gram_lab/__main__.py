"""``python -m gram_lab``: the command line where nothing is installed but torch and numpy."""

import sys

from gram_lab.cli import main

sys.exit(main())
