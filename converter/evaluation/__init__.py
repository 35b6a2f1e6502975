"""What selectors achieve on held-out records."""
