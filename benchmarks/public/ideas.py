"""Measures ideas for better picks by cross-validation over training rows: ``python -m benchmarks.public.ideas FOLDER``.

Each idea predicts the outcomes of all models for held-out questions. It is worth adopting if it predicts the
differences between models better than the kernel ridge of the product, and picks no worse: for questions of the tasks
that it learned from, and of other tasks. Each seed has other folds and other landmarks; a question counts with its mean
over the seeds.
"""

import argparse
import json
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.linalg import solve
from sklearn.metrics.pairwise import rbf_kernel
from sklearn.model_selection import LeaveOneGroupOut
from threadpoolctl import threadpool_limits

from modelpick.converter import best_settings, make_encoder, read_records, training_data, tune
from modelpick.converter.algorithms.kernel_ridge.training import LANDMARKS, fit_ridges
from modelpick.converter.encoders.distil import Distillation
from modelpick.converter.formats.outcomes import Benchmark, Training
from modelpick.converter.statistics.bootstrap import drawn
from modelpick.converter.statistics.folds import splits
from modelpick.converter.statistics.landmarks import landmarks
from modelpick.converter.training.crossvalidation import WEIGHTS, best_single
from modelpick.converter.training.encoding import encode
from modelpick.converter.training.records import values_of
from modelpick.runtime.decision.outcomes import COST, QUALITY
from modelpick.runtime.search.distances import directions
from modelpick.runtime.text import Encoder

from .protocol import SEEDS, Indices, Vector, ends, interval, rounded

Matrix = npt.NDArray[np.float64]
Parts = Sequence[tuple[Indices, Indices]]
HALVES, NEIGHBOURS = 8, 100
# Width of the kernel of statistics, and what keeps the kernel of near landmarks regular.
STATISTICS, JITTER = 0.1, 1e-9
TUNED = ("gamma", "ridge", "landmarks")
DRAWN, EXACT, NEAREST = "1,000 questions as landmarks", "all questions as landmarks", "the 100 nearest questions"


class Data(NamedTuple):
    """Questions of training rows."""

    name: str
    whole: Training
    """By the transformer, with the settings that tuning chose on all questions."""
    static: Training
    """By the static vectors that are distilled of it, likewise."""
    statistics: Matrix
    """Of the prompts, standardised."""
    tasks: npt.NDArray[np.str_]
    """The set or category of each question."""

    @property
    def outcomes(self) -> Matrix:
        """What is predicted: qualities of all models, and behind them costs where they are recorded."""
        return _side_by_side(self.whole.benchmark.outcomes())

    @property
    def directions(self) -> Matrix:
        """Features of unit length."""
        return directions(self.whole.features)

    def seeded(self, seed: int) -> "Data":
        """Return the questions with a seed for what is drawn."""
        return self._replace(whole=_seeded(self.whole, seed), static=_seeded(self.static, seed))


Predict = Callable[[Data, Indices, Indices], Matrix]


def _side_by_side(outcomes: Matrix) -> Matrix:
    """Put kinds of outcomes next to each other: (n, n_kinds, n_models) to (n, n_models) or (n, 2 n_models)."""
    kinds = [QUALITY] if np.isnan(outcomes[:, COST]).any() else [QUALITY, COST]
    return outcomes[:, kinds].reshape(len(outcomes), -1)


def _seeded(training: Training, seed: int) -> Training:
    return training._replace(settings=training.settings._replace(seed=seed))


def some(data: Data, learned: Indices, held_out: Indices) -> Matrix:
    """Kernel ridge with landmarks."""
    return _of_product(data.whole, LANDMARKS, learned, held_out)


def exact(data: Data, learned: Indices, held_out: Indices) -> Matrix:
    """Kernel ridge with all questions as support vectors."""
    return _of_product(data.whole, len(learned), learned, held_out)


def static(data: Data, learned: Indices, held_out: Indices) -> Matrix:
    """Kernel ridge on static vectors, with as many landmarks as tuning chose."""
    return _of_product(data.static, data.static.settings.landmarks, learned, held_out)


def _of_product(training: Training, most: int | None, learned: Indices, held_out: Indices) -> Matrix:
    settings = training.settings._replace(landmarks=most)
    (fitted,) = fit_ridges(training._replace(settings=settings).of(learned), [settings.ridge])
    return _side_by_side(fitted.predict_outcomes(training.features[held_out]))


def with_statistics(data: Data, learned: Indices, held_out: Indices) -> Matrix:
    """Multiply the kernel by that of the statistics: the kernel of both, one behind the other."""
    scaled = np.sqrt(STATISTICS / data.whole.settings.gamma) * data.statistics
    return _smoothed(np.hstack([data.directions, scaled]), data, learned, held_out, [np.arange(len(learned))])


def halves(data: Data, learned: Indices, held_out: Indices) -> Matrix:
    """Take the mean over kernel ridges of halves of the questions: the same landmarks, averaged coefficients."""
    rng = np.random.default_rng(data.whole.settings.seed)
    parts = [half for _ in range(HALVES // 2) for half in np.array_split(rng.permutation(len(learned)), 2)]
    return _smoothed(data.directions, data, learned, held_out, parts)


def _smoothed(rows: Matrix, data: Data, learned: Indices, held_out: Indices, parts: Sequence[Indices]) -> Matrix:
    """Predict by kernel ridge with landmarks, by the mean of the coefficients of some parts of the questions."""
    settings, targets, mean = data.whole.settings, data.outcomes[learned], data.outcomes[learned].mean(axis=0)
    chosen = landmarks(rows[learned], LANDMARKS, settings.seed)
    kernel = rbf_kernel(rows[learned], chosen, settings.gamma)
    between = rbf_kernel(chosen, gamma=settings.gamma) + JITTER * np.eye(len(chosen))
    found = np.zeros((len(chosen), targets.shape[1]))
    for part in parts:
        products = kernel[part].T @ kernel[part] + settings.ridge * len(part) / len(learned) * between
        found += solve(products, kernel[part].T @ (targets[part] - mean), assume_a="pos") / len(parts)
    return np.asarray(mean + rbf_kernel(rows[held_out], chosen, settings.gamma) @ found)


def nearest(data: Data, learned: Indices, held_out: Indices) -> Matrix:
    """Take the means of the nearest questions."""
    rows = data.directions
    near = np.argpartition(-(rows[held_out] @ rows[learned].T), NEIGHBOURS)[:, :NEIGHBOURS]
    return np.asarray(data.outcomes[learned][near].mean(axis=1))


def single(data: Data, learned: Indices, held_out: Indices) -> Matrix:
    """Predict the means of each model."""
    return np.tile(data.outcomes[learned].mean(axis=0), (len(held_out), 1))


# An idea predicts, or takes the mean of what others predict.
IDEAS: dict[str, Predict | tuple[str, ...]] = {
    DRAWN: some,
    EXACT: exact,
    "1,000 landmarks, mean over eight halves": halves,
    "1,000 landmarks, times the kernel of prompt statistics": with_statistics,
    NEAREST: nearest,
    "mean of 1,000 landmarks and the nearest": (DRAWN, NEAREST),
    "static vectors": static,
    "always the best single model": single,
}


def statistics_of(prompts: list[str]) -> Matrix:
    """Return statistics of prompts: lengths, and shares of kinds of characters; mean 0, deviation 1."""
    rows = [
        (
            np.log1p(len(prompt)),
            np.log1p(prompt.count("\n")),
            *(sum(map(kind, prompt)) / max(1, len(prompt)) for kind in (str.isdigit, str.isupper, str.isspace)),
            sum(not character.isascii() for character in prompt) / max(1, len(prompt)),
            sum(character in "+-*/=<>^$\\{}()[]_" for character in prompt) / max(1, len(prompt)),
        )
        for prompt in prompts
    ]
    found = np.array(rows)
    return np.asarray((found - found.mean(axis=0)) / found.std(axis=0))


def predicted(data: Data, predict: Predict, parts: Parts) -> Matrix:
    """Predict the outcomes of all questions: of each part by what was learned from its other questions."""
    found = np.empty_like(data.outcomes)
    for learned, held_out in parts:
        found[held_out] = predict(data, learned, held_out)
    return found


def measure(data: Data, seeds: Sequence[int]) -> dict[str, Any]:
    """Cross-validate all ideas: errors of differences, and what picks are worth in percent, with paired gains.

    The product is the idea that tuning chooses: landmarks, or all questions.
    """
    across = list(LeaveOneGroupOut().split(data.tasks, groups=data.tasks))
    predictions: dict[str, Matrix] = {}
    for idea, how in IDEAS.items():
        if isinstance(how, tuple):
            predictions[idea] = np.mean([predictions[one] for one in how], axis=0)
        else:
            drawn_anew = [data.seeded(seed) for seed in seeds]
            known = [predicted(one, how, splits(one.whole.features, one.whole.settings.seed)) for one in drawn_anew]
            predictions[idea] = np.stack([known, [predicted(one, how, across) for one in drawn_anew]])
        print(f"{data.name}: {idea}", flush=True)
    product = EXACT if data.whole.settings.landmarks else DRAWN
    tuned = {of: training.settings for of, training in (("whole", data.whole), ("static", data.static))}
    return {
        "seeds": len(seeds),
        "product": product,
        "settings": {of: {name: getattr(chosen, name) for name in TUNED} for of, chosen in tuned.items()},
        "ideas": {idea: _judged(found, predictions[product], data) for idea, found in predictions.items()},
    }


def _judged(predicted: Matrix, of_product: Matrix, data: Data) -> dict[str, Any]:
    """Judge predictions, (2, n_seeds, n, ...): for questions of tasks that were learned from, and of other tasks."""
    quality, cost = data.whole.benchmark.quality, data.whole.benchmark.cost
    n_models = quality.shape[1]
    rows = [np.arange(len(quality))]
    of_tasks = [np.flatnonzero(data.tasks == task) for task in np.unique(data.tasks)]
    found: dict[str, Any] = {"error": rounded(_error(predicted[0, ..., :n_models], quality))}
    for way, place, groups in (("rows", 0, rows), ("sets", 0, of_tasks), ("other tasks", 1, of_tasks)):
        picked, theirs = (100 * _of_picks(quality, by[place, ..., :n_models]) for by in (predicted, of_product))
        found[way] = {"value": interval(picked, groups), "over the product": interval(picked - theirs, groups)}
    if not np.isnan(cost).any():
        saved, theirs = (_saved(by, quality, cost) for by in (predicted[0], of_product[0]))
        found["saved"] = {"value": ends(saved, len(cost)), "over the product": ends(saved - theirs, len(cost))}
    return found


def _error(predicted: Matrix, quality: Matrix) -> float:
    """Return the mean squared error of predicted differences between models: predictions, (n_seeds, n, n_models)."""
    wrong = predicted - quality
    return float((wrong - wrong.mean(axis=-1, keepdims=True)).var(axis=-1).mean())


def _of_picks(outcomes: Matrix, utilities: Matrix) -> Vector:
    """Return the outcome of the picks for each question, its mean over seeds: utilities are (n_seeds, n, n_models)."""
    found: Vector = outcomes[np.arange(len(outcomes)), utilities.argmax(axis=-1)].mean(axis=0)
    return found


def _saved(predicted: Matrix, quality: Matrix, cost: Matrix) -> Vector:
    """Return the most cost that picks save in percent while they keep the quality of the best single model.

    The weight of cost is one of `WEIGHTS`. Returned is what all questions say, then what each sample of them says, each
    by its own weight: shape (1 + BOOTSTRAPS,).
    """
    best = best_single(quality)
    of_quality, of_cost = np.split(predicted, 2, axis=-1)
    utilities = [of_quality - weight / cost[:, best].mean() * of_cost for weight in WEIGHTS]
    got, paid = (
        np.column_stack([of[:, best], *(_of_picks(of, by_weight) for by_weight in utilities)]) for of in (quality, cost)
    )
    found = []
    for counts in (np.ones((1, len(got))), *drawn(len(got), 0)):
        kept, price = counts @ got, counts @ paid
        least = np.where(kept >= kept[:, :1], price, np.inf).min(axis=1)
        found.append(100 * (1 - least / price[:, 0]))
    return np.concatenate(found)


def read(folder: Path) -> Iterator[Data]:
    """Read the training rows of both data sets."""
    with tempfile.TemporaryDirectory() as work:
        file = Path(work) / "static.onnx"
        make_encoder(folder.parent / "encoder/minilm-l6-v2", file, distil=Distillation())
        encoder = Encoder.load(file)
    for name, records, embeddings, task in (
        ("RouterDC", "routerdc_train.jsonl.gz", "embeddings_public.npz", "set"),
        ("LLMRouter", "llmrouter_train3000.jsonl.gz", "embeddings.npz", "category"),
    ):
        whole = read_records(folder / records, embeddings=folder / embeddings)
        tasks = np.array(values_of(folder / records, task, whole))
        by_statics = _tuned(encode(whole, encoder, None))
        yield Data(name, _tuned(whole), by_statics, statistics_of(whole.queries), tasks)


def _tuned(records: Benchmark) -> Training:
    training = training_data(records)
    return training._replace(settings=best_settings(tune(training, "kernel_ridge")))


def main() -> None:
    """Measure all ideas, print, and write ideas.json."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.public.ideas", description=__doc__)
    parser.add_argument("data", type=Path, help="folder of the records, see benchmarks/README.md")
    parser.add_argument("--seeds", type=int, default=len(SEEDS), help=f"how many, {len(SEEDS)} by default")
    parser.add_argument("--output", type=Path, help="folder for ideas.json")
    arguments = parser.parse_args()
    with threadpool_limits(1):
        results = {data.name: measure(data, range(arguments.seeds)) for data in read(arguments.data)}
    if arguments.output is not None:
        arguments.output.mkdir(parents=True, exist_ok=True)
        (arguments.output / "ideas.json").write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
