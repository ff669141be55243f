"""FHIR R4 PlanDefinition and Library, alone or in a Bundle: WHO's SMART guidelines among them.

Read are the parts that people read: titles, descriptions, purpose, actions and their conditions in
words, and a Library's text content. Logic (CQL, expressions) is left out.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterator

from knowledge_base.library.document import Document, Outline, Unreadable

Json = dict[str, object]

_PROSE = ("description", "purpose", "usage", "clinicalContext", "copyright")
_TEXTUAL = ("text/plain", "text/markdown")
_KINDS = ("PlanDefinition", "Library")
_DEEPEST = 20


def read_fhir(data: bytes, name: str) -> list[Document]:
    """A document per PlanDefinition or Library; other resources of a bundle are passed over."""
    try:
        root = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise Unreadable("it is no JSON") from error
    wanted = [r for r in _resources(root) if r.get("resourceType") in _KINDS]
    if not wanted:
        raise Unreadable("it holds no FHIR PlanDefinition or Library")
    alone = len(wanted) == 1
    found = []
    for number, resource in enumerate(wanted):
        key = "" if alone else str(resource.get("id") or number)
        found.append(_document(resource, name, key))
    return found


def _resources(root: object) -> Iterator[Json]:
    if not isinstance(root, dict):
        return
    if root.get("resourceType") != "Bundle":
        yield root
        return
    for entry in _list(root, "entry"):
        resource = entry.get("resource")
        if isinstance(resource, dict):
            yield resource


def _document(resource: Json, name: str, key: str) -> Document:
    outline = Outline()
    title = _text(resource, "title") or _text(resource, "name") or name
    for part in _PROSE:
        if words := _text(resource, part):
            outline.heading(1, part)
            outline.paragraphs(words)
    for goal in _list(resource, "goal"):
        outline.heading(1, "goal")
        outline.add(_concept(goal.get("description")))
    _actions(outline, resource, 1)
    for content in _list(resource, "content"):
        if _text(content, "contentType").split(";")[0] in _TEXTUAL:
            outline.heading(1, _text(content, "title") or "content")
            outline.paragraphs(_decoded(_text(content, "data")))
    _related(outline, resource)
    return outline.document(title, key=key, published=_text(resource, "date")[:10] or None)


def _actions(outline: Outline, parent: Json, level: int) -> None:
    for action in _list(parent, "action"):
        if level > _DEEPEST:
            raise Unreadable("its actions are nested too deeply")
        outline.heading(level, _text(action, "title") or _text(action, "prefix") or "action")
        for part in ("description", "textEquivalent"):
            outline.add(_text(action, part))
        for condition in _list(action, "condition"):
            expression = condition.get("expression")
            if isinstance(expression, dict):
                outline.add(_text(expression, "description"))
        for document in _list(action, "documentation"):
            outline.add(_text(document, "citation") or _text(document, "display"))
        _actions(outline, action, level + 1)


def _related(outline: Outline, resource: Json) -> None:
    cited = [
        _text(a, "citation") or _text(a, "display") for a in _list(resource, "relatedArtifact")
    ]
    if any(cited):
        outline.heading(1, "references")
        for words in cited:
            outline.add(words, "item")


def _decoded(data: str) -> str:
    try:
        return base64.b64decode(data, validate=True).decode("utf-8")
    except (binascii.Error, UnicodeDecodeError) as error:
        raise Unreadable("a Library's content is not base64 of UTF-8 text") from error


def _text(holder: Json, key: str) -> str:
    value = holder.get(key)
    return value.strip() if isinstance(value, str) else ""


def _list(holder: Json, key: str) -> list[Json]:
    value = holder.get(key)
    return [entry for entry in value if isinstance(entry, dict)] if isinstance(value, list) else []


def _concept(value: object) -> str:
    """A CodeableConcept in words."""
    if not isinstance(value, dict):
        return ""
    return _text(value, "text") or next((_text(c, "display") for c in _list(value, "coding")), "")
