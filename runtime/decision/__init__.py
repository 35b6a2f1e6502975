"""How outcomes become a pick: pure numpy, which imports nothing above it."""
