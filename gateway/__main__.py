"""``python -m modelpick.gateway`` is ``modelpick serve``, where the converter is not installed."""

from .command import main

main()
