"""Writes the measured tables of docs/ from results/: `make bench-tables`.

A table stands between ``<!-- table: NAME -->`` and ``<!-- end -->``; what is there is replaced.
"""

import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from statistics import mean
from typing import Any

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(r"(<!-- table: (.+?) -->\n).*?(<!-- end -->)", re.DOTALL)
# Selectors rarely have more.
USUAL_ROWS = 20_000
# The encoder that others are compared with.
WHOLE = "float32"
Row = Sequence[str]


def _knn() -> Any:
    return json.loads((ROOT / "benchmarks/results/results.json").read_text())


def _service() -> Any:
    return json.loads((ROOT / "benchmarks/results/service.json").read_text())


def _evidence() -> Any:
    return json.loads((ROOT / "benchmarks/results/evidence.json").read_text())


def _number(value: float) -> str:
    return f"{value:,.1f}" if value < 100 else f"{value:,.0f}"


def _ratio(peer: float | None, ours: float) -> str:
    if peer is None:
        return "—"
    ratio = peer / ours
    return f"{ratio:.2f}" if ratio < 1 else f"{ratio:.1f}" if ratio < 10 else f"{ratio:,.0f}"


def machine() -> Iterator[Row]:
    """Describe what the numbers were measured on."""
    yield ("measured on", "version")
    for name, value in _knn()["machine"].items():
        yield (name, str(value))


def knn_ratios() -> Iterator[Row]:
    """Compare with FAISS, by size of batch: microseconds a query, and FAISS's as multiples of ours.

    Of the usual sizes: the tables by size of batch show them all.
    """
    batches = {"1": "single queries", "64": "batches of 64", "1024": "of 1,024"}
    yield ("rows", *(f"{peer}, {size}" for size in batches.values() for peer in ("modelpick", "FAISS")))
    for row in (row for row in _knn()["knn"] if row["rows"] <= USUAL_ROWS):
        cells = [f"{row['rows']:,} {row['kind']}"]
        for batch in batches:
            ours, theirs = (row["microseconds"][batch][name] for name in ("modelpick", "FAISS flat"))
            cells += [_number(ours), f"{_number(theirs)} ({_ratio(theirs, ours)}×)"]
        yield cells


def _knn_times(batch: str) -> Iterator[Row]:
    """Compare all peers in batches of one size: microseconds a query, and their ratios to ours."""
    results = _knn()["knn"]
    yield ("rows", *results[0]["microseconds"][batch])
    for row in results:
        times = row["microseconds"][batch]
        ours = times["modelpick"]
        peers = [
            "—" if time is None else f"{_number(time)} ({_ratio(time, ours)})"
            for name, time in times.items()
            if name != "modelpick"
        ]
        yield (f"{row['rows']:,} {row['kind']}", _number(ours), *peers)


def knn_exactness() -> Iterator[Row]:
    """Show how many picks differ from the reference, and what an exact pick takes."""
    yield (
        "rows",
        "queries",
        "wrong picks",
        "proven at once",
        "p50, µs",
        "p99, µs",
        "p50, quiet",
        "p99, quiet",
        "MB",
        "FAISS, MB",
        "~hnswlib recall",
    )
    for row in _knn()["knn"]:
        recall = "—" if row["recall"] is None else f"{row['recall']:.1%}"
        yield (
            f"{row['rows']:,} {row['kind']}",
            f"{row['queries']:,}",
            str(row["different"]),
            f"{row['certified']:.1%}",
            *(_number(row[share]) for share in ("p50", "p99", "quiet p50", "quiet p99")),
            *(_number(size / 1e6) for size in row["bytes"].values()),
            recall,
        )


def other_algorithms() -> Iterator[Row]:
    """Compare SVM, KMeans and MLP with scikit-learn, skl2onnx's own graphs, plain layers and bare session calls."""
    peers = ("scikit-learn", "skl2onnx", "plain float32", "bare call")
    yield ("model", "batch", "modelpick, µs", *(f"{peer}, ×" for peer in peers))
    for row in _knn()["others"]:
        for batch, times in row["microseconds"].items():
            ours = times["modelpick"]
            yield (row["model"], batch, _number(ours), *(_ratio(times.get(peer), ours) for peer in peers))


def _scale() -> Any:
    return json.loads((ROOT / "benchmarks/results/scale.json").read_text())["sizes"]


def knn_scale() -> Iterator[Row]:
    """Show how time and memory grow with distinct rows, with one thread and with two."""
    yield ("distinct rows", "threads", "MB", "loaded, MB", "load, s", "single, µs", "FAISS", "of 64, µs", "FAISS")
    for size in _scale():
        for threads, found in size["threads"].items():
            times = []
            for measured in found["microseconds"].values():
                ours, theirs = measured["modelpick"], measured["FAISS flat"]
                times += [_number(ours), f"{_number(theirs)} ({_ratio(theirs, ours)})"]
            loaded = (_number(size["megabytes"]), _number(found["resident"]), f"{found['loading']:.2f}")
            yield (f"{size['rows']:,}", threads, *loaded, *times)


def knn_tail() -> Iterator[Row]:
    """Show the slowest calls of one thread, as they come and with garbage collection off."""
    shares = ("p50", "p99", "p99.9")
    quiet = ("p50", "p99")
    yield (
        "distinct rows",
        *(f"{share}, µs" for share in shares),
        *(f"{share}, no collection" for share in shares),
        *(f"{share}, quiet" for share in quiet),
    )
    for size in _scale():
        tails = size["threads"]["1"]["tails"]
        yield (
            f"{size['rows']:,}",
            *(_number(tails[way][share]) for way in ("collected", "frozen") for share in shares),
            *(_number(tails["collected"][f"quiet {share}"]) for share in quiet),
        )


def nodes() -> Iterator[Row]:
    """Show where searches spend their time: a run, a bare call, and the slowest nodes."""
    yield ("search", "run, µs", "bare call, µs", "nodes", "slowest nodes, µs with the profiler")
    for name, found in json.loads((ROOT / "benchmarks/results/nodes.json").read_text())["searches"].items():
        slowest = ", ".join(f"{node['kind']} {node['microseconds']:.0f}" for node in found["nodes"][:4])
        yield (name, _number(found["run"]), _number(found["bare call"]), str(len(found["nodes"])), slowest)


def callers() -> Iterator[Row]:
    """Show requests a second, and the slowest of a hundred, of concurrent callers of an event loop."""
    results = _service()["callers"]
    first = next(iter(next(iter(results.values())).values()))
    yield ("rows", "called by", *(f"{n} at once: a second (p99, µs)" for n in first))
    for rows, measured in results.items():
        for name, by_callers in measured.items():
            cells = [f"{found['per_second']:,.0f} ({_number(found['p99'])})" for found in by_callers.values()]
            yield (f"{int(rows):,}", f"`{name}`", *cells)


def watching() -> Iterator[Row]:
    """Show what observers, features and drift add to a request, in microseconds."""
    results = _service()["watching"]
    yield ("µs of one call", *(f"{int(rows):,} rows" for rows in results))
    for name in next(iter(results.values())):
        yield (name, *(_number(measured[name]) for measured in results.values()))


def deciding() -> Iterator[Row]:
    """Show what a decision, and ``far``, take more than a pick, in microseconds."""
    results = json.loads((ROOT / "benchmarks/results/deciding.json").read_text())["deciding"]
    yield ("µs of one call", *results)
    yield ("select", *(_number(measured["select"]) for measured in results.values()))
    for name in max(results.values(), key=len):
        if name != "select":
            more = (f"+{of[name] - of['select']:.1f}" if name in of else "—" for of in results.values())
            yield (name, *more)


def imports() -> Iterator[Row]:
    """Show what importing takes in a fresh process."""
    yield ("import", "milliseconds", "resident MB")
    for module, measured in _service()["imports"].items():
        yield (f"`{module}`", f"{measured['milliseconds']:.0f}", f"{measured['resident']:.0f}")


def evidence(part: str) -> Iterator[Row]:
    """Show what trained selectors achieve on queries that they were not trained on, with 95 % intervals."""
    yield ("picks", "quality", "over the best single model", "quality kept", "cost saved", "over the static mix")
    for policy in _evidence()[part]["policies"]:
        if policy["kind"] == "single":
            yield (f"always {policy['name']}", f"{policy['quality'][0]:.4f}", "", "", "", "")
            continue
        gain, kept, saved, over = (policy[name] for name in ("gain", "kept", "saved", "over_mix"))
        yield (
            policy["name"],
            f"{policy['quality'][0]:.4f}",
            _signed(gain),
            _percent(kept),
            _percent(saved),
            _signed(over),
        )


def families() -> Iterator[Row]:
    """Compare the families of algorithms on the same records: what they are worth, and what they take."""
    results = json.loads((ROOT / "benchmarks/results/families.json").read_text())
    knn = results["knn"]["microseconds"]
    what = ("over the best single model", "kept at `keep=1`", "saved at `keep=1`", "training, s", "a pick", "MB")
    yield ("algorithm", *what)
    for name, found in results.items():
        kept, saved = (_percent(found["keep"][of]) if found["keep"] else "—" for of in ("kept", "saved"))
        size = f"{found['bytes'] / 1e6:,.1f}"
        pick = f"{_ratio(found['microseconds'], knn)}×"
        yield (name, _signed(found["gain"]), kept, saved, f"{found['train']:.0f}", pick, size)


def _public(part: str) -> Any:
    return json.loads((ROOT / "benchmarks/results/public.json").read_text())[part]


def public() -> Iterator[Row]:
    """Show the headline of each comparison with published routers."""
    first, second = _public("routerdc"), _public("routellm")
    ours, theirs = first["contenders"]["kernel_ridge"], next(iter(first["published"].items()))
    yield ("on the records of", "measured by", "modelpick", "published (recalled)", "without a router")
    cells = (_points(ours["sets"]), f"{theirs[1]:.2f}", f"{first['best single']['sets'][0]:.2f}, the best single model")
    yield (theirs[0], "quality in percent, mean over five sets", *cells)
    recovered, published = second["contenders"]["kernel_ridge"]["APGR"], second["published"]["APGR"]
    yield ("RouteLLM, MMLU", "APGR", _shares(recovered), f"{published:.2f}", "0.50, by chance")


def public_routerdc() -> Iterator[Row]:
    """Compare with RouterDC and others by the quality of picks, in percent."""
    found, ways = _public("routerdc"), ("sets", "rows")
    over = "over the best single model"
    yield ("picks", *(cell for way in ways for cell in (f"mean over {way}", over)))
    for name, contender in found["contenders"].items():
        estimates = (cell for way in ways for cell in (contender[way], contender[over][way]))
        yield (f"`{name}`", *map(_points, estimates))
    for name, value in found["published"].items():
        yield (f"{name}, recalled", f"{value:.2f}", "", "", "")
    known = {f"always {found['best single']['name']}": found["best single"], "oracle of each question": found["oracle"]}
    for name, one in known.items():
        yield (name, _points(one["sets"]), "", _points(one["rows"]), "")
    yield ("oracle of each set", f"{found['best of each set']:.2f}", "", "", "")


def public_sets() -> Iterator[Row]:
    """Show the quality of picks on each set of RouterDC's questions, in percent."""
    found = _public("routerdc")
    yield ("picks", *(f"{name}, {count:,} questions" for name, count in found["sets"].items()))
    for name, contender in found["contenders"].items():
        yield (f"`{name}`", *(f"{value:.2f}" for value in contender["each set"].values()))
    yield ("the best model of the set", *(f"{value:.2f}" for value in found["best models"].values()))


def public_routellm() -> Iterator[Row]:
    """Compare with RouteLLM on its pair: means of draws, and the least and the greatest of them."""
    found, measures, over = _public("routellm"), ("APGR", "CPT50", "CPT80"), "over the default"
    contenders = found["contenders"]
    default = next(iter(contenders))
    yield ("router", *(cell for measure in measures for cell in (measure, "draws")), f"APGR over `{default}`")
    for name, one in contenders.items():
        cells = []
        for measure in measures:
            values = [draw[measure][0] for draw in one["draws"]]
            cells += [_shares(one[measure]), f"{min(values):.3f} to {max(values):.3f}"]
        yield (f"`{name}`", *cells, "" if name == default else _signed(one[over]["APGR"]))
    published = (f"{found['published'][name]:.2f}" if name in found["published"] else "" for name in measures)
    yield ("RouteLLM's best, recalled", *chain.from_iterable((value, "") for value in published), "")


def public_costs() -> Iterator[Row]:
    """Show what tuning and training take in CPU seconds, and a pick in microseconds, in one thread."""
    yield ("records", "artifact", "settings of each seed", "tuning, s", "training, s", "a pick, µs")
    runs = {("RouterDC", name): found["seeds"] for name, found in _public("routerdc")["contenders"].items()}
    runs |= {("RouteLLM", name): found["draws"] for name, found in _public("routellm")["contenders"].items()}
    for (title, name), of_seeds in runs.items():
        means = (f"{mean(one[of] for one in of_seeds):.1f}" for of in ("tuning", "training"))
        tuned = [key for key in ("gamma", "ridge", "landmarks", "k", "evidence") if key in of_seeds[0]]
        chosen = Counter(" ".join(f"{key} {one[key]:g}" for key in tuned if one[key] is not None) for one in of_seeds)
        settings = ", ".join(f"{count} × {which}" for which, count in chosen.most_common())
        yield (title, f"`{name}`", settings, *means, f"{min(one['microseconds'] for one in of_seeds):,.0f}")


def tuning() -> Iterator[Row]:
    """Show what the choices of rules of tuning are worth, compared with the first rule, in percent."""
    measured = json.loads((ROOT / "benchmarks/results/tuning.json").read_text())
    first, *others = next(iter(measured.values()))
    yield ("rule", *(cell for name in measured for cell in (f"{name}: utility", f"over {first}")))
    for rule in (first, *others):
        cells = []
        for found in measured.values():
            gain = "" if rule == first else _points(found[rule]["over the first"], sign="+")
            cells += [f"{found[rule]['utility'][0]:.2f}", gain]
        yield (rule, *cells)


def ideas(data: str) -> Iterator[Row]:
    """Show what ideas for better picks came to in cross-validation over training rows, compared with the product."""
    results = json.loads((ROOT / "benchmarks/results/ideas.json").read_text())[data]
    labels = {"rows": "mean over rows", "sets": "mean over sets", "other tasks": "other tasks", "saved": "saved, %"}
    ways = {way: label for way, label in labels.items() if way in results["ideas"][results["product"]]}
    over = "over the product"
    yield (f"idea (seeds: {results['seeds']})", "error", *(cell for label in ways.values() for cell in (label, over)))
    for idea, found in results["ideas"].items():
        is_product = idea == results["product"]
        cells = []
        for way in ways:
            cells += [f"{found[way]['value'][0]:.2f}", "" if is_product else _points(found[way][over], sign="+")]
        yield (f"{idea}: the product" if is_product else idea, f"{found['error']:.5f}", *cells)


def _shares(estimate: Sequence[float]) -> str:
    value, low, high = estimate
    return f"{value:.3f} [{low:.3f}, {high:.3f}]"


def _points(estimate: Sequence[float], sign: str = "") -> str:
    value, low, high = estimate
    return f"{value:{sign}.2f} [{low:{sign}.2f}, {high:{sign}.2f}]"


def _signed(estimate: Sequence[float]) -> str:
    value, low, high = estimate
    return f"{value:+.3f} [{low:+.3f}, {high:+.3f}]"


def _percent(estimate: Sequence[float]) -> str:
    value, low, high = estimate
    return f"{value:.1%} [{low:.1%}, {high:.1%}]"


def _encoder() -> Any:
    return json.loads((ROOT / "benchmarks/results/encoder.json").read_text())


def encoder_losses() -> Iterator[Row]:
    """Show how an encoder's embeddings differ from those that were recorded, by its weights."""
    ways = ("one by one", "in one batch")
    yield ("weights", "MB", *(f"{what}, {way}" for way in ways for what in ("largest difference", "lowest cosine")))
    for name, found in _encoder()["losses"].items():
        cells = [
            text for way in ways for text in (f"{found[f'difference, {way}']:.1e}", f"{found[f'cosine, {way}']:.6f}")
        ]
        yield (name, _number(found["megabytes"]), *cells)


def _prompts() -> Any:
    return json.loads((ROOT / "benchmarks/results/prompts.json").read_text())


def encoder_prompts() -> Iterator[Row]:
    """Compare a pick for a prompt with the tokenizer alone, with tokenizer and session, and others: milliseconds."""
    parts = {
        "tokenizer": "tokenizer alone",
        "tokenizer and session": "with a session",
        "model2vec": "model2vec",
        "fastembed": "fastembed",
        "sentence-transformers": "sentence-transformers",
    }
    results = _prompts()["prompts"]
    known = {name for by_length in results.values() for found in by_length.values() for name in found}
    parts = {name: label for name, label in parts.items() if name in known}
    yield (
        "encoder, selector",
        "tokens",
        "prompt to name: p50 (p90, p99)",
        *(f"{one} (ratio)" for one in parts.values()),
    )
    for label, by_length in results.items():
        for tokens, found in by_length.items():
            p50, p90, p99 = (found["prompt to name"][name] for name in ("p50", "p90", "p99"))
            medians = (found[name]["p50"] if name in found else None for name in parts)
            cells = ("—" if part is None else f"{part:.3f} ({p50 / part:.2f})" for part in medians)
            yield (label, tokens, f"{p50:.3f} ({p90:.3f}, {p99:.3f})", *cells)


def encoder_parts() -> Iterator[Row]:
    """Show where the time of a pick for a prompt goes, in microseconds, and what a far too long prompt takes."""
    results = _prompts()
    first = next(iter(results["parts"].values()))
    yield ("encoder, selector", *(f"{name}, µs" for name in first), "400,000 characters, ms")
    for label, found in results["parts"].items():
        yield (label, *(_number(value) for value in found.values()), f"{results['long'][label]:.1f}")


def encoder_worth() -> Iterator[Row]:
    """Compare what picks are worth by an encoder's weights, with paired 95 % intervals."""
    results = json.loads((ROOT / "benchmarks/results/encoder_worth.json").read_text())["records"]
    yield (
        "records",
        "encoder",
        "quality",
        "over the best single model",
        f"over {WHOLE}",
        "saved at 1",
        "saved at 0.95",
    )
    for name, splits in results.items():
        for split, found in splits.items():
            for encoder, one in found["encoders"].items():
                saved = (_percent(one[key]) if key in one else "—" for key in ("saved at 1", "saved at 0.95"))
                gains = (_signed(one["over single"]), "—" if encoder == WHOLE else _signed(one["over whole"]))
                value, low, high = one["quality"]
                quality = f"{value:.4f} [{low:.4f}, {high:.4f}]"
                yield (f"{name}, {split}, {found['queries']:,}", encoder, quality, *gains, *saved)


def encoder_many() -> Iterator[Row]:
    """Compare embedding many questions with what no batch of them saves."""
    found = _encoder()["many"]
    yield (f"{found['texts']:,} questions, {found['tokens']:,} tokens", "seconds", "share")
    for name, label in (
        ("milliseconds", "`embed`"),
        ("floor", "their tokens without padding"),
        ("products", "the products alone, in numpy"),
    ):
        yield (label, f"{found[name] / 1e3:.1f}", f"{found[name] / found['milliseconds']:.0%}")


def command_starts() -> Iterator[Row]:
    """Show how long each command takes to start."""
    yield ("command", "milliseconds", "of the processor", "MB")
    for command, found in json.loads((ROOT / "benchmarks/results/starts.json").read_text())["starts"].items():
        numbers = (f"{found[name]:,.0f}" for name in ("milliseconds", "processor", "megabytes"))
        yield (f"`modelpick {command}`", *numbers)


def training_scale() -> Iterator[Row]:
    """Show what training takes on many questions."""
    yield ("questions", "seconds", "processor, s", "MB", "JSON, MB")
    for found in json.loads((ROOT / "benchmarks/results/training_scale.json").read_text())["training"]:
        numbers = (found[name] for name in ("seconds", "processor", "megabytes"))
        yield (f"{found['questions']:,}", *(f"{number:,.0f}" for number in numbers), f"{found['document']:.1f}")


def encoder_starts() -> Iterator[Row]:
    """Show what importing and loading take in a fresh process, by weights."""
    measured = _encoder()["starts"]
    yield ("process", *(f"{weights}, {unit}" for weights in measured for unit in ("milliseconds", "resident MB")))
    for name in next(iter(measured.values())):
        found = [measured[weights][name] for weights in measured]
        yield (name, *(f"{one[unit]:.0f}" for one in found for unit in ("milliseconds", "resident")))


def gateway() -> Iterator[Row]:
    """Show what the gateway adds to a request, in milliseconds."""
    results = json.loads((ROOT / "benchmarks/results/gateway.json").read_text())["callers"]
    first = next(iter(results.values()))
    yield ("asked", *(f"{n} at once: p50, ms (p99)" for n in first))
    for name, by_callers in results.items():
        yield (name, *(f"{found['p50']:.2f} ({found['p99']:.2f})" for found in by_callers.values()))


def promises() -> Iterator[Row]:
    """Show what selectors kept and saved by a promise, trained again and again."""
    results = json.loads((ROOT / "benchmarks/results/promise.json").read_text())
    yield ("trained on", f"kept {results['plan']['enough']:g} or more", "refused", "kept: mean", "least", "saved: mean")
    for name, found in results["learned_from"].items():
        one = found["summary"]
        kept, least, saved = (f"{one[part]:.1%}" for part in ("kept_mean", "kept_least", "saved_mean"))
        yield (name, f"{one['kept_enough']} of {one['seeds']}", f"{one['refused']}", kept, least, saved)


def logs() -> Iterator[Row]:
    """Show how often intervals from logs hold what complete records say, their half-widths, and the verdicts."""
    results = json.loads((ROOT / "benchmarks/results/logs.json").read_text())
    judged, worth = {"gain": ".3f", "saved": ".1%"}, "worth calling"
    yield (
        "log",
        "picks",
        *(text for kind in judged for text in (f"{kind}: truth", "mean", "half-width", "held")),
        worth,
    )
    for name, found in results["logs"].items():
        for policy, summary in found["summary"].items():
            cells = []
            for kind, style in judged.items():
                one, truth = summary[kind], results["truth"]["policies"][policy][kind][0]
                numbers = (f"{number:{style}}" for number in (truth, one["mean"], one["half_width"]))
                cells += [*numbers, f"{one['held']} of {one['of']}"]
            verdicts = [run["policies"][policy]["verdict"] for run in found["runs"]]
            cells.append(f"{sum(text.lower().startswith(worth) for text in verdicts)} of {len(verdicts)}")
            yield (name, policy.removeprefix("selector ").replace("selector", "default"), *cells)


def confounded() -> Iterator[Row]:
    """Show how often logs without propensities are said to depend on their questions."""
    results = json.loads((ROOT / "benchmarks/results/confounded.json").read_text())
    policies = results["policies"]
    answers = next(iter(policies.values()))["found"]
    yield ("policy of the log", "looks at the question", *(f"{int(number):,} answers" for number in answers))
    for name, one in policies.items():
        found = (f"{count} of {results['logs']}" for count in one["found"].values())
        yield (name, "yes" if one["looks"] else "no", *found)


def complete() -> Iterator[Row]:
    """Show what complete records take, beside a commit without estimates from logs."""
    results = json.loads((ROOT / "benchmarks/results/complete.json").read_text())
    yield ("command", "CPU seconds", "before", "ratio")
    for what, taken in results["seconds"].items():
        yield (f"`{what}`", f"{taken['this']:.2f}", f"{taken['other']:.2f}", f"{results['ratio'][what]:.2f}")


def _unseen(part: str) -> Any:
    return json.loads((ROOT / "benchmarks/results/unseen.json").read_text())[part]


_QUESTIONS, _ERRORS = ("five folds", "shifted"), {"calibration error": "error", "by chance": "by_chance"}


def predictions() -> Iterator[Row]:
    """Show how predicted quality compares with the recorded one."""
    yield ("questions", "selector", "answers", "predicted - recorded", "calibration error", "by chance", "Brier score")
    for name, measured in _unseen("calibration").items():
        for questions in _QUESTIONS:
            one = measured[questions]
            for of in (one["all"], one["highest"], *one["categories"]):
                errors = (f"{of[key]:.3f}" for key in ("error", "by_chance"))
                brier = f"{of['brier']['value']:.3f}"
                yield (
                    questions,
                    f"`{name}`",
                    f"{of['of']}: {of['answers']:,}",
                    _signed(_ends(of["excess"])),
                    *errors,
                    brier,
                )


def reliability() -> Iterator[Row]:
    """Show predicted and recorded quality of ten bins of answers, over five folds."""
    found = {name: measured["five folds"]["all"]["bins"] for name, measured in _unseen("calibration").items()}
    yield ("bin", *(f"{name}: {what}" for name in found for what in ("predicted", "recorded")))
    for place, bins in enumerate(zip(*found.values(), strict=True), 1):
        cells = (cell for one in bins for cell in (f"{one['predicted']:.3f}", _spanned(one["recorded"])))
        yield (str(place), *cells)


def corrections() -> Iterator[Row]:
    """Show what corrections of predictions by other questions' records would bring."""
    yield ("selector", "corrected by", *(f"{questions}: {what}" for questions in _QUESTIONS for what in _ERRORS))
    for name, measured in _unseen("calibration").items():
        as_is = {questions: measured[questions]["all"] for questions in _QUESTIONS}
        for way, found in {"nothing": as_is, **measured["corrected"]}.items():
            cells = (f"{found[questions][key]:.3f}" for questions in _QUESTIONS for key in _ERRORS.values())
            yield (f"`{name}`", way, *cells)


def enough() -> Iterator[Row]:
    """Show what picks by ``at_least`` reach."""
    kinds = {"five folds": "at_least", "shifted": "at_least, shifted"}
    yield (
        "selector",
        "`at_least`",
        *(cell for name in kinds for cell in (f"{name}: predicted to reach it", "quality")),
    )
    for name, measured in _unseen("calibration").items():
        for quality in measured["at_least"]:
            of = [measured[kind][quality] for kind in kinds.values()]
            cells = (cell for one in of for cell in (f"{one['reached']:.0%}", _spanned(one["quality"])))
            yield (f"`{name}`", quality, *cells)


def unseen_tasks() -> Iterator[Row]:
    """Show the gain over the default model on tasks that training did not see, before and after `far`."""
    yield ("left out", "selector", "questions", "gain", "far", "gain with far=0.99")
    for name, measured in _unseen("tasks").items():
        for records, parts in measured.items():
            for one in parts:
                cells = (
                    f"{one['queries']:,}",
                    _signed(_ends(one["gain"])),
                    f"{one['far']:.0%}",
                    _signed(_ends(one["gain_with_far"])),
                )
                yield (f"{records}: {one['group']}", f"`{name}`", *cells)


def few_answers() -> Iterator[Row]:
    """Show what is kept where a third of the models was added by a few answers each."""
    new = "answers of each new model"
    yield ("selector", new, "quality", "kept of training on all answers", "over the other models alone")
    for name, found in _unseen("models").items():
        yield (f"`{name}`", "none", _spanned(found["without"]), "", "")
        for one in found["few"]:
            estimates = (_spanned(one["quality"]), _percent(_ends(one["kept"])), _signed(_ends(one["gain"])))
            yield (f"`{name}`", str(one["answers"]), *estimates)
        yield (f"`{name}`", "all", _spanned(found["all"]), "", "")
    yield ("the best single model", "", _spanned(found["single"]), "", "")


def rewording() -> Iterator[Row]:
    """Show how often picks change where questions are reworded."""
    yield ("questions", "selector", "picks", "change by rewording", "not the default", "gain over the default")
    for questions, found in _unseen("words").items():
        for one in found:
            shares = (_percent(_ends(one[key])) for key in ("flips", "leaves"))
            yield (questions, f"`{one['name']}`", one["way"], *shares, _signed(_ends(one["gain"])))


def many_models() -> Iterator[Row]:
    """Show picks among many models that differ little, and what they take."""
    yield ("models", "selector", "gain over the best single model", "a pick, µs", "of 500 at once, µs")
    for name, of_algorithms in _unseen("many").items():
        for algorithm, one in of_algorithms.items():
            times = (f"{one['microseconds'][key]:.0f}" for key in ("one", "of 500"))
            yield (name, f"`{algorithm}`", _signed(_ends(one["gain"])), *times)


def _ends(estimate: Any) -> list[float]:
    return [estimate["value"], estimate["low"], estimate["high"]]


def _spanned(estimate: Any) -> str:
    return _shares(_ends(estimate))


TABLES: dict[str, Callable[[], Iterator[Row]]] = {
    "machine": machine,
    "knn-ratios": knn_ratios,
    "knn-single": lambda: _knn_times("1"),
    "knn-batch-64": lambda: _knn_times("64"),
    "knn-batch-1024": lambda: _knn_times("1024"),
    "knn-exactness": knn_exactness,
    "knn-scale": knn_scale,
    "knn-tail": knn_tail,
    "nodes": nodes,
    "other-algorithms": other_algorithms,
    "callers": callers,
    "watching": watching,
    "deciding": deciding,
    "imports": imports,
    "families": families,
    "public": public,
    "public-routerdc": public_routerdc,
    "public-sets": public_sets,
    "public-routellm": public_routellm,
    "public-costs": public_costs,
    "tuning": tuning,
    "ideas-routerdc": lambda: ideas("RouterDC"),
    "ideas-llmrouter": lambda: ideas("LLMRouter"),
    "evidence": lambda: evidence("crossvalidated"),
    "evidence-held-out": lambda: evidence("held_out"),
    "encoder-losses": encoder_losses,
    "encoder-many": encoder_many,
    "encoder-parts": encoder_parts,
    "encoder-prompts": encoder_prompts,
    "encoder-worth": encoder_worth,
    "command-starts": command_starts,
    "training-scale": training_scale,
    "encoder-starts": encoder_starts,
    "gateway": gateway,
    "promises": promises,
    "predictions": predictions,
    "reliability": reliability,
    "corrections": corrections,
    "enough": enough,
    "unseen-tasks": unseen_tasks,
    "few-answers": few_answers,
    "rewording": rewording,
    "many-models": many_models,
    "logs": logs,
    "confounded": confounded,
    "complete": complete,
}


def markdown(rows: Iterator[Row]) -> str:
    """Write a table, its first row the heading; all columns but the first are numbers."""
    header, *body = rows
    ruler = ("---", *("--:" for _ in header[1:]))
    return "".join(f"| {' | '.join(cells)} |\n" for cells in (header, ruler, *body))


def filled(text: str) -> str:
    """Return a page with its tables written anew.

    Raises
    ------
    KeyError
        When a block names a table that does not exist.
    """
    return BLOCK.sub(lambda block: block[1] + markdown(TABLES[block[2]]()) + block[3], text)


def main() -> None:
    """Write the tables of every page."""
    for page in PAGES:
        text = page.read_text()
        if text != filled(text):
            page.write_text(filled(text))
            print(f"{page.relative_to(ROOT)}: written")


if __name__ == "__main__":
    main()
