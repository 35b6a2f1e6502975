"""``python -m modelpick.converter`` is the `modelpick` command."""

from .cli.app import main

main()
