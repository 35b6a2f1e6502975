"""Whether an artifact picks as the estimator does that it was made from."""
