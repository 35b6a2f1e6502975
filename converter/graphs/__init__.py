"""What graphs of several algorithms share; each algorithm writes its own, see `modelpick.converter.algorithms`."""
