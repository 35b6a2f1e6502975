"""What docstrings, comments and pages name is there: names in backticks resolve, and paths lead to files."""

import builtins
import io
import re
import sys
import tokenize
from contextlib import suppress
from importlib import import_module

import pytest

import modelpick.converter
import modelpick.runtime
import modelpick.runtime.text
from modelpick.runtime import schema
from support.pages import EVERY_PAGE, ROOT

PRODUCT = ("converter", "runtime", "gateway", "package")
PAGES = [page for page in EVERY_PAGE if page.name != "CHANGELOG.md"]  # which names what has gone
# Names of these need no module before them.
PUBLIC = (modelpick.runtime, modelpick.runtime.text, modelpick.converter, schema, builtins)
PUBLIC_NAMES = {*modelpick.runtime.__all__, *modelpick.runtime.text.__all__, *modelpick.converter.__all__}
LIBRARIES = {"modelpick", "msgspec", "numpy", "onnx", "onnxruntime", "skl2onnx", "sklearn", *sys.stdlib_module_names}
# Entries of the metadata of artifacts and encoders, which begin as a module does.
ENTRIES = {schema.PREFIX, *(schema.PREFIX + name for name in schema.names(schema.Entry))}
IN_BACKTICKS = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")
NAME = re.compile(r"([A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*)(?:\(.*\))?")
PATH = re.compile(r"(?<![\w./*-])(?:[\w-]+/)*[\w-]+\.(?:py|md)(?!\w)|(?<![\w./*-])(?:[\w-]+/)+(?=`)")


def modules():
    return sorted(path for folder in PRODUCT for path in ROOT.joinpath(folder).rglob("*.py"))


def imported(path):
    """Return a module of the product, or none where it needs an extra that is not installed, or runs when imported."""
    package, *rest = path.relative_to(ROOT).with_suffix("").parts
    parts = ["modelpick", *([] if package == "package" else [package]), *rest]
    try:
        return import_module(".".join(parts).removesuffix(".__init__")) if path.stem != "__main__" else None
    except ImportError:
        return None


def homes(path):
    """Return the modules of a path's folder and of the folders above, and their classes: homes of undotted names."""
    folders = [folder for folder in path.parents if ROOT in folder.parents]
    near = [module for folder in folders for other in folder.glob("*.py") if (module := imported(other))]
    return [*near, *(it for module in near for it in vars(module).values() if isinstance(it, type))]


def words(source):
    """Return the docstrings and comments of a module, and all else that it holds."""
    tokens = list(tokenize.generate_tokens(io.StringIO(source).readline))
    said = [it.string for it in tokens if it.type == tokenize.COMMENT or it.string.startswith('"""')]
    return "\n".join(said), {it.string for it in tokens if it.type == tokenize.NAME}


def prose(page):
    """Return a page without code and targets of links, and without the column that names what another library has."""
    text = re.sub(r"^```.*?^```|(?<=\])\([^)]*\)", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    return re.sub(r"^\|[^|]*\|", "", text, flags=re.MULTILINE) if page.parent.name == "migrating" else text


def has(home, names):
    """Whether an object has an attribute of the first name, which has one of the second, and so on."""
    if not names:
        return True
    first, *rest = names
    if isinstance(home, property):
        return True  # what it returns is not known here
    if isinstance(home, type) and any(first in vars(one).get("__annotations__", ()) for one in home.__mro__):
        return not rest  # a field without a default is no attribute of its class
    return hasattr(home, first) and has(getattr(home, first), rest)


def resolves(name, near=()):
    """Whether a name leads from a library or a home to what it names."""
    names = name.split(".")
    if name in ENTRIES or any(has(home, names) for home in (*PUBLIC, *near)):
        return True
    for end in range(len(names), 0, -1):
        with suppress(ImportError):
            return names[0] in LIBRARIES and has(import_module(".".join(names[:end])), names[end:])
    return False


def is_there(path, page):
    """Whether a path leads from the root or the page's folder to a file; a file may be named without its folder."""
    near = [ROOT / path, page.parent / path]
    return "NAME" in path or any(it.exists() for it in near) or ("/" not in path and any(ROOT.glob(f"[!.]*/**/{path}")))


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(ROOT)))
def test_names_in_docstrings_and_comments_are_there(path):
    said, code = words(path.read_text())
    names = {found[1] for it in IN_BACKTICKS.findall(said) if (found := NAME.fullmatch(it))} - code
    near = homes(path) if names else ()
    assert [name for name in sorted(names) if not resolves(name, near)] == []
    assert [it for it in PATH.findall(said) if not is_there(it, path)] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_names_and_paths_in_pages_are_there(page):
    said = prose(page)
    dotted = {found[1] for it in IN_BACKTICKS.findall(said) if (found := NAME.fullmatch(it)) and "." in found[1]}
    ours = {name for name in dotted if name.split(".")[0] in {*LIBRARIES, *PUBLIC_NAMES} and not PATH.fullmatch(name)}
    assert [name for name in sorted(ours) if not resolves(name)] == []
    assert [it for it in PATH.findall(said) if not is_there(it, page)] == []
