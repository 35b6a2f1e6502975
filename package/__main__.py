"""``python -m modelpick`` is the `modelpick` command."""

import sys
from collections.abc import Callable
from functools import partial

SERVE = "serve"


def main() -> None:
    """Run the command; where an extra is missing that it needs, say so in a line."""
    try:
        run = _command()
    except ModuleNotFoundError as missing:
        what, extra = ("the gateway", "gateway") if sys.argv[1:2] == [SERVE] else ("the command", "converter")
        print(f"error: {what} needs {missing.name}: pip install 'modelpick[{extra}]'", file=sys.stderr)
        sys.exit(2)
    run()


def _command() -> Callable[[], None]:
    """Return the command; without the converter's libraries, the gateway still serves."""
    try:
        from modelpick.converter.cli.app import main as run
    except ModuleNotFoundError:
        if sys.argv[1:2] != [SERVE]:
            raise
        from modelpick.gateway.command import main as serve

        return partial(serve, f"modelpick {SERVE}", sys.argv[2:])
    return run


if __name__ == "__main__":
    main()
