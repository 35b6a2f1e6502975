"""RouterDC's seven models on five sets of questions: S. Chen et al., RouterDC, NeurIPS 2024.

Trained on the training questions of all sets together, and evaluated on their test questions: its main table, in
distribution. The headline is the plain mean over the five sets, in percent.
"""

from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from modelpick.converter.formats.outcomes import Benchmark
from modelpick.converter.training.records import values_of

from .protocol import (
    CONTENDERS,
    SEEDS,
    Indices,
    Vector,
    interval,
    microseconds,
    qualities,
    records,
    rounded,
    trained,
)

TRAIN, TEST = "routerdc_train.jsonl.gz", "routerdc_test.jsonl.gz"
# Recalled from the paper: means over the five sets, in percent.
PUBLISHED = {
    "RouterDC": 58.54,
    "LoraRetriever": 55.77,
    "voting of all models": 54.37,
    "CosineClassifier": 54.22,
    "ZOOTER": 53.97,
}


def measure(folder: Path) -> dict[str, Any]:
    """Measure the contenders on the records of a folder."""
    learned, held_out = records(folder, TRAIN), records(folder, TEST)
    sets = np.array(values_of(folder / TEST, "set", held_out))
    groups = {name: np.flatnonzero(sets == name) for name in np.unique(sets).tolist()}
    quality = 100 * held_out.quality
    by_set = np.array([quality[group].mean(axis=0) for group in groups.values()])
    single = int(by_set.mean(axis=0).argmax())
    return {
        "questions": {"learned": len(learned.queries), "held out": len(held_out.queries)},
        "sets": {name: len(group) for name, group in groups.items()},
        "published": PUBLISHED,
        "best single": {"name": held_out.model_names[single], **_both(quality[:, single], groups)},
        "best models": {name: rounded(means.max()) for name, means in zip(groups, by_set, strict=True)},
        "best of each set": rounded(by_set.max(axis=1).mean()),
        "oracle": _both(quality.max(axis=1), groups),
        "contenders": _contenders(learned, held_out, quality[:, single], groups),
    }


def _contenders(learned: Benchmark, held_out: Benchmark, single: Vector, groups: dict[str, Indices]) -> dict[str, Any]:
    values: dict[str, list[Vector]] = {}
    seeds: dict[str, list[dict[str, Any]]] = {}
    with TemporaryDirectory() as folder:
        for contender, seed in product(CONTENDERS, SEEDS):
            one, name = trained(contender, learned, seed, Path(folder)), contender.name
            found = 100 * qualities(one.artifact, held_out)
            values.setdefault(name, []).append(found)
            time = microseconds(one.artifact, held_out)
            means = {"sets": _mean_of_sets(found, groups), "rows": rounded(found.mean())}
            seeds.setdefault(name, []).append({**one.settings, **means, **one.seconds, "microseconds": time})
            print(f"RouterDC, {name}, seed {seed}: {seeds[name][-1]}", flush=True)
    return {
        name: {
            **_both(mean, groups),
            "over the best single model": _both(mean - single, groups),
            "each set": {of: rounded(mean[group].mean()) for of, group in groups.items()},
            "seeds": seeds[name],
        }
        for name, mean in ((name, np.mean(of_seeds, axis=0)) for name, of_seeds in values.items())
    }


def _both(values: Vector, groups: dict[str, Indices]) -> dict[str, list[float]]:
    """Return the plain mean over sets, and the mean over rows, with intervals over questions."""
    return {"sets": interval(values, list(groups.values())), "rows": interval(values, [np.arange(len(values))])}


def _mean_of_sets(values: Vector, groups: dict[str, Indices]) -> float:
    return rounded(float(np.mean([values[group].mean() for group in groups.values()])))
