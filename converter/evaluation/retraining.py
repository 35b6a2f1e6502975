"""Selectors trained as an artifact was, on other records, which show what selectors of its kind do."""

from pathlib import Path
from typing import NamedTuple

import msgspec

from modelpick.runtime import ArtifactError, Selector

from ..algorithms import TABLE
from ..algorithms.row import AnyRow
from ..artifact.restore import document_field
from ..artifact.writer import to_artifact
from ..formats.outcomes import Benchmark, Settings
from ..training.records import fitting_embeddings
from ..training.train import trainer, training_data

# Fields of the JSON of selectors that predict outcomes which are settings of their training.
_SETTINGS = ("k", "evidence", "gamma", "ridge")


class Recipe(NamedTuple):
    """How an artifact was trained."""

    row: AnyRow
    settings: Settings
    one_hot: bool
    """Whether the one-hot of the category stands behind the embedding."""

    def document(self, records: Benchmark) -> bytes:
        """Train a selector on records with embeddings: its JSON model; raises the errors of `trained`."""
        assert self.row.fit is not None
        assert self.row.write is not None
        training = training_data(records._replace(encoder=None), self.settings, one_hot=self.one_hot)
        fields = {"algorithm": self.row.algorithm, "trained": True}
        return msgspec.json.encode(fields | self.row.write(self.row.fit(training), training))

    def trained(self, records: Benchmark) -> Selector:
        """Train a selector on records with embeddings, without operating points.

        Raises
        ------
        DocumentError
            When a query has no embedding, or the records cannot be trained on.
        """
        assert self.row.fit is not None
        training = training_data(records._replace(encoder=None), self.settings, one_hot=self.one_hot)
        return Selector.load(to_artifact(self.row.fit(training)))


def recipe_of(artifact: str | Path, records: Benchmark) -> Recipe:
    """Return how an artifact that predicts outcomes was trained, to train on records as it was.

    Raises
    ------
    DocumentError
        When a query has no embedding.
    ArtifactError
        When the artifact is refused, predicts no outcomes, or expects features of another width.
    """
    with Selector.load(artifact) as selector:
        metadata, width = selector.metadata, selector.n_features_in_
        embeddings = fitting_embeddings(records, str(artifact), metadata)
    if not metadata.outcomes:
        raise ArtifactError(
            f"{artifact}: expected an artifact that predicts outcomes, as kernel_ridge does, and knn by queries"
        )
    known = {name: document_field(artifact, name) for name in _SETTINGS}
    settings = Settings(**{name: value for name, value in known.items() if value is not None})
    if metadata.algorithm == "kernel_ridge":
        settings = settings._replace(landmarks=metadata.rows)
    row = TABLE[metadata.algorithm, metadata.semantics]
    row = row if row.fit else trainer(row.algorithm, semantics=row.unversioned)
    return Recipe(row, settings, width > embeddings.shape[1])
