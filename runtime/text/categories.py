"""CategoryPredictor: from embeddings to categories, by the classifier within an artifact."""

from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime

from ..artifact.metadata import CategoryClassifier
from ..artifact.onnx_reader import Model
from ..artifact.protobuf import MalformedError
from ..errors import ArtifactError
from ..schema import PREFIX, EncoderPort, Entry, Output
from ..session import Providers, cannot_run, open_session

_OUTPUTS = [Output.SCORE]


class CategoryPredictor:
    """Predicts the categories of embeddings by running the classifier of an artifact in onnxruntime.

    Immutable: any number of threads may call it at once. It cannot be copied: copy the artifact, whose seal is checked.

    Parameters
    ----------
    name
        Name of the artifact, for messages.
    classifier
        The classifier in the artifact's metadata.
    embedding_dim
        Width of the embeddings.
    providers, sess_options
        See `modelpick.runtime.Selector.load`.

    Raises
    ------
    ArtifactError
        When onnxruntime cannot run the classifier, or it expects embeddings of another width.
    """

    def __init__(
        self,
        name: str,
        classifier: CategoryClassifier,
        embedding_dim: int,
        providers: Providers | None = None,
        sess_options: onnxruntime.SessionOptions | None = None,
    ) -> None:
        self._classes = np.array(classifier.classes, dtype=object)
        try:
            model = Model(classifier.graph)
        except MalformedError as cause:
            raise ArtifactError(f"{name}: {PREFIX}{Entry.CATEGORY_GRAPH}: malformed: {cause}") from None
        self._session: onnxruntime.InferenceSession | None = open_session(name, model, providers, sess_options)
        try:
            shape = self._scores(np.zeros((1, embedding_dim))).shape
            if shape != (1, len(classifier.classes)):
                raise ArtifactError(f"expected scores of {len(classifier.classes)} classes, got shape {shape}")
        except Exception as cause:  # a graph that does not hold what the metadata say fails in any way
            raise cannot_run(name, cause) from None

    def predict(self, embeddings: npt.NDArray[np.floating[Any]]) -> list[str]:
        """Predict the categories of embeddings, shape (b, e); computed in float64.

        Raises
        ------
        ArtifactError
            When the predictor is closed.
        """
        best = self._scores(embeddings.astype(np.float64, copy=False)).argmax(axis=1)
        categories: list[str] = self._classes[best].tolist()
        return categories

    def close(self) -> None:
        """Let go of the session; calls in flight finish, later ones raise `ArtifactError`."""
        self._session = None

    def _scores(self, embeddings: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        session = self._session
        if session is None:
            raise ArtifactError("the selector is closed")
        found: list[npt.NDArray[np.float64]] = session.run(_OUTPUTS, {EncoderPort.EMBEDDING: embeddings})
        return found[0]
