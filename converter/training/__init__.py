"""Trains selectors on benchmark records."""
