"""Digests of questions that a model was trained on."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelpick.converter import convert
from modelpick.converter.artifact.restore import to_json
from modelpick.converter.formats.questions import digests, from_field, to_field
from modelpick.converter.training.records import read_records
from modelpick.converter.training.train import train, trainer, training_data
from modelpick.runtime import DocumentError
from support.recorded import routed


def test_digests_are_restored_with_the_model_and_checked(tmp_path):
    artifact = tmp_path / "a.onnx"
    document = train(training_data(read_records(routed(80))), trainer("kernel_ridge"))
    convert(json.dumps(document).encode(), artifact, samples=0)
    restored = json.loads(to_json(artifact))
    assert set(from_field(restored["training_questions"])) == set(digests(f"q{i}" for i in range(80)))
    for broken in ("?", "AAAA"):
        with pytest.raises(DocumentError, match=r"\$\.training_questions: expected digests of 8 bytes in base64"):
            convert(json.dumps(restored | {"training_questions": broken}).encode(), artifact.with_name("b.onnx"))


@given(st.lists(st.text(), max_size=5))
def test_questions_are_known_by_their_words(questions):
    field = to_field(questions)
    changed = [f"  {question.upper().lower()}\n" for question in questions]
    plain = [question.upper().lower() for question in questions]
    assert np.array_equal(digests(changed), digests(plain))
    assert np.isin(digests(questions), from_field(field)).all()
    assert len(from_field(field)) <= len(questions)
