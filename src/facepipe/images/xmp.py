"""XMP: mark an image as partly made by a network, and keep the rest of its packet."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from xml.dom import minidom
from xml.dom.minidom import Node
from xml.parsers.expat import ExpatError
from xml.sax.saxutils import escape, quoteattr

from facepipe.images.rdf import RDF as _RDF
from facepipe.images.regions import move_regions, must_stay
from facepipe.images.turn import Turn

#: A property: its namespace and its name in it.
Name = tuple[str | None, str]
#: IPTC's word for an image of which a part comes from a trained network.
SOURCE_TYPE = "http://cv.iptc.org/newscodes/digitalsourcetype/compositeWithTrainedAlgorithmicMedia"
_IPTC = "http://iptc.org/std/Iptc4xmpExt/2008-02-29/"
_DC = "http://purl.org/dc/elements/1.1/"
_TIFF = "http://ns.adobe.com/tiff/1.0/"
_EXIF = "http://ns.adobe.com/exif/1.0/"
_XMP = "http://ns.adobe.com/xap/1.0/"
#: Properties of images and videos that lie in the same file, behind a JPEG.
_POINTERS = frozenset(
    [
        "http://ns.adobe.com/hdr-gain-map/1.0/",
        "http://ns.google.com/photos/1.0/container/",
        "http://ns.google.com/photos/1.0/container/item/",
    ]
)
_CAMERA = "http://ns.google.com/photos/1.0/camera/"
_VIDEOS = ("MotionPhoto", "MicroVideo")
_THUMBNAILS, _DESCRIPTION = (_XMP, "Thumbnails"), (_DC, "description")
_SOURCE = (_IPTC, "DigitalSourceType")
_EMPTY = f'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="{_RDF}"/></x:xmpmeta>'.encode()
_BEGIN = '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>'
_END = '<?xpacket end="w"?>'
_DEEPEST = 100


def readable(packet: bytes) -> bool:
    """Whether a packet is empty, or RDF that can be kept."""
    return not packet.strip(b"\0 \t\r\n") or _parsed(packet) is not None


def keeps_orientation(packet: bytes) -> bool:
    """Whether a packet holds edits that are true only of the image as it lies in its file."""
    document = _parsed(packet)
    return document is not None and must_stay(document)


def stamped(
    packet: bytes,
    note: str,
    width: int,
    height: int,
    *,
    turn: Turn | None = None,
    orientation: int = 1,
    is_alone: bool = True,
) -> bytes:
    """Mark a packet as a network's work, with `note` as its description and the new size.

    All else in `packet` stays, but for its orientation (now `orientation`), thumbnails, and, where
    the image `is_alone` in its file, pointers to videos and further images. What points into the
    image moves by `turn`, None: not at all. A description that it has stays, and `note` is left
    out. An empty or malformed packet is replaced by a new one. An empty `note`: nothing is marked,
    and without a packet the result is empty.
    """
    document = _parsed(packet)
    if document is None:
        if not note:
            return b""
        document = minidom.parseString(_EMPTY)
    descriptions = [node for node in _elements(_rdf(document)) if node.namespaceURI == _RDF]
    if turn is not None:
        move_regions(document, turn)

    def is_dropped(name: Name) -> bool:
        points = name[0] in _POINTERS or (name[0] == _CAMERA and name[1].startswith(_VIDEOS))
        return name == _THUMBNAILS or (points and is_alone)

    for description in descriptions:
        _drop(description, is_dropped)
        for name, value in (
            ((_TIFF, "Orientation"), orientation),
            ((_TIFF, "ImageWidth"), width),
            ((_TIFF, "ImageLength"), height),
            ((_EXIF, "PixelXDimension"), width),
            ((_EXIF, "PixelYDimension"), height),
        ):
            _change(document, description, name, str(value))
    if note:
        _mark(document, descriptions, note)
    return (_BEGIN + "".join(_text(document)) + _END).encode()


def _mark(document: minidom.Document, descriptions: list[minidom.Element], note: str) -> None:
    """Add the digital source type, and `note` as description where there is none."""
    about = descriptions[0].getAttributeNS(_RDF, "about") if descriptions else ""
    described = any(_has_text(description, _DESCRIPTION) for description in descriptions)
    replaced = [_SOURCE] if described else [_SOURCE, _DESCRIPTION]
    for description in descriptions:
        _drop(description, replaced.__contains__)
    own = minidom.parseString(_own(about, "" if described else note))
    for node in _elements(own):
        _rdf(document).appendChild(document.importNode(node, True))


def _own(about: str, note: str) -> bytes:
    """The element that facepipe adds."""
    description = ""
    if note:
        legal = "".join(letter for letter in note if letter.isprintable() or letter in "\t\n")
        description = (
            f'<dc:description xmlns:dc="{_DC}"><rdf:Alt><rdf:li xml:lang="x-default">'
            f"{escape(legal)}</rdf:li></rdf:Alt></dc:description>"
        )
    return (
        f'<rdf:Description xmlns:rdf="{_RDF}" xmlns:Iptc4xmpExt="{_IPTC}" '
        f"rdf:about={quoteattr(about)} Iptc4xmpExt:DigitalSourceType={quoteattr(SOURCE_TYPE)}>"
        f"{description}</rdf:Description>"
    ).encode()


def _parsed(packet: bytes) -> minidom.Document | None:
    """The packet as a document; None where it is empty, malformed, or no RDF."""
    try:
        document = minidom.parseString(packet.strip(b"\0 \t\r\n"))
        if document.doctype is not None or _depth(document) > _DEEPEST:
            return None
        _rdf(document)
    except (ExpatError, ValueError, LookupError):
        return None
    return document


def _rdf(document: minidom.Document) -> minidom.Element:
    found = document.getElementsByTagNameNS(_RDF, "RDF")
    if not found:
        raise ValueError("no RDF")
    return found[0]


def _depth(document: minidom.Document) -> int:
    """How deep its elements are nested, found without recursion."""
    deepest, level = 0, list(_elements(document))
    while level:
        deepest += 1
        level = [inner for node in level for inner in _elements(node)]
    return deepest


def _elements(parent: Node) -> Iterator[minidom.Element]:
    return (node for node in parent.childNodes if isinstance(node, minidom.Element))


def _drop(description: minidom.Element, unwanted: Callable[[Name], bool]) -> None:
    """Remove the properties, attributes or elements, that `unwanted` chooses."""
    for node in list(_elements(description)):
        if unwanted((node.namespaceURI, node.localName)):
            description.removeChild(node)
    for attribute in list(description.attributes.values()):
        if unwanted((attribute.namespaceURI, attribute.localName)):
            description.removeAttributeNode(attribute)


def _change(
    document: minidom.Document, description: minidom.Element, name: Name, value: str
) -> None:
    """Set a property, where there is one."""
    attribute = description.getAttributeNodeNS(*name)
    if attribute is not None:
        attribute.value = value
    for node in _elements(description):
        if (node.namespaceURI, node.localName) == name:
            while node.firstChild is not None:
                node.removeChild(node.firstChild)
            node.appendChild(document.createTextNode(value))


def _has_text(description: minidom.Element, name: Name) -> bool:
    """Whether a description has that property with any text."""
    return bool(description.getAttributeNS(*name).strip()) or any(
        bool("".join(_letters(node)).strip())
        for node in _elements(description)
        if (node.namespaceURI, node.localName) == name
    )


def _letters(node: Node) -> Iterator[str]:
    for child in node.childNodes:
        if isinstance(child, minidom.Text):
            yield child.data
        else:
            yield from _letters(child)


def _text(node: Node) -> Iterator[str]:
    """A node as XML; unlike minidom's own of Python 3.11 it keeps line ends in attributes."""
    if isinstance(node, minidom.Text):
        yield escape(node.data, {"\r": "&#13;"})
    elif isinstance(node, minidom.Document):
        for root in _elements(node):
            yield from _text(root)
    elif isinstance(node, minidom.Element):
        yield f"<{node.tagName}"
        for name, value in node.attributes.items():
            yield f" {name}={quoteattr(value)}"
        yield ">"
        for child in node.childNodes:
            yield from _text(child)
        yield f"</{node.tagName}>"
