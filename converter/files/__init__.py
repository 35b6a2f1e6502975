"""Files: whole reads, atomic writes, queries, bulk selections, the hub."""
