"""The original library's selector classes, for users who migrate: each makes a selector from JSON."""

from typing import Any, ClassVar, Self

from modelpick.runtime import DocumentError, Selector

from .artifact.writer import to_artifact
from .load import load_estimator


class _JSONSelector(Selector):
    """A `modelpick.runtime.Selector` made directly from a JSON model, without an artifact file."""

    _expected: ClassVar[str]
    _json: str

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Convert a JSON model in memory and load it.

        Raises
        ------
        DocumentError
            When the JSON is refused, see `modelpick.converter.load_estimator`, or has another algorithm.
        """
        selector = cls.load(to_artifact(load_estimator(text.encode("utf-8", "surrogatepass"))))
        if selector.algorithm != cls._expected:
            raise DocumentError(f'$.algorithm: expected "{cls._expected}", got "{selector.algorithm}"')
        selector._json = text
        return selector

    @property
    def is_trained(self) -> bool:
        """True until the selector is closed: `from_json` refuses a model that is not trained."""
        return not self.closed

    def to_json(self) -> str:
        """Return the JSON that the selector was made from."""
        return self._json

    def __reduce__(self) -> tuple[Any, ...]:
        reduced = super().__reduce__()  # a closed selector has no copies
        return (type(self).from_json, (self._json,)) if hasattr(self, "_json") else reduced


class KNNSelector(_JSONSelector):
    """Quality-weighted vote of the nearest rows."""

    _expected = "knn"


class KMeansSelector(_JSONSelector):
    """Model of the nearest centroid."""

    _expected = "kmeans"


class SVMSelector(_JSONSelector):
    """Model of the highest-scoring classifier."""

    _expected = "svm"


class MLPSelector(_JSONSelector):
    """Model of the most probable class."""

    _expected = "mlp"


class HierShrinkSelector(_JSONSelector):
    """Model of the highest mean quality in the query's clusters, shrunk toward the mean of all its records."""

    _expected = "hiershrink"
