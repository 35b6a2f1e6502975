"""``python -m modelpick`` is the `modelpick` command."""

import sys


def main() -> None:
    """Run the command; where the runtime alone is installed, say in a line what it needs."""
    try:
        from modelpick.converter.cli.app import main as run
    except ModuleNotFoundError as missing:
        print(f"error: the command needs {missing.name}: pip install 'modelpick[converter]'", file=sys.stderr)
        sys.exit(2)
    run()


if __name__ == "__main__":
    main()
