"""MLP: the class of the highest probability by a neural network. Of equal probabilities the last class is picked."""

from functools import partial

from ..artifact.tables import Specs
from ..schema import Table
from ..search.best_choice import SUBGRAPHS
from ..search.margins import MARGIN_SPEC
from .base import CANDIDATES, Row, Rows
from .choices import CLASSIFIERS, Choices

TABLES: Specs = {Table.MARGIN: MARGIN_SPEC}
_ROW = Row(partial(Choices, CLASSIFIERS._replace(last=True)), CANDIDATES, TABLES, SUBGRAPHS)

ROWS: Rows = {("mlp", "native/1"): _ROW, ("mlp", "native/2"): _ROW}
