"""``python -m modelpick.converter`` is the `modelpick` command."""

from .cli import main

main()
