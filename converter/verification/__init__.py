"""Holds artifacts against the estimators that they were made from."""
