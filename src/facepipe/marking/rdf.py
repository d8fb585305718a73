"""Elements of XMP: their properties, which XMP writes as attributes or as elements."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from xml.dom import minidom

RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"


def elements_below(parent: minidom.Document | minidom.Element) -> Iterator[minidom.Element]:
    """An element and all below it, in the order of the document."""
    waiting = [parent]
    while waiting:
        node = waiting.pop()
        if isinstance(node, minidom.Element):
            yield node
        below = reversed(node.childNodes)
        waiting += [child for child in below if isinstance(child, minidom.Element)]


def properties(element: minidom.Element, namespace: str) -> dict[str, str]:
    """The properties of one namespace that an element has, by their names."""
    found = {
        str(attribute.localName): str(attribute.value)
        for attribute in element.attributes.values()
        if attribute.namespaceURI == namespace
    }
    for child in element.childNodes:
        if isinstance(child, minidom.Element) and child.namespaceURI == namespace:
            found[str(child.localName)] = text_of(child)
    return found


def change_properties(element: minidom.Element, namespace: str, values: Mapping[str, str]) -> None:
    """Change properties that an element has, in the form that they have."""
    for attribute in list(element.attributes.values()):
        if attribute.namespaceURI == namespace and attribute.localName in values:
            attribute.value = values[attribute.localName]
    for child in element.childNodes:
        if not isinstance(child, minidom.Element) or child.namespaceURI != namespace:
            continue
        if child.localName in values:
            write_text(child, values[child.localName])


def text_of(element: minidom.Element) -> str:
    """The text right within an element."""
    return "".join(n.data for n in element.childNodes if isinstance(n, minidom.Text)).strip()


def write_text(element: minidom.Element, text: str) -> None:
    """Replace all that is within an element by a text."""
    while element.firstChild is not None:
        element.removeChild(element.firstChild)
    assert element.ownerDocument is not None
    element.appendChild(element.ownerDocument.createTextNode(text))


def number_text(value: float) -> str:
    """A number as XMP writes it, to a billionth."""
    return f"{value:.9f}".rstrip("0").rstrip(".")
