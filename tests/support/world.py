"""Complete records of three models, of which logs are drawn."""

from typing import NamedTuple

import numpy as np

from modelpick.converter.evaluation.policies import Policy, chosen
from modelpick.converter.training.records import read_records
from support.recorded import encoded, record

NAMES = ["weak", "strong", "other"]


class World(NamedTuple):
    """Complete records, of which logs are drawn, and a policy to judge."""

    complete: object
    policy: Policy


def world(n=600, seed=0):
    """Questions whose embedding tells how hard they are; the strong model is better on the hard ones alone."""
    rng = np.random.default_rng(seed)
    lines = []
    for i, embedding in enumerate(rng.normal(size=(n, 4))):
        hard = embedding[0] > 0
        for name, mean, cost in (("weak", 0.7 - 0.5 * hard, 1.0), ("strong", 0.6, 10.0), ("other", 0.3, 5.0)):
            quality = float(rng.random() < mean)
            fields = {"performance": quality, "cost": cost * (1 + 0.2 * rng.random()), "embedding": embedding.tolist()}
            lines.append(record(query=f"q{i}", model_name=name, **fields))
    complete = read_records(encoded(*lines))
    picks = (complete.embeddings[:, 0] > 0).astype(np.int64)
    names = [NAMES[pick] for pick in picks]
    recorded = {"strongest": "strong", "best": "strong"}
    return World(complete, Policy("p", chosen(picks, 3), names, "p", recorded=recorded))


WORLD = world(400)
