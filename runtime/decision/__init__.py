"""How outcomes become a pick: pure numpy, and nothing above it."""
