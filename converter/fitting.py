"""The whole way from records to an artifact and its verdict: split, train, convert, verify, evaluate, write."""

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import msgspec
import numpy as np

from modelpick.runtime import ModelpickError, Objective

from .algorithms.row import AnyRow, Semantics
from .conversion import convert
from .evaluation.judge import Judgement, evaluate
from .evaluation.verdict import Verdict
from .files.io import write_atomically
from .formats.outcomes import Benchmark, Settings, Training
from .statistics.folds import FOLDS, is_held_out
from .training.auto import AUTO, choose
from .training.records import required_embeddings
from .training.train import train, trainer, training_data
from .training.tune import best_settings, tune
from .verification.report import Report

# It predicts outcomes, and so has operating points; learns from complete records and logs; and what it achieves is
# measured in docs/outcomes.md: hardly less than the best of all, which AUTO finds in many times the time.
SUITS_MOST = "kernel_ridge"
# Share of the questions that are held out.
HELD_OUT = 1 / FOLDS


class Fitted(NamedTuple):
    """What was made of records, and whether it is worth calling."""

    artifact: Path
    model: Path
    """The JSON model that the artifact was converted from, next to it."""
    row: AnyRow
    """The algorithm, and its semantics."""
    trained: int
    """Number of questions that it was trained on; it is evaluated on the others."""
    needs_category: bool
    """Whether a request must have a category."""
    report: Report
    """The verification."""
    judgement: Judgement
    """What it achieves on the held-out questions."""

    @property
    def verdict(self) -> Verdict:
        """Whether it is worth calling."""
        return self.judgement.headlines[0]


def fit(
    records: Benchmark,
    target: str | Path,
    *,
    algorithm: str = SUITS_MOST,
    tuned: bool = False,
    held_out: float = HELD_OUT,
    objective: Objective = Objective(),  # noqa: B008 (immutable)
    seed: int = 0,
    done: Callable[[int, int], None] = lambda done, total: None,
) -> Fitted:
    """Train a selector on some of the questions, convert and verify it, and evaluate it on the others.

    Vectors are the embeddings alone where an encoder made them, since requests have a text alone then, or where no
    record has a category; else the one-hot of the category stands behind them.

    Parameters
    ----------
    records
        Records with embeddings, complete or a log, see `modelpick.converter.read_records`.
    target
        Path of the artifact. Its JSON model is written next to it, with the suffix .json. Both files are written when
        all is done.
    algorithm
        What to train, one of `modelpick.converter.training.train.TRAINED`; or "auto", which compares all of them by
        nested cross-validation.
    tuned
        Whether settings are chosen by cross-validation; "auto" always chooses them so.
    held_out
        Share of the questions that are held out to judge the artifact by, above 0 and below 1.
    objective
        What picks are tuned and judged by.
    seed
        Seed of everything that is random, the split included.
    done
        Called after each step of training or tuning with the number of finished steps and of all steps.

    Raises
    ------
    DocumentError
        When a query has no embedding, or the records are too few to train on.
    VerificationError
        When the artifact disagrees with its estimator.
    ModelpickError
        When a file cannot be written, or no share of the questions is left for training or for judging.
    """
    if not 0 < held_out < 1:
        raise ModelpickError(f"held out: expected a share of the questions above 0 and below 1, got {held_out:g}")
    target = Path(target)
    model = target.with_suffix(".json")
    embeddings = required_embeddings(records)
    apart = is_held_out(embeddings, seed, held_out)
    learned, judged = records.of(np.flatnonzero(~apart)), records.of(np.flatnonzero(apart))
    one_hot = records.encoder is None and len(set(records.categories)) > 1
    training = training_data(learned, Settings(objective=objective, seed=seed), one_hot=one_hot)
    row, training = _suited(training, algorithm, tuned, done)
    document = msgspec.json.encode(train(training, row))
    with TemporaryDirectory() as folder:
        made = Path(folder, target.name)
        report = convert(document, made, semantics=row.semantics, embedding_dim=embeddings.shape[1])
        judgement = evaluate([made], judged, learned=learned, seed=seed, objective=objective)
        write_atomically(model, document)
        write_atomically(target, made.read_bytes())
    return Fitted(target, model, row, len(learned.queries), one_hot, report, judgement)


def _suited(
    training: Training, algorithm: str, tuned: bool, done: Callable[[int, int], None]
) -> tuple[AnyRow, Training]:
    """Return the algorithm to train, and the training data with its settings."""
    if algorithm == AUTO:
        choice = choose(training, done=done)
        row, training, tuned = choice.row, choice.training, choice.is_tuned
    else:
        row = trainer(algorithm, semantics=Semantics.queries if algorithm == "knn" else Semantics.native)
    return row, training._replace(settings=best_settings(tune(training, row, done))) if tuned else training
