"""Statistics that training and evaluation share: intervals, frontiers, folds, and estimates from logs."""
