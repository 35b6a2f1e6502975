"""The row of the table: all that the converter knows of an algorithm with one version of its semantics."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

import numpy as np
import numpy.typing as npt
from msgspec import Struct

from modelpick.runtime import Objective

from ..files.io import Contents
from ..formats.distinct import Names
from ..formats.outcomes import Settings, Training
from ..graphs.builder import Graph
from .base import Estimator, Matrix

# Distances between rows that are measured, to rank others among them, and the fewest rows that they are measured from.
DISTANCES, FEWEST = 2**20, 128
# Scores and distances are float64 sums in different orders: they may differ by this, relative to 1 or more.
TOLERANCE = 1e-9
# What `modelpick.runtime.Selector.explain` returns for a query.
Explanation = Mapping[str, Any]
F = TypeVar("F", bound=Struct)
E = TypeVar("E", bound=Estimator)


class Semantics(StrEnum):
    """The rules by which a model picks, without their versions."""

    native = "native"
    """As the original library does."""
    queries = "queries"
    """KNN: the neighbours are the nearest queries, each with the outcomes of all its models."""
    trainer = "trainer"
    """As the original's training code predicts: KNN by cosine distance, SVM by the SVC in the file."""


class Option(NamedTuple):
    """An option of the user for building an estimator; artifacts record it under its name."""

    name: str
    expected: str
    """The values that it takes, and for which models, in words."""
    is_valid: Callable[[Any], bool]


class Probes(NamedTuple):
    """Vectors of a model, from which `modelpick.converter.verification.probes.made_queries` makes queries."""

    vectors: Matrix
    """Float64, shape (n, d)."""
    owners: npt.NDArray[Any]
    """The owner of each vector, such as its model, shape (n,): queries between different owners are the hardest."""


class Answer(NamedTuple):
    """The scores and distances that one side computes for a query."""

    scores: Matrix
    """Scores, shape (n_models,), in the estimator's order of models; minus infinity for models without a score."""
    distances: Matrix
    """Distances to the neighbours or to the centroid, shape (k,) or (1,); empty where there are none."""


class Expected(NamedTuple):
    """The artifact's explanation of a query, and the estimator's expectation.

    Where float64's rounding decides, the estimator follows the artifact.
    """

    explained: Answer
    expected: Answer
    models: set[str]
    """Models that may be picked: their scores are the highest within float64's roundings."""
    tied: bool
    """Whether rounding decides."""


class WholeGraph(Protocol):
    """Runs the whole graph of an artifact, as other languages do."""

    def __call__(self, outputs: Sequence[str], queries: Matrix, /, **counts: int) -> list[npt.NDArray[Any]]:
        """Return outputs for queries, float64, (b, d); ``counts`` overrides inputs, such as ``k=1``."""


class Held(NamedTuple):
    """An output of the whole graph for some queries, and the estimator's expectation.

    Where float64's rounding decides, the estimator follows the artifact.
    """

    output: str
    found: npt.NDArray[Any]
    """Shape (b, ...)."""
    expected: npt.NDArray[Any]
    """Of the same shape."""


class Trial(NamedTuple):
    """A setting that tuning tries, and its picks for the held-out queries."""

    settings: Settings
    pick: Callable[[Objective], npt.NDArray[np.int64]]
    """Takes an objective, which matters only where outcomes are predicted; returns indices of models, (n_held_out,)."""
    predicted: Matrix | None = None
    """Predicted outcomes of the benchmark's models, (n_held_out, n_kinds, n_models), NaN where unknown; None where
    nothing is predicted."""


def fixed(settings: Settings, picked: npt.NDArray[np.int64]) -> Trial:
    """Return a trial whose picks do not depend on the objective."""
    return Trial(settings, lambda objective: picked)


@dataclass(frozen=True)
class Row(Generic[F, E]):
    """An algorithm with one version of one of its semantics."""

    algorithm: str
    """Name of the algorithm in the JSON."""
    semantics: str
    """One of `Semantics` and its version, ``native/1``."""
    form: type[F]
    """The form that mirrors the JSON."""
    load: Callable[..., E]
    """Checks a form, and returns the fitted estimator. Takes the form, its `Source`, the `Reader` of its vectors, and
    the given options by name. May edit `Source.fields`, which hold the form's fields."""
    estimator: type[E]
    """Class of the estimator; its ``semantics`` name this row."""
    outputs: Mapping[str, str] | Callable[[E], Mapping[str, str]]
    """Outputs of the graph -> their type, one of `modelpick.converter.graphs.builder.KINDS`; or returns them for an
    estimator."""
    graph: Callable[[Graph, E, str, dict[str, str]], None]
    """Writes the graph of an estimator: takes the name of the features, and the full name of each output."""
    describe: Callable[[E], dict[str, Any]]
    """Returns the metadata entries that only this algorithm has."""
    stored_rows: Callable[[E], list[int]]
    """Returns the row of each feature vector of the JSON in the initializers of `Stored`, one below the other."""
    probes: Callable[[E], Probes]
    """Returns vectors to make queries from."""
    expect: Callable[[E, Matrix, Sequence[Explanation]], Iterator[Expected]]
    """Yields what the estimator expects of queries, float64, (b, d), with what the explanations say of each."""
    hold: Callable[[E, Matrix, WholeGraph], Iterator[Held]]
    """Yields each output that docs/artifact.md promises, for queries, float64, (b, d)."""
    distances: Callable[[E], Matrix] | None = None
    """Returns distances from some vectors to all, infinite to themselves, shape (s, n); drift is ranked by them."""
    fit: Callable[[Training], E] | None = None
    """Returns the fitted estimator, equal to the one that the file of `write` gives; None if it cannot be trained."""
    write: Callable[[E, Training], dict[str, Any]] | None = None
    """Returns the fields of a trained estimator's JSON model that not all algorithms have."""
    settings: frozenset[str] = frozenset()
    """Fields of `Settings` that training reads. The seed and the weights of outcomes are not listed."""
    grid: Callable[[Settings], list[Settings]] | None = None
    """Returns the settings that tuning tries, in order of preference among equals."""
    costlier: Callable[[Settings, Training], list[Settings]] | None = None
    """Takes the best settings of the grid, and returns settings that tuning tries after it: they take more time to
    train and to pick."""
    shared_trials: Callable[[Training, Matrix, Sequence[Settings]], Iterator[Trial]] | None = None
    """Replaces `trials` where settings share work."""
    add: Callable[[E, dict[str, Any], Training], dict[str, Any]] | None = None
    """Adds a model to the fields of a file: takes the file's estimator and fields, and the training of the new model
    alone. None if none can be added."""
    predicts: bool = False
    """Whether outcomes are predicted, so that trials answer to objectives and operating points are recorded."""
    averages: bool = False
    """Whether it takes plain means of recorded qualities, so that it learns from logs by weighted ones."""
    by_direction: bool = False
    """Whether only the direction of a query counts: it is scaled to unit length before anything else."""
    reads_trained: bool = True
    """Whether the JSON says if it was trained."""
    instead: Callable[[Contents], str | None] | None = None
    """Takes the JSON: returns the semantics to read it by instead, where it lacks what these semantics need."""
    options: tuple[Option, ...] = ()
    """Options that ``load`` takes."""
    graph_options: Mapping[str, list[str]] | None = None
    """Options that a caller of skl2onnx may set for the estimator -> their values."""

    @property
    def unversioned(self) -> str:
        """The semantics without their version, of `Semantics`; versions stand in ascending order in the table."""
        return self.semantics.partition("/")[0]

    def trials(self, training: Training, held_out: Matrix, grid: Sequence[Settings]) -> Iterator[Trial]:
        """Fit an estimator by each setting, in any order, and let it pick for queries, (n_held_out, d)."""
        if self.shared_trials is not None:
            yield from self.shared_trials(training, held_out, grid)
            return
        assert self.fit is not None
        index = {name: model for model, name in enumerate(training.benchmark.model_names)}
        for settings in grid:
            picked = self.fit(training._replace(settings=settings)).predict(held_out)
            yield fixed(settings, np.array([index[name] for name in picked]))


AnyRow = Row[Any, Any]


def evenly_spaced(n_rows: int) -> npt.NDArray[np.int64]:
    """Return the rows of a model whose distances to all rows are measured: at least `FEWEST` of them, if there are."""
    return np.linspace(0, n_rows - 1, min(n_rows, max(FEWEST, DISTANCES // n_rows))).astype(np.int64)


def explained_scores(explanation: Explanation, names: Names) -> Matrix:
    """Return the scores of models in an explanation, shape (n_models,); minus infinity for models without a score."""
    return np.array([explanation["scores"].get(name, -np.inf) for name in names])


def difference(left: Matrix, right: Matrix) -> float:
    """Return the largest difference, relative to 1 or more; infinity where shapes differ or a value is non-numeric."""
    if left.shape != right.shape:
        return np.inf
    with np.errstate(invalid="ignore"):
        differences = np.where(left == right, 0.0, np.abs(left - right) / np.maximum(1.0, np.abs(right)))
    return float(np.nan_to_num(differences, nan=np.inf).max(initial=0.0))
