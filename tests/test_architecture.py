"""The rules of docs/architecture.md: layers of imports, third parties, and a tree that is complete."""

import ast
import re
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

from modelpick.runtime.algorithms import TABLE

ROOT = Path(__file__).parents[1]
# From the lowest to the highest. A unit is a folder or a module right below the package; it may import units of lower
# layers, and of its own, though not in a circle.
LAYERS = {
    "runtime": [
        {"decision", "errors", "schema"},
        {"artifact", "deciding", "events", "features", "keywords", "notebook", "session"},
        {"queries"},
        {"request"},
        {"search"},
        {"algorithms"},
        {"loading"},
        {"selector"},
        {"text"},
        {"serving"},
        {"__init__"},
    ],
    "converter": [
        {"files"},
        {"formats", "graphs"},
        {"statistics"},
        {"algorithms"},
        {"categories"},
        {"artifact", "load", "training"},
        {"encoders", "evaluation", "verification"},
        {"conversion", "report"},
        {"fitting"},
        {"cli", "compat"},
        {"__init__", "__main__"},
    ],
    "gateway": [
        {"breaker", "caches", "config", "decisions", "errors", "failing_over", "headers", "usage"},
        {"backends", "bodies", "clients", "connections", "database", "needs", "preferences", "shadow"},
        {"conversations", "processes", "rankings", "records", "relay"},
        {"recorder"},
        {"picks"},
        {"state"},
        {"app", "extproc"},
        {"command"},
        {"__init__", "__main__"},
    ],
}
# Units of the lowest layer -> what they may import of their package.
LEAVES = {
    "runtime": {"decision": {"errors"}, "errors": set(), "schema": set()},
    "converter": {"files": set()},
}
# What units of the runtime may import in addition to the standard library, where it is not what all may.
RUNTIME_NEEDS = {"numpy", "onnxruntime"}
EXCEPTIONS = {
    "decision": {"numpy"},
    "serving": RUNTIME_NEEDS | {"opentelemetry", "prometheus_client", "pyarrow", "ray", "watchfiles"},
    "text": RUNTIME_NEEDS | {"tokenizers"},
}


def imported(file, package):
    """Yield the full name, as a tuple, of what each import of a file names."""
    place = ("modelpick", package, *file.relative_to(ROOT / package).with_suffix("").parts)
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (tuple(alias.name.split(".")) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            origin = (*(place[: -node.level] if node.level else ()), *filter(None, [node.module]))
            yield from (tuple(".".join((*origin, alias.name)).split(".")) for alias in node.names)


def imports(package):
    """Return unit -> full names that it imports."""
    found = {}
    for file in (ROOT / package).rglob("*.py"):
        unit = file.relative_to(ROOT / package).with_suffix("").parts[0]
        found.setdefault(unit, set()).update(imported(file, package))
    return found


def inner_imports(package):
    """Return unit -> other units of its package that it imports; what is not a unit stands in ``__init__``."""
    found = imports(package)
    inner = {}
    for unit, names in found.items():
        others = {"".join(name[2:3]) for name in names if name[:2] == ("modelpick", package)}
        inner[unit] = {other if other in found else "__init__" for other in others} - {unit}
    return inner


@pytest.mark.parametrize("package", LAYERS)
def test_no_unit_imports_from_a_higher_layer_or_in_a_circle(package):
    level = {unit: number for number, units in enumerate(LAYERS[package]) for unit in units}
    found = inner_imports(package)
    assert set(found) <= set(level)
    assert [(unit, other) for unit in found for other in found[unit] if level[other] > level[unit]] == []
    TopologicalSorter(found).prepare()


@pytest.mark.parametrize("package", LEAVES)
def test_leaves_import_next_to_nothing_of_their_package(package):
    found = inner_imports(package)
    assert {leaf: found[leaf] - may for leaf, may in LEAVES[package].items()} == {
        leaf: set() for leaf in LEAVES[package]
    }


@pytest.mark.parametrize("package", ["converter", "runtime"])
def test_no_family_of_algorithms_imports_another_and_what_they_share_imports_none(package):
    folder = ROOT / package / "algorithms"
    families = {algorithm for algorithm, _ in TABLE}
    assert families == {"hiershrink", "kernel_ridge", "kmeans", "knn", "mlp", "svm"}
    assert families <= {path.stem for path in folder.iterdir()}
    for file in folder.rglob("*.py"):
        unit = file.relative_to(folder).with_suffix("").parts[0]
        names = {name[3] for name in imported(file, package) if name[:3] == ("modelpick", package, "algorithms")}
        # The tables of today and of format version 1 list the families.
        assert unit in ("__init__", "format_1") or names & families <= {unit} & families, file


def test_estimators_use_no_private_attribute_of_a_library():
    of_named_tuples = {"_asdict", "_replace"}
    for file in (ROOT / "converter/algorithms").rglob("*.py"):
        nodes = list(ast.walk(ast.parse(file.read_text())))
        private = [node for node in nodes if isinstance(node, ast.Attribute) and re.match("_[a-z]", node.attr)]
        of_self = {node.attr for node in private if ast.unparse(node.value) == "self"}
        own = {node.name for node in nodes if isinstance(node, ast.FunctionDef)}
        own |= {node.attr for node in private if isinstance(node.ctx, ast.Store) and node.attr in of_self}
        assert of_self <= own, file
        assert {node.attr for node in private} - of_self <= of_named_tuples, file


def test_the_runtime_imports_neither_the_converter_nor_what_that_needs():
    for unit, names in imports("runtime").items():
        others = {name[0] for name in names if name[:2] != ("modelpick", "runtime")} - sys.stdlib_module_names
        assert others <= EXCEPTIONS.get(unit, RUNTIME_NEEDS), unit


def test_the_gateway_imports_the_runtime_alone():
    of_ours = {name[:2] for names in imports("gateway").values() for name in names if name[0] == "modelpick"}
    assert of_ours <= {("modelpick", "gateway"), ("modelpick", "runtime")}


def test_one_module_of_the_converter_prints():
    """What it prints is printable, whatever the names of files and models hold."""
    calls = {
        str(file.relative_to(ROOT))
        for file in (ROOT / "converter").rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"
    }
    assert calls == {"converter/cli/console.py"}


def test_the_tree_in_the_documentation_is_complete():
    page = (ROOT / "docs/architecture.md").read_text()
    tree = page.split("```\n")[1]
    place, shown = [], set()
    for indent, name in re.findall(r"^( *)(\S+)", tree, re.MULTILINE):
        place[len(indent) // 2 :] = [name.rstrip("/")]
        shown |= {"/".join(place)} if name.endswith(".py") else set()
    modules = {str(file.relative_to(ROOT)) for package in LAYERS for file in (ROOT / package).rglob("[!_]*.py")}
    assert shown == modules


# Packages -> the tests of the package as a whole: of its modules that have no test file of their names.
AS_A_WHOLE = {
    # An estimator, from a file to its picks.
    "converter/algorithms": "converter/algorithms/test_base.py",
    **{
        f"converter/algorithms/{family}": f"converter/algorithms/{family}/test_{name}.py"
        for family, name in {
            "hiershrink": "rows",
            "kernel_ridge": "training",
            "kmeans": "rows",
            "knn": "rows",
            "mlp": "forms",
            "svm": "rows",
        }.items()
    },
    "converter/artifact": "converter/artifact/test_writer.py",
    # Commands parse and print; each page of the documentation runs them as well.
    "converter/cli": "converter/cli/test_convert.py",
    "converter/encoders": "converter/encoders/test_make.py",
    "converter/evaluation": "converter/evaluation/test_evaluate.py",
    "converter/files": "converter/files/test_io.py",
    # Forms are tested by files that are read, and refused.
    "converter/formats": "converter/test_load.py",
    # Graphs are tested by what they answer in onnxruntime.
    "converter/graphs": "converter/artifact/test_writer.py",
    "converter/report": "converter/report/test_write.py",
    "converter/training": "converter/training/test_train.py",
    "converter/verification": "converter/verification/test_compare.py",
    # Requests and answers of a server.
    "gateway": "gateway/test_app.py",
    "runtime": "runtime/test_selector.py",
    # Picks, by artifacts of every row and format.
    "runtime/algorithms": "runtime/test_selector_one_answer.py",
    "runtime/algorithms/knn": "runtime/test_selector_candidates.py",
    "runtime/artifact": "runtime/artifact/test_metadata.py",
    "runtime/search": "runtime/search/test_exact.py",
    "runtime/text": "runtime/text/test_encoder.py",
}


def module_of(file):
    """Return the module or package of a test file: ``test_NAME.py`` or ``test_NAME_aspect.py``; None without any."""
    words = file.stem.split("_")[1:]
    for end in range(len(words), 0, -1):
        place = file.parent.relative_to(ROOT / "tests") / "_".join(words[:end])
        if (ROOT / place).with_suffix(".py").exists() or (ROOT / place / "__init__.py").exists():
            return str(place)
    return None


@pytest.mark.parametrize("package", LAYERS)
def test_tests_stand_in_the_tree_of_the_code(package):
    files = [*(ROOT / "tests" / package).rglob("test_*.py")]
    # What a package offers in its own name.
    apis = [file for file in files if file.stem == "test_api" and file.parent.name == package]
    assert [file for file in files if file not in apis and module_of(file) is None] == []
    modules = {str(file.relative_to(ROOT).with_suffix("")) for file in (ROOT / package).rglob("[!_]*.py")}
    alone = {str(Path(module).parent) for module in modules - {module_of(file) for file in files}}
    assert alone <= set(AS_A_WHOLE)
    assert [
        pair for pair in AS_A_WHOLE.items() if not ((ROOT / pair[0]).is_dir() and (ROOT / "tests" / pair[1]).exists())
    ] == []
