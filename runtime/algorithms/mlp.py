"""MLP: the class of the highest probability by a neural network. Of equal ones the last is picked."""

from functools import partial

from ..search.margins import SUBGRAPHS, search_tables
from .base import CANDIDATES, Row, Rows
from .choices import CLASSIFIERS, Choices

_ROW = Row(partial(Choices, CLASSIFIERS._replace(last=True)), CANDIDATES, search_tables("choices"), SUBGRAPHS)

ROWS: Rows = {("mlp", "native/1"): _ROW, ("mlp", "native/2"): _ROW}
