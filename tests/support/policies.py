"""Policies and benchmarks for tests of evaluation."""

import numpy as np

from modelpick.converter.evaluation.evaluate import evaluate_policies
from modelpick.converter.evaluation.policies import Policy, chosen, routed
from modelpick.converter.training.records import read_records
from support.recorded import DATA, encoded, record

BENCHMARK = read_records(DATA)


def evaluated(artifacts, benchmark=BENCHMARK, **asked):
    return evaluate_policies(routed(artifacts, benchmark), benchmark, **asked)


def recorded(quality, cost=None, seconds=None, names="abc"):
    """Benchmark of given outcomes, None for what is unknown."""
    lines = []
    for i, row in enumerate(quality):
        for j, value in enumerate(row):
            fields = {"cost": cost[i][j] if cost else None, "response_time": seconds[i][j] if seconds else None}
            if value is not None:
                lines.append(record(query=f"q{i}", model_name=names[j], performance=value, **fields))
    return read_records(encoded(*lines))


def policy(picks, benchmark, label="p", keep=None):
    models = np.array([benchmark.model_names.index(pick) for pick in picks])
    return Policy(label, chosen(models, len(benchmark.model_names)), list(picks), "p", keep)


def by_name(evaluation):
    return {result.name: result for result in evaluation.results}
