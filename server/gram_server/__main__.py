"""The console script ``gram-server``: handles SIGTERM before the slow imports."""

from gram_server.early_stop import stop_early


def main() -> None:
    stop_early()
    from gram_server.cli import main as run

    run(prog_name="gram-server")


if __name__ == "__main__":
    main()
