"""HierShrink: means of a fine cluster, shrunk to the means of a coarse one."""

from .rows import ROWS

__all__ = ["ROWS"]
