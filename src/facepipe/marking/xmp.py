"""XMP packets: say that a network made a part of an image or video, and keep all else in them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from xml.dom import minidom
from xml.dom.minidom import Node
from xml.parsers.expat import ExpatError, ParserCreate
from xml.sax.saxutils import escape, quoteattr

from facepipe.marking.rdf import RDF, change_properties, elements_below

#: A property: its namespace and its name in it.
Name = tuple[str | None, str]
#: IPTC's words for where media come from.
VOCABULARY = "http://cv.iptc.org/newscodes/digitalsourcetype/"
#: IPTC's word for media of which a part comes from a trained network.
SOURCE_TYPE = f"{VOCABULARY}compositeWithTrainedAlgorithmicMedia"
#: Of a source all of which comes from one: that says more, and stays.
_ALL_TRAINED = "trainedAlgorithmicMedia"
_IPTC = "http://iptc.org/std/Iptc4xmpExt/2008-02-29/"
_DC = "http://purl.org/dc/elements/1.1/"
_TIFF = "http://ns.adobe.com/tiff/1.0/"
_EXIF = "http://ns.adobe.com/exif/1.0/"
_MEDIA = "http://ns.adobe.com/xmp/1.0/DynamicMedia/"
_DIMENSIONS = "http://ns.adobe.com/xap/1.0/sType/Dimensions#"
_SOURCE = (_IPTC, "DigitalSourceType")
_DESCRIPTION = (_DC, "description")
_EMPTY = f'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="{RDF}"/></x:xmpmeta>'.encode()
_BEGIN = '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>'
_END = '<?xpacket end="w"?>'
_DEEPEST = 100
#: Bytes of a packet that are read.
LARGEST_PACKET = 2**22


def marked(packet: bytes, note: str, width: int, height: int) -> bytes | None:
    """Mark a packet as a network's work, with `note` as its description and the new size.

    All else in `packet` stays; a description that it has stays too, and `note` is left out. An
    empty packet gives a new one. None for one that cannot be read.
    """
    document = new_packet() if is_blank(packet) else parsed(packet)
    if document is None:
        return None
    for description in descriptions_of(document):
        change_size(document, description, width, height)
    mark(document, note)
    return serialized(document)


def is_blank(packet: bytes) -> bool:
    """Whether nothing is in a packet but padding."""
    return not packet.strip(b"\0 \t\r\n")


def new_packet() -> minidom.Document:
    """A packet that says nothing yet."""
    return minidom.parseString(_EMPTY)


def parsed(packet: bytes) -> minidom.Document | None:
    """The packet as a document; None where it is empty, malformed, or no RDF."""
    text = packet.strip(b"\0 \t\r\n")
    try:
        _refuse_doctype(text)
        document = minidom.parseString(text)
        if _depth(document) > _DEEPEST:
            return None
        _rdf(document)
    except (ExpatError, ValueError, LookupError):
        return None
    return document


def _refuse_doctype(packet: bytes) -> None:
    """Raise ValueError for a document type, before its entities are expanded to gigabytes."""

    def refuse(*_: object) -> None:
        raise ValueError("a document type")

    parser = ParserCreate()
    parser.StartDoctypeDeclHandler = refuse
    parser.Parse(packet, True)


def serialized(document: minidom.Document) -> bytes:
    """A document as a packet."""
    return (_BEGIN + "".join(_text(document)) + _END).encode()


def descriptions_of(document: minidom.Document) -> list[minidom.Element]:
    """The elements that hold a packet's properties."""
    return [node for node in elements(_rdf(document)) if node.namespaceURI == RDF]


def mark(document: minidom.Document, note: str) -> None:
    """Add the digital source type, and `note` as description where there is none."""
    descriptions = descriptions_of(document)
    about = descriptions[0].getAttributeNS(RDF, "about") if descriptions else ""
    described = any(_has_text(description, _DESCRIPTION) for description in descriptions)
    kind = next(filter(None, map(_all_trained, descriptions)), SOURCE_TYPE)
    replaced = [_SOURCE] if described else [_SOURCE, _DESCRIPTION]
    for description in descriptions:
        drop(description, replaced.__contains__)
    own = minidom.parseString(_own(about, kind, "" if described else note))
    for node in elements(own):
        _rdf(document).appendChild(document.importNode(node, True))


def change_size(
    document: minidom.Document, description: minidom.Element, width: int, height: int
) -> None:
    """Set the size in pixels, wherever a description has one."""
    for name, value in (
        ((_TIFF, "ImageWidth"), width),
        ((_TIFF, "ImageLength"), height),
        ((_EXIF, "PixelXDimension"), width),
        ((_EXIF, "PixelYDimension"), height),
    ):
        change(document, description, name, str(value))
    for node in elements(description):
        if (node.namespaceURI, node.localName) == (_MEDIA, "videoFrameSize"):
            for inner in elements_below(node):
                change_properties(inner, _DIMENSIONS, {"w": str(width), "h": str(height)})


def source_type_of(packet: bytes) -> str | None:
    """The digital source type that a packet tells, as it stands there; None: none."""
    document = parsed(packet)
    told = [] if document is None else [_value(one, _SOURCE) for one in descriptions_of(document)]
    return next(filter(None, told), None)


def elements(parent: Node) -> Iterator[minidom.Element]:
    """The elements right within a node."""
    return (node for node in parent.childNodes if isinstance(node, minidom.Element))


def drop(description: minidom.Element, unwanted: Callable[[Name], bool]) -> None:
    """Remove the properties, attributes or elements, that `unwanted` chooses."""
    for node in list(elements(description)):
        if unwanted((node.namespaceURI, node.localName)):
            description.removeChild(node)
    for attribute in list(description.attributes.values()):
        if unwanted((attribute.namespaceURI, attribute.localName)):
            description.removeAttributeNode(attribute)


def change(
    document: minidom.Document, description: minidom.Element, name: Name, value: str
) -> None:
    """Set a property, where there is one."""
    attribute = description.getAttributeNodeNS(*name)
    if attribute is not None:
        attribute.value = value
    for node in elements(description):
        if (node.namespaceURI, node.localName) == name:
            while node.firstChild is not None:
                node.removeChild(node.firstChild)
            node.appendChild(document.createTextNode(value))


def _own(about: str, kind: str, note: str) -> bytes:
    """The element that facepipe adds."""
    description = ""
    if note:
        legal = "".join(letter for letter in note if letter.isprintable() or letter in "\t\n")
        description = (
            f'<dc:description xmlns:dc="{_DC}"><rdf:Alt><rdf:li xml:lang="x-default">'
            f"{escape(legal)}</rdf:li></rdf:Alt></dc:description>"
        )
    return (
        f'<rdf:Description xmlns:rdf="{RDF}" xmlns:Iptc4xmpExt="{_IPTC}" '
        f"rdf:about={quoteattr(about)} Iptc4xmpExt:DigitalSourceType={quoteattr(kind)}>"
        f"{description}</rdf:Description>"
    ).encode()


def _all_trained(description: minidom.Element) -> str | None:
    """What a description says where it says that all of the media comes from a network."""
    told = _value(description, _SOURCE)
    return told if told is not None and told.rpartition("/")[2] == _ALL_TRAINED else None


def _value(description: minidom.Element, name: Name) -> str | None:
    """The text of a property; None where it is not there or empty."""
    attribute = description.getAttributeNS(*name).strip()
    inner = (node for node in elements(description) if (node.namespaceURI, node.localName) == name)
    texts = ("".join(_letters(node)).strip() for node in inner)
    return attribute or next(filter(None, texts), None)


def _rdf(document: minidom.Document) -> minidom.Element:
    found = document.getElementsByTagNameNS(RDF, "RDF")
    if not found:
        raise ValueError("no RDF")
    return found[0]


def _depth(document: minidom.Document) -> int:
    """How deep its elements are nested, found without recursion."""
    deepest, level = 0, list(elements(document))
    while level:
        deepest += 1
        level = [inner for node in level for inner in elements(node)]
    return deepest


def _has_text(description: minidom.Element, name: Name) -> bool:
    """Whether a description has that property with any text."""
    return _value(description, name) is not None


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
        for root in elements(node):
            yield from _text(root)
    elif isinstance(node, minidom.Element):
        yield f"<{node.tagName}"
        for name, value in node.attributes.items():
            yield f" {name}={quoteattr(value)}"
        yield ">"
        for child in node.childNodes:
            yield from _text(child)
        yield f"</{node.tagName}>"
