"""Reads a page as a browser does, as far as tests need."""

from base64 import b64decode
from html.parser import HTMLParser
from itertools import pairwise
from typing import NamedTuple
from xml.etree import ElementTree

VOID = {"meta", "link", "br", "img", "source"}
URLS = {"src", "href", "srcset", "action", "formaction", "poster", "data", "background", "ping", "xlink:href"}


class Element(NamedTuple):
    tag: str
    attributes: dict
    inside: tuple
    """Tags around it, the outermost first."""


class Page(HTMLParser):
    """Elements in order, their text, and what is wrong with their nesting."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.elements, self.open, self.texts = [], [], []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        assert len(dict(attrs)) == len(attrs), f"attribute twice in {tag}"
        self.elements.append(Element(tag, dict(attrs), tuple(self.open)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open and self.open[-1] == tag, f"</{tag}> closes {self.open}"
        self.open.pop()

    def handle_data(self, data):
        if data.strip():
            self.texts.append((self.open[-1] if self.open else "", data.strip()))

    def of(self, *tags):
        return [element for element in self.elements if element.tag in tags]

    def text(self, *tags):
        return [text for tag, text in self.texts if tag in tags]


def check_image(address):
    """Check a picture within an address: it draws, and does nothing else; returns its texts."""
    assert address.startswith("data:image/svg+xml;base64,")
    elements = list(ElementTree.fromstring(b64decode(address.partition(",")[2])).iter())
    assert not {element.tag.partition("}")[2] for element in elements} & {"script", "image", "foreignObject", "a"}
    for element in elements:
        links = [value for name, value in element.attrib.items() if name.endswith("href")]
        assert all(link.startswith("#") for link in links)
        assert not [name for name in element.attrib if name.startswith("on")]
    return [text for element in elements for text in element.itertext() if element.tag.endswith("}text")]


def check(text):
    """Check what holds for every page; returns it, read."""
    page = Page(text)
    kinds = {element.tag for element in page.elements}
    assert not kinds & {"iframe", "object", "embed", "base", "form", "audio", "video", "image", "use"}
    assert (len(page.of("script")), len(page.of("style")), len(page.of("title")) > 0) == (1, 1, True)
    anchors = {element.attributes["id"] for element in page.elements if "id" in element.attributes}
    for element in page.elements:
        assert not [name for name in element.attributes if name.startswith("on") or name == "style"], element
        for name in URLS & set(element.attributes):
            if element.tag == "path":  # the shape
                continue
            if element.tag in ("img", "source"):
                check_image(element.attributes[name])
                continue
            target = element.attributes[name]
            assert target == "data:," or target.removeprefix("#") in anchors, element
    (style,) = page.text("style")
    assert "url(" not in style
    assert "@import" not in style
    levels = [int(element.tag[1]) for element in page.of("h1", "h2", "h3", "h4", "h5", "h6")]
    assert levels[0] == 1
    assert all(later - earlier <= 1 for earlier, later in pairwise(levels))
    assert page.of("html")[0].attributes["lang"] == "en"
    for picture in page.of("svg"):
        assert picture.attributes["role"] == "img"
        assert picture.attributes["aria-label"]
        assert "figure" in picture.inside
    behind = [table for table in page.of("table") if {"figure", "details"} <= set(table.inside)]
    drawn = [svg for svg in page.of("svg") if "phone" not in svg.attributes["class"].split()]
    assert len(behind) == len(page.of("figure")) == len([*drawn, *page.of("img")])
    assert len(page.of("caption")) == len(page.of("table"))
    assert all("scope" in head.attributes for head in page.of("th"))
    return page
