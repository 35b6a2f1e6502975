"""The `modelpick` command."""
