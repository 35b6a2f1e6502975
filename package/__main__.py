"""``python -m modelpick`` is the `modelpick` command."""

from modelpick.converter.cli.app import main

main()
