"""Compares the outputs of an artifact's whole graph, which other languages run, with its estimator.

The runtime runs subgraphs, and computes in numpy what is faster there. Clients that are written from docs/artifact.md
run the whole graph. Therefore the outputs that the page promises are compared with the estimator here.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from modelpick.runtime.algorithms import format_1
from modelpick.runtime.loading import Contents
from modelpick.runtime.schema import Input, Table
from modelpick.runtime.selector import CHUNK_QUERIES, CHUNK_VALUES
from modelpick.runtime.session import Subgraph, open_session, runner

from ..algorithms.base import Estimator, Matrix
from ..algorithms.row import TOLERANCE

# All outputs; onnxruntime packs no copies of KNN's rows, since there are only a few runs.
WHOLE = Subgraph(unpacked_with=Table.K)
# Inputs by which a caller sets the number of candidates, including the names that older artifacts have for them.
ALIASES = {Input.CANDIDATES: (Input.CANDIDATES, format_1.KEPT)}


def differing_outputs(
    name: str, contents: Contents, estimator: Estimator, queries: Matrix
) -> dict[int, tuple[str, str]]:
    """Return the queries for which an output of the whole graph is wrong: row -> (the artifact's, the estimator's)."""
    run = runner(open_session(name, contents.model, None, None, WHOLE, contents.tables))

    def ask(outputs: Sequence[str], some: Matrix, /, **counts: int) -> list[npt.NDArray[Any]]:
        feeds: dict[str, npt.NDArray[Any]] = {Input.FEATURES: some}
        for asked, count in counts.items():
            inputs = [alias for alias in ALIASES.get(asked, (asked,)) if alias in contents.tables]
            feeds |= dict.fromkeys(inputs, np.array([count]))
        return run(outputs, feeds)

    wrong: dict[int, tuple[str, str]] = {}
    chunk = max(CHUNK_QUERIES, CHUNK_VALUES // contents.metadata.values_per_query)
    for first in range(0, len(queries), chunk):
        for output, found, expected in estimator.row.hold(estimator, queries[first : first + chunk], ask):
            for row, pair in _differing(output, found, expected).items():
                wrong.setdefault(first + row, pair)
    return wrong


def _differing(output: str, found: npt.NDArray[Any], expected: npt.NDArray[Any]) -> dict[int, tuple[str, str]]:
    """Return the rows in which two arrays differ, each with its first values that differ."""
    if found.shape != expected.shape:
        pair = f"output {output} of shape {found.shape}", f"{expected.shape}"
        return dict.fromkeys(range(len(expected)), pair)
    if np.issubdtype(expected.dtype, np.floating):
        differs = ~np.isclose(found, expected, rtol=TOLERANCE, atol=TOLERANCE, equal_nan=True)
    else:
        differs = found != expected
    rows: dict[int, tuple[str, str]] = {}
    for row, *place in np.argwhere(differs).tolist():
        index = (row, *place)
        rows.setdefault(row, (f"output {output} {found[index]}", f"{expected[index]}"))
    return rows
