"""What each algorithm makes of the outputs of its graph."""
