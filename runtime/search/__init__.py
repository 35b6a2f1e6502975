"""Exact search: the proofs that a search in float32 needs."""
