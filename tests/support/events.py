"""What observers are told, one of each kind."""

from modelpick.runtime.events import Far, Refusal, Selection, Swap

EVENTS = (
    Selection("knn", ("a",), 30e-6),
    Selection("knn", ("a", "b", "a"), 0.5),
    Far("knn", 2),
    Swap("knn", "ab"),
    Refusal("knn", "it was altered"),
    Refusal("svm", "it was altered"),
)
