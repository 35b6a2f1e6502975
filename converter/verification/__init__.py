"""Verification: whether an artifact picks as its estimator does."""
