"""The policy of ``auto``: which algorithm to train, and on what."""

from collections.abc import Callable
from typing import NamedTuple

from ..algorithms import TABLE
from ..algorithms.row import AnyRow, Semantics
from ..formats.outcomes import Settings, Training
from .crossvalidation import best_single, judged, objective_of
from .train import JSON_FORMAT, TRAINED, check_settings, trainer, trainers
from .tune import Compared, compare

AUTO = "auto"


class Choice(NamedTuple):
    """What to train, and the comparison that led to it."""

    row: AnyRow
    training: Training
    """The training data of the chosen row."""
    compared: list[Compared]
    """All algorithms, the best first."""
    best_single: str
    """The best single model, by the user's weights."""
    confounded: bool
    """Whether the records are a log that does not tell what picks would have achieved."""
    is_constant: bool
    """Whether the trained model picks only the best single model."""

    @property
    def pays(self) -> bool:
        """Whether the best algorithm is surely better than the best single model."""
        return self.compared[0].over_single.low > 0 and not self.confounded

    @property
    def is_tuned(self) -> bool:
        """Whether the settings are to be tuned."""
        return not self.is_constant


def choose(
    training: Training,
    format_version: int = JSON_FORMAT,
    *,
    allow_constant: bool = False,
    done: Callable[[int, int], None] = lambda done, total: None,
) -> Choice:
    """Compare all algorithms, and choose the best.

    Parameters
    ----------
    format_version
        See `trainer`.
    allow_constant
        Whether to choose a model that always picks the best single model, where no algorithm is surely better.
    done
        Called as by `compare`.

    Raises
    ------
    DocumentError
        See `compare`.
    ModelpickError
        When a setting is given that no algorithm reads.
    """
    check_settings(training.settings, [*TABLE.values()], tuned=True)
    compared = compare(training, trainers(TRAINED, format_version, Semantics.queries), done)
    by = judged(training)
    single = best_single(by.singles.utilities(objective_of(training)), by.errors)
    name = training.benchmark.model_names[single]
    chosen = Choice(compared[0].row, training, compared, name, by.confounded, is_constant=False)
    if chosen.pays or not allow_constant:
        return chosen
    constant = training.only(single)._replace(settings=Settings(clusters=1))
    return chosen._replace(row=trainer("kmeans", format_version), training=constant, is_constant=True)
