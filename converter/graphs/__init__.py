"""Parts that graphs of several families share; families write their graphs in `modelpick.converter.algorithms`."""
