"""Measures ideas for better picks by cross-validation over training rows: ``python -m benchmarks.public.ideas FOLDER``.

Each idea predicts the qualities of all models for held-out questions, in plain numpy. It is worth adopting if it
predicts the differences between models better than the kernel ridge of the product, and picks no worse.
"""

import argparse
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.linalg import solve
from sklearn.metrics.pairwise import rbf_kernel

from modelpick.converter import read_records, training_data
from modelpick.converter.formats.outcomes import Benchmark
from modelpick.converter.statistics.folds import splits

from .protocol import interval, rounded, sets_of

Matrix = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]
LANDMARKS, HALVES, NEIGHBOURS = 1_000, 8, 100
# Width of the kernel of statistics, and what keeps the kernel of near landmarks regular.
STATISTICS, JITTER = 0.1, 1e-9


class Data(NamedTuple):
    """Questions of training rows."""

    name: str
    features: Matrix
    """Of unit length."""
    statistics: Matrix
    """Of the prompts, standardised."""
    quality: Matrix
    sets: npt.NDArray[np.str_]
    gamma: float
    """Width of the kernel."""
    ridge: float
    """Penalty."""


Predict = Callable[[Data, Indices, Indices], Matrix]


def landmarks_of(rows: Matrix) -> Matrix:
    """Draw landmarks as the product does, but once."""
    return rows[np.sort(np.random.default_rng(0).permutation(len(rows))[:LANDMARKS])]


def ridge(data: Data, learned: Indices, held_out: Indices) -> Matrix:
    """Kernel ridge with landmarks."""
    return _ridge(data, data.features, learned, held_out)


def _ridge(data: Data, rows: Matrix, learned: Indices, held_out: Indices) -> Matrix:
    known, landmarks = rows[learned], landmarks_of(rows[learned])
    kernel, inner = _kernel(known, landmarks, data.gamma), _inner(landmarks, data.gamma)
    mean = _means(data.quality[learned])
    products, targets = kernel.T @ kernel, kernel.T @ (data.quality[learned] - mean)
    found = _solved(products + data.ridge * inner, targets)
    return mean + _kernel(rows[held_out], landmarks, data.gamma) @ found


def halves(data: Data, learned: Indices, held_out: Indices) -> Matrix:
    """Take the mean over kernel ridges of halves of the questions: the same landmarks, averaged coefficients."""
    landmarks = landmarks_of(data.features[learned])
    kernel, inner = _kernel(data.features[learned], landmarks, data.gamma), _inner(landmarks, data.gamma)
    mean, rng, found = _means(data.quality[learned]), np.random.default_rng(0), []
    for _ in range(HALVES // 2):
        for half in np.array_split(rng.permutation(len(learned)), 2):
            products, targets = kernel[half].T @ kernel[half], kernel[half].T @ (data.quality[learned[half]] - mean)
            found.append(_solved(products + data.ridge / 2 * inner, targets))
    return mean + _kernel(data.features[held_out], landmarks, data.gamma) @ _means(np.stack(found))


def _kernel(left: Matrix, right: Matrix, gamma: float) -> Matrix:
    found: Matrix = rbf_kernel(left, right, gamma=gamma)
    return found


def _means(quality: Matrix) -> Matrix:
    found: Matrix = quality.mean(axis=0)
    return found


def _solved(matrix: Matrix, targets: Matrix) -> Matrix:
    found: Matrix = solve(matrix, targets, assume_a="pos")
    return found


def _inner(landmarks: Matrix, gamma: float) -> Matrix:
    return _kernel(landmarks, landmarks, gamma) + JITTER * np.eye(len(landmarks))


def whole(data: Data, learned: Indices, held_out: Indices) -> Matrix:
    """Kernel ridge with all questions as support vectors."""
    known, mean = data.features[learned], _means(data.quality[learned])
    penalty = data.ridge * np.eye(len(known))
    found = _solved(_kernel(known, known, data.gamma) + penalty, data.quality[learned] - mean)
    return mean + _kernel(data.features[held_out], known, data.gamma) @ found


def with_statistics(data: Data, learned: Indices, held_out: Indices) -> Matrix:
    """Multiply the kernel by that of the statistics: the kernel of both, one behind the other."""
    scaled = np.sqrt(STATISTICS / data.gamma) * data.statistics
    return _ridge(data, np.hstack([data.features, scaled]), learned, held_out)


def nearest(data: Data, learned: Indices, held_out: Indices) -> Matrix:
    """Take the means of the nearest questions."""
    near = np.argpartition(-(data.features[held_out] @ data.features[learned].T), NEIGHBOURS)[:, :NEIGHBOURS]
    return np.asarray(data.quality[learned][near].mean(axis=1))


def both(data: Data, learned: Indices, held_out: Indices) -> Matrix:
    """Take the mean of kernel ridge and the nearest questions."""
    return (ridge(data, learned, held_out) + nearest(data, learned, held_out)) / 2


IDEAS: dict[str, Predict] = {
    "kernel ridge, 1,000 landmarks: the product": ridge,
    "all questions as support vectors": whole,
    "mean over eight kernel ridges of halves": halves,
    "the 100 nearest questions": nearest,
    "mean of kernel ridge and the nearest": both,
    "the kernel times that of prompt statistics": with_statistics,
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


def judged(data: Data, predict: Predict, parts: list[tuple[Indices, Indices]]) -> dict[str, Any]:
    """Cross-validate an idea: the error of differences, and the quality of picks in percent with its gain."""
    predicted = np.empty_like(data.quality)
    for learned, held_out in parts:
        predicted[held_out] = predict(data, learned, held_out)
    wrong = predicted - data.quality
    picked = 100 * data.quality[np.arange(len(predicted)), predicted.argmax(axis=1)]
    groups = [np.flatnonzero(data.sets == name) for name in np.unique(data.sets)]
    return {
        "error": rounded(float((wrong - wrong.mean(axis=1, keepdims=True)).var(axis=1).mean())),
        "rows": interval(picked, [np.arange(len(picked))]),
        "sets": interval(picked, groups),
    }


def read(folder: Path) -> Iterator[Data]:
    """Read the training rows of both data sets."""
    for name, file, embeddings, gamma, penalty in (
        ("RouterDC", "routerdc_train.jsonl.gz", "embeddings_public.npz", 2.0, 16.0),
        ("LLMRouter", "llmrouter_train3000.jsonl.gz", "embeddings.npz", 1.0, 4.0),
    ):
        records = read_records(folder / file, embeddings=folder / embeddings)
        sets = sets_of(folder / file, records) if name == "RouterDC" else np.array(records.categories)
        statistics = statistics_of(records.queries)
        yield Data(name, _directions(records), statistics, records.quality, sets, gamma, penalty)


def _directions(records: Benchmark) -> Matrix:
    features = training_data(records).features
    return np.asarray(features / np.linalg.norm(features, axis=1, keepdims=True))


def main() -> None:
    """Measure all ideas, print, and write ideas.json."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.public.ideas", description=__doc__)
    parser.add_argument("data", type=Path, help="folder of the records, see benchmarks/README.md")
    parser.add_argument("--output", type=Path, help="folder for ideas.json")
    arguments = parser.parse_args()
    results: dict[str, Any] = {}
    for data in read(arguments.data):
        parts = splits(data.features, 0)
        for idea, predict in IDEAS.items():
            found = judged(data, predict, parts)
            results.setdefault(data.name, {})[idea] = found
            print(f"{data.name}, {idea}: {found}", flush=True)
    if arguments.output is not None:
        arguments.output.mkdir(parents=True, exist_ok=True)
        (arguments.output / "ideas.json").write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
