"""MedQuAD (Ben Abacha and Demner-Fushman, 2019): questions and answers on one focus, as XML."""

from __future__ import annotations

from lxml import etree

from knowledge_base.library.document import Document, Outline, Unreadable


def read_medquad(data: bytes, name: str) -> list[Document]:
    """One document for the file's focus, a section for each question. Answers may be missing."""
    root = _parsed(data)
    if root.tag != "Document":
        raise Unreadable(f"its root is <{root.tag}>, expected MedQuAD's <Document>")
    outline = Outline()
    for pair in root.iter("QAPair"):
        question, answer = pair.findtext("Question"), pair.findtext("Answer")
        if not answer or not answer.strip():
            continue  # three of MedQuAD's collections come without, for their licence
        outline.heading(1, question or "")
        for paragraph in answer.split("\n\n"):
            outline.add(paragraph)
    focus = (root.findtext("Focus") or name).strip()
    return [outline.document(focus, key="")]


def _parsed(data: bytes) -> etree._Element:
    """The root; entities are not resolved and nothing is fetched. Raises Unreadable."""
    parser = etree.XMLParser(resolve_entities=False, no_network=True, huge_tree=False)
    try:
        return etree.fromstring(data, parser)
    except etree.XMLSyntaxError as error:
        raise Unreadable(f"it is no XML: {error.msg}") from error
