"""Features from embeddings and categories, and requirements."""

import json
from pathlib import Path

import numpy as np
import pytest

from modelpick.converter import build_estimator, convert, load_document, to_artifact
from modelpick.runtime import ArtifactError, DocumentError, FeatureBuilder, FeatureError, Requirements, Selector

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
        assert features.dtype == np.float64
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
    document = load_document(MODELS / "knn.json")
    with Selector.load(to_artifact(build_estimator(document), document=document)) as selector:
        assert (selector.metadata.embedding_model, selector.metadata.embedding_dim) == (None, None)


@pytest.mark.parametrize("width", [768, 0, -14, 1052])
def test_refuses_embeddings_that_cannot_be(width, tmp_path):
    with pytest.raises(DocumentError, match=f"embedding_dim: expected 1038 features, or 14 fewer .*, got {width}"):
        convert(MODELS / "kmeans.json", tmp_path / "a.onnx", embedding_dim=width)
    assert list(tmp_path.iterdir()) == []


def test_requirements_are_checked_at_load(sample_artifacts):
    path = sample_artifacts / "knn.onnx"
    with Selector.load(path) as selector:
        sha256, names = selector.metadata.source_sha256, selector.model_names
    fits = Requirements(embedding_model="hashed", embedding_dim=1024, candidates=names[:2], sha256=sha256)
    for expected in (fits, Requirements()):
        Selector.load(path, expect=expected).close()
    broken = {
        "expected embedding_model 'bge', got 'hashed'": Requirements(embedding_model="bge"),
        "expected embedding_dim 768, got 1024": Requirements(embedding_dim=768),
        "expected candidates gpt-9, zephyr, got an artifact of llama": Requirements(
            candidates=["gpt-9", *names, "zephyr"]
        ),
        "expected sha256 'ab', got '": Requirements(sha256="ab"),
    }
    for message, expected in broken.items():
        with pytest.raises(ArtifactError) as caught:
            Selector.load(path, expect=expected)
        assert str(caught.value).startswith(f"{path}: ")
        assert message in str(caught.value)


def test_the_former_name_of_requirements_warns():
    with pytest.warns(DeprecationWarning, match="Contract is called Requirements now"):
        from modelpick.runtime import Contract
    assert Contract is Requirements
