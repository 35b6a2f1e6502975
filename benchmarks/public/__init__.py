"""Compares modelpick with published routers on the records that they were measured on; see benchmarks/README.md."""
