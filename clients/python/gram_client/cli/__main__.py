"""``python -m gram_client.cli`` is ``gram``."""

from gram_client.cli.group import main

main(prog_name="gram")
