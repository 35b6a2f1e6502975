"""SVM: classifiers one against the rest, or one against one."""

from . import one_vs_one, one_vs_rest

ROWS = (*one_vs_rest.ROWS, *one_vs_one.ROWS)
