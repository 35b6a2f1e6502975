"""JSON models on their way to artifacts and selectors: encoded, edited, built, converted, loaded."""

import copy
from pathlib import Path

import msgspec

from modelpick.converter import load_estimator, to_artifact
from modelpick.runtime import Selector

MISSING = object()


def encoded(value, *edits):
    return msgspec.json.encode(edited(value, *edits) if edits else value)


def edited(model, *edits):
    """Give a copy where each (dotted path, value) is put in place, added, or MISSING."""
    model = copy.deepcopy(model)
    for path, value in edits:
        *parents, last = path.split(".")
        place = model
        for step in parents:
            place = place[int(step) if isinstance(place, list) else step]
        last = int(last) if isinstance(place, list) else last
        if value is MISSING:
            del place[last]
        else:
            place[last] = value
    return model


def built(model, semantics="native", **options):
    """Return the estimator of a model, or of a file's bytes or path."""
    return load_estimator(encoded(model) if isinstance(model, dict) else model, semantics=semantics, **options)


def converted(model, semantics="native", *, k=None, shrinkage=None, **options):
    """Return the artifact of a model, or of a file's bytes or path."""
    return to_artifact(built(model, semantics, k=k, shrinkage=shrinkage), **options)


def loaded(model, semantics="native", search="auto", **options):
    """Return a selector of a model, or of a file's bytes or path."""
    return Selector.load(converted(model, semantics, exact_search=search), **options)


def contents(folder="."):
    """Return what stands in a folder: path -> bytes, or False for a folder."""
    folder = Path(folder)
    return {str(path.relative_to(folder)): path.is_file() and path.read_bytes() for path in folder.rglob("*")}
