"""Keywords named by a `TypedDict`: signatures spell them out, and unknown keywords are refused."""

import inspect
from collections.abc import Callable, Collection, Mapping
from typing import TypeVar, get_args

from .decision.outcomes import PRICES

_F = TypeVar("_F", bound=Callable[..., object])
# What takes an objective takes outcomes in the place of those that are predicted as well.
_GIVEN = tuple(kind.given for kind in PRICES)
# How alike a keyword and a known one must be, from 0 to 1, for the keyword to be taken for a misspelling.
ALIKE = 0.4
# Keywords of others: the weights of an objective are often passed as keywords.
_ELSEWHERE = {
    **{kind.weight: f"objective=Objective({kind.weight}=...)" for kind in PRICES},
    **{name: f"decide(..., {name}=...)" for name in ("key", "explore", "margin")},
    "unknown_candidates": "load(..., unknown_candidates=...)",
}


def spelled_out(function: _F) -> _F:
    """Spell out, in a function's signature, the keywords of its ``**`` parameter, an `Unpack` of a `TypedDict`.

    Type checkers read the keywords from the annotation; `inspect.signature`, and therefore `help` and notebooks, do
    not. The keywords are None by default.
    """
    signature = inspect.signature(function)
    *named, rest = signature.parameters.values()
    (typed,) = get_args(rest.annotation)
    annotations: dict[str, object] = typed.__annotations__
    if "objective" in annotations:
        annotations = {**annotations, **dict.fromkeys(_GIVEN, annotations["costs"])}
    keywords = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=kind)
        for name, kind in annotations.items()
    ]
    function.__dict__["__signature__"] = signature.replace(parameters=[*named, *keywords])
    return function


def refuse_unknown(given: Mapping[str, object], known: Collection[str]) -> None:
    """Refuse unknown keywords.

    Raises
    ------
    TypeError
        When a keyword is unknown. The message names the first unknown keyword, and the known keyword most like it.
    """
    known = (*known, *_GIVEN) if "objective" in known else known
    name = next((name for name in given if name not in known), None)
    if name is None:
        return
    from difflib import get_close_matches  # takes longer to import than most of this package

    choices = [*known, *(_ELSEWHERE if "objective" in known else ())]
    near = get_close_matches(name, choices, 1, ALIKE)
    hint = f"did you mean {_ELSEWHERE.get(near[0], near[0])}?" if near else f"expected some of {', '.join(known)}"
    raise TypeError(f"unexpected keyword argument {name!r:.100}: {hint}")
