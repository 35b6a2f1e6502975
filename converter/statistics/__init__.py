"""Statistics that training and evaluation share: bootstrap intervals and frontiers."""
