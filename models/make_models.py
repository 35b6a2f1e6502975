"""Makes the files of this folder: questions, what four models came to on them, and selectors trained on that.

The questions are written by templates, the outcomes are simulated, and the embeddings are hashed words: what matters
is that all of it is readable, the same each time, and as wide as a published model. See README.md.
"""

import json
from pathlib import Path

import numpy as np
from sklearn.feature_extraction.text import HashingVectorizer
from sklearn.svm import LinearSVC

from modelpick.converter.formats.outcomes import Settings
from modelpick.converter.formats.questions import TRAINING_QUESTIONS, to_field
from modelpick.converter.training.records import read_records
from modelpick.converter.training.train import train, trainer, training_data
from modelpick.runtime.features import CATEGORIES, FeatureBuilder

FOLDER = Path(__file__).parent
SEED = 20260101
EMBEDDING_WIDTH = 1024
DECIMALS = 5
# Seconds an answer takes, and how well a model does on sciences, on code, and on everything else.
MODELS = {
    "llama-3.2-1b": (0.4, (0.3, 0.25, 0.45)),
    "llama-3.2-3b": (0.8, (0.45, 0.4, 0.85)),
    "codellama-7b": (1.3, (0.4, 0.95, 0.35)),
    "mistral-7b": (1.6, (0.9, 0.5, 0.55)),
}
SCIENCES = {"math", "physics", "chemistry", "biology", "economics"}
ASKED = ("math", "physics", "computer science", "history", "economics", "law", "health", "other")
# Four subjects to learn from, and one that is held out.
QUESTIONS = {
    "math": (
        "Solve the equation for x and show each step: {}.",
        ("2x + 3 = 11", "x squared equals 49", "3x minus 7 = 2x + 5", "log of x equals 4", "5x + 1 = 3x + 9"),
    ),
    "physics": (
        "Explain with a formula how {} depends on the mass of a body.",
        ("kinetic energy", "gravitational force", "momentum", "the period of a spring", "acceleration"),
    ),
    "chemistry": (
        "Balance the reaction and name the products of {}.",
        ("burning methane", "rusting iron", "dissolving zinc in acid", "splitting water", "burning propane"),
    ),
    "biology": (
        "Describe the role of {} in a living cell.",
        ("the mitochondria", "ribosomes", "the cell membrane", "messenger RNA", "the nucleus"),
    ),
    "computer science": (
        "Write a Python function that {} and give its complexity.",
        (
            "sorts a list",
            "reverses a linked list",
            "finds a path in a graph",
            "parses a date",
            "merges two sorted lists",
        ),
    ),
    "history": (
        "What were the main causes of {}?",
        ("the French Revolution", "the First World War", "the fall of Rome", "the Cold War", "the American Civil War"),
    ),
    "economics": (
        "How does {} change prices and wages in an open economy?",
        ("inflation", "a tariff", "a higher interest rate", "a strong currency", "a minimum wage"),
    ),
    "business": (
        "Draft a short plan for {} in a small company.",
        ("hiring a team", "launching a product", "cutting costs", "a marketing campaign", "entering a new market"),
    ),
    "law": (
        "Summarize what a contract says about {}.",
        ("termination", "liability", "late payment", "confidentiality", "warranty"),
    ),
    "health": (
        "What should a patient know about {} before seeing a doctor?",
        ("high blood pressure", "a sprained ankle", "migraine", "vitamin D", "seasonal allergy"),
    ),
    "psychology": (
        "Explain {} to a student with an example from daily life.",
        ("confirmation bias", "classical conditioning", "short-term memory", "motivation", "the placebo effect"),
    ),
    "philosophy": (
        "What did {} argue about knowledge and truth?",
        ("Plato", "David Hume", "Immanuel Kant", "Descartes", "Aristotle"),
    ),
    "other": (
        "Suggest {} for a rainy weekend.",
        ("a recipe", "a board game", "a film to watch", "a book to read", "a song to learn"),
    ),
    "unknown": (
        "Translate this sentence about {} into French.",
        ("the weather", "a train station", "breakfast", "a birthday", "the sea"),
    ),
}


def embed(texts):
    """Embed texts by their hashed words, each weighted by chance so that no two are alike, of unit length."""
    vectors = HashingVectorizer(n_features=EMBEDDING_WIDTH, ngram_range=(1, 2)).transform(texts).toarray()
    vectors *= np.random.default_rng(SEED).uniform(0.5, 2, EMBEDDING_WIDTH)
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).round(DECIMALS)


def skill(model, category):
    """Tell how well a model does on a category."""
    sciences, code, rest = MODELS[model][1]
    return code if category == "computer science" else sciences if category in SCIENCES else rest


def records(rng, which):
    """Make benchmark records of some of the subjects; the embedding stands in the first record of each query."""
    for category in CATEGORIES:
        template, subjects = QUESTIONS[category]
        texts = [template.format(subject) for subject in subjects[which]]
        for text, embedding in zip(texts, embed(texts).tolist(), strict=True):
            for number, model in enumerate(MODELS):
                performance = float(np.clip(rng.normal(skill(model, category), 0.08), 0, 1).round(3))
                seconds = round(MODELS[model][0] * rng.uniform(0.8, 1.2), 3)
                record = {"query": text, "category": category, "model_name": model}
                record |= {"performance": performance, "response_time": seconds}
                yield record if number else record | {"embedding": [value or 0 for value in embedding]}


def linear_svm(training):
    """Train linear one-vs-rest classifiers on unit vectors as they are scored: rounded, and without an SVC."""
    vectors = training.features / np.linalg.norm(training.features, axis=1, keepdims=True)
    advantages, classifiers = training.advantages, []
    for model, name in enumerate(training.benchmark.model_names):
        ahead, costs = advantages[:, model] > 0, np.abs(advantages[:, model])
        fitted = LinearSVC(random_state=SEED).fit(vectors, ahead, costs)
        weights, rho = fitted.coef_[0].round(DECIMALS), -fitted.intercept_[0].round(DECIMALS)
        classifiers.append({"model_name": name, "weights": weights.tolist(), "rho": float(rho)})
    document = {"algorithm": "svm", "trained": True, "model_names": list(MODELS), "kernel_type": "Linear"}
    questions = {TRAINING_QUESTIONS: to_field(training.benchmark.queries)}
    return document | {"gamma": 1.0, "linear_classifiers": classifiers, "rbf_classifiers": []} | questions


def write(name, documents):
    """Write JSON values, one a line."""
    lines = [json.dumps(document, separators=(",", ":")) for document in documents]
    (FOLDER / name).write_text("\n".join(lines) + "\n")


def main():
    """Make every file."""
    write("benchmark.jsonl", records(np.random.default_rng(SEED), slice(-1)))
    write("held_out.jsonl", records(np.random.default_rng(SEED + 1), slice(-1, None)))
    training = training_data(read_records(FOLDER / "benchmark.jsonl"), Settings(clusters=len(CATEGORIES), seed=SEED))
    for algorithm, name in {"knn": "knn", "kmeans": "kmeans", "svm": "svm_rbf", "mlp": "mlp"}.items():
        write(f"{name}.json", [train(training, trainer(algorithm, 1))])
    write("svm_linear.json", [linear_svm(training)])

    asked = [(category, QUESTIONS[category][0].format(QUESTIONS[category][1][-1])) for category in ASKED]
    categories, texts = zip(*asked, strict=True)
    queries = FeatureBuilder(EMBEDDING_WIDTH + len(CATEGORIES)).build_batch(embed(texts), categories)
    write("questions.jsonl", [{"query": text, "category": category} for category, text in asked])
    write("queries.jsonl", queries.tolist())


if __name__ == "__main__":
    main()
