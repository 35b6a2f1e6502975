"""Records with other outcomes than those that were read."""

from modelpick.runtime.decision.outcomes import PLACES


def with_outcomes(benchmark, **kinds):
    """Return a benchmark with other recorded outcomes of some kinds, each (n_queries, n_models)."""
    recorded = benchmark.recorded.copy()
    for kind, values in kinds.items():
        recorded[:, PLACES[kind]] = values
    return benchmark._replace(recorded=recorded)
