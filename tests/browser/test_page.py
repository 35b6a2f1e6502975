"""The page in a browser: nothing is requested or logged, tables sort, names show on hover, dark and print render.

Needs Chromium, as `make browser` installs it. Screenshots are left in build/screenshots.
"""

import re
import shutil

import pytest
from typer.testing import CliRunner

from modelpick.converter import convert
from modelpick.converter.cli.app import app
from support.artifacts import converted
from support.markup import NAMES, records, rows
from support.recorded import DATA, ROOT

sync_api = pytest.importorskip("playwright.sync_api", reason="needs playwright")
pytest.importorskip("jinja2")
pytestmark = pytest.mark.filterwarnings("ignore::modelpick.converter.DocumentWarning")
SCREENSHOTS = ROOT / "build/screenshots"
WIDE = ["codegemma-7b@1600", "gemma-2-9b-it@1600", "mmgemma-7bmm@1600"]
PROGRAMS = ("chromium", "chromium-browser", "google-chrome")


@pytest.fixture(scope="module")
def browser():
    program = next(filter(None, map(shutil.which, PROGRAMS)), None)
    with sync_api.sync_playwright() as playwright:
        try:
            browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        except sync_api.Error as cause:
            pytest.skip(f"needs Chromium, make browser: {str(cause).splitlines()[0]}")
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def reports(tmp_path_factory):
    """Reports of the sample models with a change of rules, of 40 models with hostile names, and of wide letters."""
    folder = tmp_path_factory.mktemp("reports")
    for source in sorted((ROOT / "models").glob("*.json")):
        semantics = "queries" if source.stem == "knn" else "native"
        convert(source, folder / f"shipped/{source.stem}.onnx", samples=0, semantics=semantics)
    convert(ROOT / "models/knn.json", folder / "before/knn.onnx", samples=0)
    for name, seed in (("old", 0), ("new", 5)):
        (folder / f"{name}.onnx").write_bytes(converted(rows(160, seed=seed)))
        (folder / f"wide-{name}.onnx").write_bytes(converted(rows(160, WIDE, seed)))
    (folder / "data.jsonl").write_text(records())
    (folder / "wide.jsonl").write_text(records(names=WIDE))
    for name, paths, data in (
        ("shipped", ("shipped", "--against", "before"), DATA),
        ("one", ("shipped/knn.onnx", "--against", "before"), DATA),
        ("hostile", ("new.onnx", "--against", "old.onnx"), folder / "data.jsonl"),
        ("wide", ("wide-new.onnx", "--against", "wide-old.onnx"), folder / "wide.jsonl"),
    ):
        paths = [path if path.startswith("-") else str(folder / path) for path in paths]
        done = CliRunner().invoke(app, ["report", *paths, "--data", str(data), "-o", str(folder / f"{name}.html")])
        assert done.exit_code == 0, done.exception
    return folder


@pytest.fixture
def opened(browser, reports):
    """Open a report; returns the page and what it requested and logged, which must stay the file alone."""
    pages = []

    def open_report(name, **options):
        page = browser.new_context(**options).new_page()
        events = []
        page.on("request", lambda request: events.append(request.url))
        page.on("console", lambda message: events.append(message.text))
        page.on("pageerror", lambda error: events.append(str(error)))
        page.on("dialog", lambda dialog: events.append(dialog.message))
        pages.append((page, events, (reports / f"{name}.html").as_uri()))
        page.goto(pages[-1][2])
        return page

    yield open_report
    for page, events, address in pages:
        assert events == [address]
        page.context.close()


def keep(page, name):
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SCREENSHOTS / f"{name}.png", full_page=True)


SCREENS = {"phone": (390, 844), "tablet": (768, 1024), "page": (1280, 800)}
# Boxes that hold more than they show, and names in pictures that lie outside of them.
CUT = """[...document.querySelectorAll(".wide, h1, h2, p, li, td, th, figure")]
  .filter((one) => one.scrollWidth > one.clientWidth + 1 && getComputedStyle(one).display !== "inline")
  .map((one) => `${one.tagName} ${one.ariaLabel ?? one.textContent.slice(0, 80)}`)
  .concat([...document.querySelectorAll("svg text")].filter((one) => {
    const [inside, around] = [one, one.ownerSVGElement].map((box) => box.getBoundingClientRect());
    return inside.width && (inside.left < around.left - 1 || inside.right > around.right + 1);
  }).map((one) => one.textContent))"""


@pytest.mark.parametrize("name", ["shipped", "one", "hostile", "wide"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("screen", SCREENS)
def test_nothing_is_cut(opened, name, screen, scheme):
    width, height = SCREENS[screen]
    page = opened(name, viewport={"width": width, "height": height}, color_scheme=scheme)
    keep(page, f"{name}-{screen}-{scheme}")
    assert re.fullmatch(r".*: report of \d+ \w+ \d{4}", page.title())
    page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true })")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.evaluate(CUT) == []
    light = page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert light == (scheme == "light")


@pytest.mark.parametrize("name", ["shipped", "hostile"])
def test_is_whole_without_its_script(opened, name):
    page = opened(name, java_script_enabled=False)
    keep(page, f"{name}-plain")
    assert page.locator("h2").count() > 3


@pytest.mark.parametrize("screen", SCREENS)
def test_the_first_screen_answers(opened, screen):
    width, height = SCREENS[screen]
    page = opened("one", viewport={"width": width, "height": height})
    for words in (
        "Cannot tell whether it is better",
        "Kind of change: the same JSON model by other rules",
        "What changes by default, on average",
    ):
        box = page.get_by_text(words).first.bounding_box()
        assert box["y"] + box["height"] <= height, words


def test_tables_sort_both_ways(opened):
    page = opened("hostile", viewport={"width": 1280, "height": 800})
    page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true })")
    table = page.locator("table", has_text="By the model that answered before").first
    cells = "(table) => [...table.tBodies[0].rows].map((row) => Number(row.cells[2].dataset.value))"
    before = table.evaluate(cells)
    head = table.locator("th", has_text="queries").first
    head.locator("button").click()
    assert table.evaluate(cells) == sorted(before)
    assert head.get_attribute("aria-sort") == "ascending"
    head.locator("button").press("Enter")
    assert table.evaluate(cells) == sorted(before, reverse=True)
    assert head.get_attribute("aria-sort") == "descending"


def test_names_show_on_hover_as_they_are(opened):
    page = opened("hostile")
    shown = set()
    for mark in page.locator("svg.flow.page path.bar").all()[:12]:
        mark.hover()
        tip = page.locator("#tip")
        assert tip.is_visible()
        shown.add(tip.inner_text().split("\u2068")[1].split("\u2069")[0])
    assert len(shown) > 3
    # A turn of direction is written out.
    assert shown <= {name.replace("\u202e", "\\u202e") for name in NAMES}
    page.mouse.move(1, 1)
    assert page.locator("#tip").is_hidden()


def test_prints_with_every_table_open(opened, reports):
    page = opened("shipped")
    page.emulate_media(media="print")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert page.locator("details:not([open])").count() == 0
    assert page.locator("nav").is_hidden()
    pdf = page.pdf(path=SCREENSHOTS / "shipped.pdf")
    assert pdf.startswith(b"%PDF")
    assert len(pdf) > 20_000
