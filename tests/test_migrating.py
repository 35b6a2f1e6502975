"""The pages on migrating: what they name of modelpick is there, and their hours go with real data, too."""

import csv
import gzip
import json
import re
from inspect import Parameter, signature

import numpy as np
import pytest
import typer

import modelpick.converter
import modelpick.runtime
import modelpick.runtime.text
from modelpick.converter.algorithms import TABLE
from modelpick.converter.cli.app import app
from modelpick.converter.cli.train import Algorithm
from modelpick.converter.training.embeddings import embedding_key
from modelpick.converter.training.record import Record
from modelpick.runtime import Selector, SelectorStore, request
from support.command import modelpick as command_line
from support.pages import ROOT
from support.recorded import ROUTING, SHARED

PAGES = sorted((ROOT / "docs/migrating").glob("*.md"))
COMMANDS = typer.main.get_command(app).commands
OPTIONS = {
    name: {option for one in command.params for option in (*one.opts, *one.secondary_opts)}
    for name, command in COMMANDS.items()
}
PACKAGES = (modelpick.runtime, modelpick.runtime.text, modelpick.converter)
# Keywords of a request, and of what loads a selector.
KEYWORDS = {name for kind in (request.Request, request.Given) for name in kind.__annotations__} | {
    name for name, one in signature(Selector.load).parameters.items() if one.kind is not Parameter.POSITIONAL_ONLY
}
GATEWAY = set(re.findall(r"^(?:\[+)?(\w+)", (ROOT / "docs/gateway.md").read_text(), re.MULTILINE))
FIELDS = {*Record.__struct_fields__, "input_price", "output_price"}
SEMANTICS = {rules.semantics for rules in TABLE.values()}
# Whole words of the original's and of scikit-learn's that a row repeats.
OTHERS = {"MLPClassifier", "SVC", "Train", "auto", "modelRefs", "native", "queries", "other", "with"}


def rows(page):
    """Return the last cell of each row of the page's tables that say what modelpick has, and the rest of the row."""
    found = []
    for line in page.read_text().splitlines():
        cells = [cell.strip() for cell in line.strip("|").split(" | ")]
        if line.startswith("| ") and len(cells) >= 2 and not set(line) <= set("| -"):
            found.append((" | ".join(cells[:-1]), cells[-1].removesuffix(" |")))
    return found


def is_there(word):
    """Whether a word in backticks is the name of something that modelpick has."""
    name, *rest = word.split()
    if name == "modelpick":
        return bool(rest) and {one for one in rest[1:] if one.startswith("-")} <= OPTIONS[rest[0]]
    if name.startswith("--"):
        options = set.union(*OPTIONS.values())
        return name in options and (name != "--algorithm" or {*rest} <= {*Algorithm})
    if re.fullmatch(r"\w+=.*", word):
        return word.partition("=")[0] in KEYWORDS
    if re.fullmatch(r"[\w.]*\.(json|npz|onnx|pt|py|toml)", word):  # a file's
        return True
    called = re.fullmatch(r"([A-Za-z_.]+)(?:\((.*)\))?", word)
    first, *steps = called[1].split(".") if called else [word]
    for package in PACKAGES:
        if first in package.__all__:
            target = getattr(package, first)
            for step in steps:
                target = getattr(target, step, None)
            keywords = re.findall(r"(\w+)=", (called[2] or "").partition('"')[0]) if called else []
            known = set(signature(target).parameters) | KEYWORDS if callable(target) else set()
            return target is not None and set(keywords) <= known
    return word in OTHERS | SEMANTICS | GATEWAY | FIELDS


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_name_of_modelpick_is_there(page):
    found = rows(page)
    assert len(found) > 20
    for _, ours in found:
        for word in re.findall(r"`([^`]+)`", ours):
            assert is_there(word), f"{word}: {ours}"


@pytest.mark.parametrize(
    "word",
    ["modelpick train --knn-k", "--knn-k", "Selector.pick", "pool=", "Picker", "native/9", "Requirements(width=1)"],
)
def test_a_name_that_is_not_there_is_found(word):
    assert not is_there(word)


def test_each_row_has_a_counterpart_or_says_that_there_is_none():
    for page in PAGES:
        for theirs, ours in rows(page):
            assert theirs
            assert ours, theirs


def lines(path):
    with gzip.open(path, "rt", encoding="utf-8", newline="\n") as file:
        return [json.loads(line) for line in file]


def of_questions(records, questions):
    """Take the records of the first questions."""
    kept = set(list(dict.fromkeys(one["query"] for one in records))[:questions])
    return [one for one in records if one["query"] in kept]


def run(*arguments):
    done = command_line(*map(str, arguments))
    assert done.returncode == 0, done.stderr
    return done


needs_shared = pytest.mark.skipif(not ROUTING.exists(), reason="needs the shared data")


@needs_shared
def test_the_originals_published_file_and_a_benchmark_are_served(tmp_path):
    model = tmp_path / "kmeans_model.json"
    model.write_bytes(gzip.decompress((SHARED / "real/kmeans_published_1038.json.gz").read_bytes()))
    run("convert", model, "-o", tmp_path / "store")
    records = lines(SHARED / "real/benchmark_test.jsonl.gz")
    questions = list(dict.fromkeys(one["query"] for one in records))
    for part, chosen in (("output", questions[::2]), ("held_out", questions[1::2])):
        kept = [json.dumps(one) + "\n" for one in records if one["query"] in set(chosen)]
        (tmp_path / f"{part}.jsonl").write_text("".join(kept))
    given = ("--embeddings", ROUTING / "embeddings.npz")
    out = ("-o", tmp_path / "router.json", "--algorithm", "kmeans")
    run("train", "--data", tmp_path / "output.jsonl", *given, *out)
    run("convert", tmp_path / "router.json", "-o", tmp_path / "store")
    artifact = tmp_path / "store/router.onnx"
    verdict = run("evaluate", artifact, "--data", tmp_path / "held_out.jsonl", *given).stdout.splitlines()[-1]
    assert verdict[2:].startswith("router: ")
    document = json.loads(model.read_text())
    queries = np.random.default_rng(0).normal(size=(20, 1024))
    nearest = [
        np.linalg.norm(np.array(document["centroids"]) - [*query, 1, *[0] * 13], axis=1).argmin() for query in queries
    ]
    with SelectorStore(tmp_path / "store", require=["kmeans_model", "router"]) as store:
        # The pool of its pages; one of the four won no cluster, and can never be picked.
        pool = {"candidates": ["codellama-7b", "llama-3.2-1b", "llama-3.2-3b", "mistral-7b"]}
        picked = [store["kmeans"].select(embedding=query, category="math", **pool) for query in queries]
        assert picked == [document["cluster_models"][cluster] for cluster in nearest]
        assert picked == [store["kmeans"].select(embedding=query, category="math") for query in queries]
        assert store["router"].select(embedding=queries[0, :384], category="math") in store["router"].model_names


@needs_shared
def test_llmrouters_records_come_to_a_verdict(tmp_path):
    embeddings = np.load(ROUTING / "embeddings.npz")
    row = {str(key): number for number, key in enumerate(embeddings["key"])}
    ids = {}
    for name, questions in (("train3000", 300), ("test500", 150)):
        with (tmp_path / f"{name}.jsonl").open("w") as file:
            for one in of_questions(lines(ROUTING / f"llmrouter_{name}.jsonl.gz"), questions):
                tokens = {"input_tokens": 100, "output_tokens": 200, "token_num": 300}
                told = {"task_name": f"mmlu_{one['category']}", "embedding_id": ids.setdefault(one["query"], len(ids))}
                file.write(json.dumps(one | told | tokens | {"category": None, "cost": None}) + "\n")
    kept = embeddings["embedding"][[row[embedding_key(question)] for question in ids]]
    np.savez(tmp_path / "e.npz", embedding_id=list(ids.values()), embedding=kept)
    records = lines(ROUTING / "llmrouter_train3000.jsonl.gz")
    (tmp_path / "tasks.json").write_text(json.dumps({f"mmlu_{one['category']}": one["category"] for one in records}))
    models = sorted({one["model_name"] for one in records})
    prices = {
        model: {"size": "7B", "input_price": 0.2 + place, "output_price": 0.2} for place, model in enumerate(models)
    }
    (tmp_path / "default_llm.json").write_text(json.dumps(prices))
    given = ("--embeddings", tmp_path / "e.npz", "--categories", tmp_path / "tasks.json")
    given = (*given, "--prices", tmp_path / "default_llm.json")
    trained = run(
        "train",
        "--data",
        tmp_path / "train3000.jsonl",
        *given,
        "-o",
        tmp_path / "r.json",
        "--algorithm",
        "kernel_ridge",
    )
    assert "read as LLMRouter's routing data: 300 questions, 9 models: " in trained.stderr
    run("convert", tmp_path / "r.json", "-o", tmp_path)
    told = json.loads(
        run("evaluate", tmp_path / "r.onnx", "--data", tmp_path / "test500.jsonl", *given, "--json").stdout
    )
    single = next(one for one in told["results"] if one["name"] == models[1])
    assert single["cost"]["value"] == pytest.approx((100 * 1.2 + 200 * 0.2) / 1e6)
    assert [verdict["policy"] for verdict in told["headlines"]] == ["r"]


@needs_shared
def test_routellms_tables_come_to_a_verdict(tmp_path):
    tables = {}
    for one in lines(ROUTING / "routellm_mmlu.jsonl.gz"):
        tables.setdefault(one["set"], {}).setdefault(one["query"], {})[one["model_name"]] = bool(one["performance"])
    weak, strong = "mixtral-8x7b", "gpt-4-1106"
    for part, (first, last) in {"train": (0, 6), "test": (6, 18)}.items():
        (tmp_path / part).mkdir()
        for name, questions in tables.items():
            with (tmp_path / part / f"mmlu_{name}.csv").open("w", newline="") as file:
                table = csv.writer(file)
                table.writerow(["prompt", "mistralai/Mixtral-8x7B-Instruct-v0.1", "gpt-4-1106-preview"])
                table.writerows([query, one[weak], one[strong]] for query, one in [*questions.items()][first:last])
    given = ("--embeddings", ROUTING / "embeddings_public.npz")
    out = ("-o", tmp_path / "r.json", "--algorithm", "kernel_ridge", "--features", "embedding")
    trained = run("train", "--data", tmp_path / "train", *given, *out)
    assert f"read as RouteLLM's table: {57 * 6} questions, 2 models: mistralai/Mixtral" in trained.stderr
    run("convert", tmp_path / "r.json", "-o", tmp_path)
    pair = ("--pair", "mistralai/Mixtral-8x7B-Instruct-v0.1", "gpt-4-1106-preview")
    held_out = ("--data", tmp_path / "test", *given)
    told = json.loads(run("evaluate", tmp_path / "r.onnx", *held_out, *pair, "--json").stdout)
    chosen = [one for questions in tables.values() for one in [*questions.values()][6:18]]
    for name, ours in ((pair[1], weak), (pair[2], strong)):
        single = next(one for one in told["results"] if one["name"] == name)
        assert single["quality"]["value"] == pytest.approx(np.mean([one[ours] for one in chosen]))
    assert 0 < told["recoveries"][0]["apgr"]["value"] < 1
    assert [verdict["policy"] for verdict in told["headlines"]] == ["r"]
