"""Features from embeddings and categories, and requirements."""

import hashlib
import json
import logging
from pathlib import Path

import numpy as np
import pytest

from modelpick.converter import convert, load_estimator, to_artifact
from modelpick.runtime import ArtifactError, DocumentError, FeatureBuilder, FeatureError, Requirements, Selector
from modelpick.runtime.artifact.seal import seal

MODELS = Path(__file__).parents[2] / "models"
QUESTIONS = [json.loads(line) for line in (MODELS / "questions.jsonl").read_text().splitlines()]
ORDER = (
    *("math", "physics", "chemistry", "biology", "computer science", "history", "economics", "business", "law"),
    *("health", "psychology", "philosophy", "other", "unknown"),
)


@pytest.mark.parametrize("category", [*ORDER, "cooking", ""])
def test_appends_the_one_hot_of_the_category(category):
    embedding = np.arange(6, dtype=np.float32)
    place = ORDER.index(category if category in ORDER else "other")
    for given in (embedding, embedding.tolist(), embedding.astype(np.float16)):
        features = FeatureBuilder(20).build(given, category)
        assert features.dtype == (np.float32 if given is embedding else np.float64)
        assert features.tolist() == [*range(6), *(float(i == place) for i in range(14))]


def test_takes_an_embedding_alone():
    assert FeatureBuilder(6, 6).build(range(6)).tolist() == [0, 1, 2, 3, 4, 5]
    batch = FeatureBuilder(6).build_batch(np.ones((3, 6)), ["math", "law", "other"])
    assert batch.tolist() == np.ones((3, 6)).tolist()
    assert FeatureBuilder(16).build_batch(np.ones((2, 2)), ["math", "unknown"])[:, [2, 15]].tolist() == [[1, 0], [0, 1]]


MISMATCHES = {
    "another model's embedding": (
        (1038, 1024),
        (768, "math"),
        "embedding: expected 1038 features (embeddings of 1024), got 768 numbers and 14 categories",
    ),
    "no category": ((1038, None), (1024, None), "embedding: expected 1038 features, got 1024 numbers and no category"),
    "a category too many": (
        (6, 6),
        (6, "math"),
        "embedding: expected 6 features (embeddings of 6), got 6 numbers and 14",
    ),
    "widths that happen to fit": ((20, 20), (6, "math"), "(embeddings of 20), got 6 numbers and 14 categories"),
}


@pytest.mark.parametrize(("builder", "given", "message"), MISMATCHES.values(), ids=MISMATCHES)
def test_names_the_widths_that_do_not_fit(builder, given, message):
    width, category = given
    with pytest.raises(FeatureError) as caught:
        FeatureBuilder(*builder).build(np.ones(width), category)
    assert message in str(caught.value)


@pytest.mark.parametrize("embedding", ["text", [["a"]], 1.0, [[1.0]], None])
def test_refuses_what_is_no_embedding(embedding):
    with pytest.raises(FeatureError, match="embedding: expected numbers"):
        FeatureBuilder(15).build(embedding, "math")


class Tensor:
    """Cannot become an array as it is."""

    def __array__(self, dtype=None, copy=None):
        raise RuntimeError("Can't call numpy() on Tensor that requires grad. Use tensor.detach().numpy() instead.")


WHATEVER = {
    "ragged": [1.0, [2.0]],
    "strings": ["a"],
    "huge integers": [10**400],
    "set": {1.0},
    "mapping": {"a": 1.0},
    "nothing": [],
    "array of objects": np.array([1.0, None]),
    "complex": [1j],
    "tensor": Tensor(),
    "list of tensors": [Tensor()],
    "bytes": b"12345",
    "masked": np.ma.masked_array([1.0], [True]),
}


@pytest.mark.parametrize("given", WHATEVER.values(), ids=WHATEVER)
def test_whatever_is_no_embedding_is_a_feature_error(given):
    for call in (
        lambda: FeatureBuilder(15).build(given, "math"),
        lambda: FeatureBuilder(15).build_batch([given], ["math"]),
        lambda: FeatureBuilder(15).build_batch(given, ["math"]),
    ):
        with pytest.raises(FeatureError, match=r"^(embeddings?|categories): expected"):
            call()


def test_the_hint_of_a_tensor_is_passed_on(sample_artifacts):
    hint = r"got Tensor: Can't call numpy\(\) on Tensor that requires grad. Use tensor.detach\(\).numpy\(\) instead"
    with Selector.load(sample_artifacts / "mlp.onnx") as selector:
        for call in (selector.select, selector.select_batch, lambda tensor: selector.select(embedding=tensor)):
            with pytest.raises(FeatureError, match=hint):
                call(Tensor())


def test_categories_are_names_and_one_for_each_embedding():
    for category in (["math"], 5, {"math"}, b"math"):
        with pytest.raises(FeatureError, match="category: expected a name"):
            FeatureBuilder(15).build([1.0], category)
        with pytest.raises(FeatureError, match="category: expected a name"):
            FeatureBuilder(15).build_batch([[1.0]], [category])
    for categories in ("math", 5):
        with pytest.raises(FeatureError, match="categories: expected a list of names"):
            FeatureBuilder(15).build_batch([[1.0]], categories)
    with pytest.raises(FeatureError, match="expected one for each of 1 embeddings, got 2"):
        FeatureBuilder(15).build_batch([[1.0]], ["math", "law"])
    assert FeatureBuilder(15).build_batch([[1.0]], iter(["math"]))[0, 1] == 1.0


def test_an_unknown_category_is_warned_of_once_and_matching_stays_exact(caplog):
    builder = FeatureBuilder(15)
    with caplog.at_level(logging.WARNING, "modelpick"):
        for category in ("Math ", "Math ", "compter science", "cooking\nwell", "unknown", "other"):
            assert builder.build([1.0], category)[1:].argmax() == (13 if category == "unknown" else 12)
    assert caplog.messages == [
        "category: 'Math ' is unknown and counts as 'other': did you mean 'math'?",
        "category: 'compter science' is unknown and counts as 'other': did you mean 'computer science'?",
        "category: 'cooking\\nwell' is unknown and counts as 'other'",
    ]
    with caplog.at_level(logging.WARNING, "modelpick"):
        for number in range(1_000):
            builder.build([1.0], f"made up {number}")
    assert len(caplog.messages) == 100, "a flood of names is not logged, nor kept"


def test_buffers_hold_floats_by_their_length(sample_artifacts, sample_queries):
    with Selector.load(sample_artifacts / "knn.onnx") as selector:
        for query in sample_queries.astype(np.float32):
            for kind in (np.float32, np.float64):
                data = query.astype(kind).tobytes()
                for given in (data, bytearray(data), memoryview(data), memoryview(query.astype(kind))):
                    assert selector.explain(given) == selector.explain(query)
                embedding = query[:1024].astype(kind).tobytes()
                expected = selector.explain(embedding=query[:1024], category="math")
                assert selector.explain(embedding=embedding, category="math") == expected
        for size in (0, 1038, 4 * 1038 - 1, 4 * 1024):
            with pytest.raises(FeatureError, match="expected 1038 numbers"):
                selector.select(b"x" * size)


def test_selectors_take_embeddings_and_categories(sample_artifacts, sample_queries):
    for artifact in sample_artifacts.glob("*.onnx"):
        with Selector.load(artifact) as selector:
            for features, question in zip(sample_queries, QUESTIONS, strict=True):
                asked = {"embedding": features[:1024], "category": question["category"]}
                assert selector.select(**asked) == selector.select(features)
                assert selector.scores(**asked) == selector.scores(features)
                assert selector.explain(**asked) == selector.explain(features)
            for asked in ({}, {"category": "math"}, {"features": features, "embedding": features[:1024]}):
                with pytest.raises(FeatureError):
                    selector.select(**asked)
            with pytest.raises(FeatureError, match="got 768 numbers and 14 categories"):
                selector.select(embedding=np.ones(768), category="math")


def test_records_what_it_was_trained_with(sample_artifacts):
    with Selector.load(sample_artifacts / "knn.onnx") as selector:
        assert (selector.metadata.embedding_model, selector.metadata.embedding_dim) == ("hashed", 1024)
    with Selector.load(to_artifact(load_estimator(MODELS / "knn.json"))) as selector:
        assert (selector.metadata.embedding_model, selector.metadata.embedding_dim) == (None, None)


@pytest.mark.parametrize("width", [768, 0, -14, 1052])
def test_refuses_embeddings_that_cannot_be(width, tmp_path):
    with pytest.raises(DocumentError, match=f"embedding_dim: expected 1038 features, or 14 fewer .*, got {width}"):
        convert(MODELS / "kmeans.json", tmp_path / "a.onnx", embedding_dim=width)
    assert list(tmp_path.iterdir()) == []


def test_a_pinned_file_is_told_from_another_before_it_is_parsed():
    malformed = seal(b"no protocol buffer")
    with pytest.raises(ArtifactError, match="malformed"):
        Selector.load(malformed)
    with pytest.raises(ArtifactError, match="expected artifact_sha256 'ab'"):
        Selector.load(malformed, expect=Requirements(artifact_sha256="ab"))


def test_requirements_are_checked_at_load(sample_artifacts):
    path = sample_artifacts / "knn.onnx"
    with Selector.load(path) as selector:
        sha256, names = selector.metadata.source_sha256, selector.model_names
    fits = Requirements(embedding_model="hashed", embedding_dim=1024, candidates=names[:2], sha256=sha256)
    pinned = Requirements(artifact_sha256=hashlib.sha256(path.read_bytes()).hexdigest().upper())
    for expected in (fits, pinned, Requirements()):
        Selector.load(path, expect=expected).close()
    broken = {
        "expected embedding_model 'bge', got 'hashed'": Requirements(embedding_model="bge"),
        "expected embedding_dim 768, got 1024": Requirements(embedding_dim=768),
        "expected candidates gpt-9, zephyr, got an artifact of llama": Requirements(
            candidates=["gpt-9", *names, "zephyr"]
        ),
        "expected sha256 'ab', got '": Requirements(sha256="ab"),
        "expected artifact_sha256 'ab', got '": Requirements(artifact_sha256="ab"),
    }
    for message, expected in broken.items():
        with pytest.raises(ArtifactError) as caught:
            Selector.load(path, expect=expected)
        assert str(caught.value).startswith(f"{path}: ")
        assert message in str(caught.value)


def test_requirements_take_names_in_any_collection_but_not_a_name(sample_artifacts):
    path = sample_artifacts / "knn.onnx"
    for candidates in ("mistral-7b", ["mistral-7b", 5], 5):
        with pytest.raises(FeatureError, match="candidates: expected a list of names"):
            Requirements(candidates=candidates)
    for candidates in (iter(["mistral-7b"]), {"mistral-7b"}, ()):
        requirements = Requirements(candidates=candidates)
        for _ in range(2):
            Selector.load(path, expect=requirements).close()
    unmet = Requirements(candidates=iter(["gpt-9"]))
    for _ in range(2):
        with pytest.raises(ArtifactError, match="gpt-9"):
            Selector.load(path, expect=unmet)


def test_the_former_name_of_requirements_warns():
    with pytest.warns(DeprecationWarning, match="Contract is called Requirements now"):
        from modelpick.runtime import Contract
    assert Contract is Requirements
