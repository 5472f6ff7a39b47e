"""The console script ``gram-server``: can be stopped from its first moment on."""

from gram_server.early_stop import stop_early


def main() -> None:
    """Run the command line."""
    stop_early()
    from gram_server.cli import main as run

    run(prog_name="gram-server")


if __name__ == "__main__":
    main()
