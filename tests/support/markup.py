"""Artifacts and records whose names try to break out of a page."""

import json

import numpy as np

from support.catalogue import knn

MARKUP = [
    "<script>alert(1)</script>",
    "</title></svg><img src=x onerror=alert(1)>",
    "\" onmouseover='alert(1)'",
    "{{ 7 * 7 }}{% raw %}",
    "a|b\\|c`d`*e*_f_[g](https://example.com)@h#1",
    "https://example.com/model",
    "نموذج كبير ١٢",
    "\u202eesrever",
    "&amp;&lt;",
]
NAMES = [*MARKUP, *(f"{i:02}-" + "long-name" * 9 for i in range(40 - len(MARKUP)))]
NAMES = [name[:80] for name in NAMES]
WIDTH = 6


def rows(n, names=NAMES, seed=0, one_hot=True):
    """KNN over as many rows, of each model in turn, with or without categories behind the embeddings."""
    embeddings = np.random.default_rng(seed).normal(size=(n, WIDTH)).round(4)
    if one_hot:
        embeddings = np.hstack([embeddings, np.eye(14)[np.arange(n) % 14]])
    return knn(embeddings, names, k=5)


def records(n=60, names=NAMES, seed=1):
    """Benchmark records of the first models, as JSON lines."""
    rng = np.random.default_rng(seed)
    lines = []
    for i in range(n):
        embedding = rng.normal(size=WIDTH).round(4).tolist()
        for name in names:
            one = {"query": f"{MARKUP[i % len(MARKUP)]}\n{i}", "category": MARKUP[i % 3], "model_name": name}
            one |= {"performance": round(rng.random(), 3), "response_time": round(1 + rng.random(), 3)}
            lines.append(json.dumps(one | {"embedding": embedding}))
    return "\n".join(lines)
