"""HierShrink: means of a fine cluster, shrunk to a coarse one."""

from .rows import ROWS

__all__ = ["ROWS"]
