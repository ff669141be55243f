"""Every format gives its headings, its text and its tables, and nothing that runs."""

from __future__ import annotations

import base64
import io
import json
import zipfile
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from knowledge_base.library.document import Block, Document, Unreadable
from knowledge_base.library.formats import docx as docx_format
from knowledge_base.library.formats.encoding import decoded
from knowledge_base.library.formats.radicals import without_radicals
from knowledge_base.library.reading import read_documents, suffixes
from tests.knowledge_base.library.papers import encrypted, pdf, word, write

ADVICE = "Call 120 at once when a child with a cough turns blue or stops drinking for half a day."


def only(path: Path) -> Document:
    found = read_documents(path)
    assert len(found) == 1
    return found[0]


def test_markdown(tmp_path: Path) -> None:
    text = (
        "---\nid: x\n---\n# Cough\n\nA cough *clears* the\nairways.\n\n## 何时警惕\n\n- 咯血\n"
        "- wheeze\n\n<script>alert(1)</script>\n\n| age | rate |\n|---|---|\n| 1 | 40 |\n"
    )
    found = only(write(tmp_path / "cough.md", text))
    assert found.title == "Cough"
    assert found.blocks[:3] == (
        Block((), "A cough clears the airways."),
        Block(("何时警惕",), "咯血", "item"),
        Block(("何时警惕",), "wheeze", "item"),
    )
    assert found.blocks[-1] == Block(("何时警惕",), "age | rate\n1 | 40", "table")


def test_a_page_gives_its_text_without_frame_and_scripts(tmp_path: Path) -> None:
    page = f"""<!doctype html><html><head><title>Cough in children</title>
    <script>steal()</script><style>p {{}}</style></head><body>
    <nav><a href="/">Home</a> <a href="/a">About us</a></nav>
    <main><h1>Cough in children</h1><p>{ADVICE}</p>
    <h2>When to worry</h2><ul><li>breathing <b>fast</b><script>steal()</script></li>
    <li onclick="steal()">grunting with every breath, at any age at all</li></ul>
    <table><tr><th>age</th><th>breaths a minute</th></tr><tr><td>1 year</td><td>40</td></tr></table>
    <p><!-- a comment -->{ADVICE.replace("child", "toddler")}</p></main>
    <footer>Copyright somebody</footer></body></html>"""
    found = only(write(tmp_path / "page.html", page))
    assert found.title == "Cough in children"
    assert Block((), ADVICE) in found.blocks
    assert Block(("When to worry",), "breathing fast", "item") in found.blocks
    table = "age | breaths a minute\n1 year | 40"
    assert Block(("When to worry",), table, "table") in found.blocks
    for never in ("steal", "About us", "Copyright", "a comment", "p {"):
        assert never not in found.text


def test_a_pdf_gives_headings_by_size_and_weight(tmp_path: Path) -> None:
    page = [
        (72, 780, 20, "Cough in children"),
        (72, 740, 14, "When to worry"),
        (72, 720, 10, "A child that breathes fast needs care the same day, inter-"),
        (72, 708, 10, "national guidance says."),
        (72, 680, 10, "Another paragraph follows after a gap."),
        (72, 650, 14, "Rates"),
        (72, 630, 10, "age"), (200, 630, 10, "breaths a minute"),
        (72, 616, 10, "1 year"), (200, 616, 10, "40"),
    ]  # fmt: skip
    found = only(write(tmp_path / "cough.pdf", pdf([page], "Cough in children")))
    assert found.title == "Cough in children"
    assert found.blocks == (
        Block(
            ("When to worry",),
            "A child that breathes fast needs care the same day, international guidance says.",
            page=1,
        ),
        Block(("When to worry",), "Another paragraph follows after a gap.", page=1),
        Block(("Rates",), "age | breaths a minute\n1 year | 40", "table", 1),
    )


def test_running_heads_and_page_numbers_of_a_pdf_are_left_out(tmp_path: Path) -> None:
    topics = ("Cough", "Fever", "A rash", "Vomiting", "Pain")
    pages = [
        [
            (72, 810, 10, f"National guideline on children {n}"),
            (72, 700, 10, f"{topics[n - 1]} is what this page is about, and it says so at length."),
            (72, 688, 10, "It goes on, as prose does, over a second line of the page."),
            (300, 30, 10, str(n)),
        ]
        for n in range(1, 6)
    ]
    text = only(write(tmp_path / "g.pdf", pdf(pages))).text
    assert "National guideline" not in text
    assert all(f"{topic} is what this page" in text for topic in topics)
    assert not any(line.strip() == "4" for line in text.splitlines())


def test_a_foot_on_both_pages_of_two_parts_no_item_of_a_list(tmp_path: Path) -> None:
    foot = "Fever card, version 3"
    pages = [
        [(72, 40, 8, f"{foot}  1"), (72, 720, 10, "\x7f Rest and drink enough."),
         (72, 690, 10, "\x7f Call 120 when the child cannot be woken, when the lips")],
        [(72, 40, 8, f"{foot}  2"), (72, 780, 10, "turn blue or when breathing stops."),
         (72, 750, 10, "\x7f Come back when the fever lasts for three days.")],
    ]  # fmt: skip
    found = only(write(tmp_path / "fever.pdf", pdf(pages)))
    assert [(block.kind, block.text) for block in found.blocks] == [
        ("item", "Rest and drink enough."),
        (
            "item",
            "Call 120 when the child cannot be woken, when the lips turn blue or when breathing"
            " stops.",
        ),
        ("item", "Come back when the fever lasts for three days."),
    ]


def test_a_sentence_on_both_pages_of_two_is_no_foot(tmp_path: Path) -> None:
    said = "Call 120 at once."
    pages = [[(72, 700, 10, ADVICE), (72, 660, 10, said)], [(72, 500, 10, said)]]
    assert only(write(tmp_path / "a.pdf", pdf(pages))).text.count(said) == 2


def test_a_word_document(tmp_path: Path) -> None:
    data = word(
        [("Title", "咳嗽"), ("Heading 1", "何时警惕"), ("List Bullet", "咯血"), ("Normal", "三周")],
        [["age", "rate"], ["1", "40"]],
    )
    found = only(write(tmp_path / "a.docx", data))
    assert found.title == "咳嗽"
    assert found.blocks == (
        Block(("何时警惕",), "咯血", "item"),
        Block(("何时警惕",), "三周"),
        Block(("何时警惕",), "age | rate\n1 | 40", "table"),
    )


def test_medquad(tmp_path: Path) -> None:
    xml = """<?xml version="1.0" encoding="UTF-8"?><Document id="1"><Focus>Croup</Focus>
    <QAPairs><QAPair pid="1"><Question qid="1-1" qtype="symptoms">What are the symptoms?</Question>
    <Answer>A barking cough.</Answer></QAPair><QAPair pid="2"><Question>Why?</Question><Answer/>
    </QAPair></QAPairs></Document>"""
    found = only(write(tmp_path / "1.xml", xml))
    assert found.title == "Croup"
    assert found.blocks == (Block(("What are the symptoms?",), "A barking cough."),)


def test_fhir_plan_definitions_and_libraries_of_a_bundle(tmp_path: Path) -> None:
    plan = {
        "resourceType": "PlanDefinition", "id": "anc", "title": "Antenatal care",
        "date": "2021-05-01", "description": "Eight contacts.",
        "action": [{"title": "Blood pressure", "description": "Measure at every contact.",
                    "action": [{"title": "High", "textEquivalent": "Refer the same day."}]}],
        "relatedArtifact": [{"type": "citation", "citation": "WHO 2016, ISBN 978-92-4-154991-2"}],
    }  # fmt: skip
    note = base64.b64encode("先问过敏史。".encode()).decode()
    library = {
        "resourceType": "Library", "id": "notes", "title": "Notes",
        "content": [{"contentType": "text/markdown", "data": note},
                    {"contentType": "text/cql", "data": note}],
    }  # fmt: skip
    entries = [{"resource": r} for r in (plan, {"resourceType": "Patient"}, library)]
    bundle = {"resourceType": "Bundle", "entry": entries}
    first, second = read_documents(write(tmp_path / "b.json", json.dumps(bundle)))
    assert (first.key, first.title, first.published) == ("anc", "Antenatal care", "2021-05-01")
    assert Block(("Blood pressure",), "Measure at every contact.") in first.blocks
    assert Block(("Blood pressure", "High"), "Refer the same day.") in first.blocks
    assert "978-92-4-154991-2" in first.text
    assert [b.text for b in second.blocks] == ["先问过敏史。"]


def test_json_lines_of_ours_and_of_beir(tmp_path: Path) -> None:
    lines = '{"_id": "a", "title": "T", "text": "one\\ntwo"}\n\n{"id": 7, "answer": "three"}\n'
    first, second = read_documents(write(tmp_path / "c.jsonl", lines))
    assert (first.key, first.title, [b.text for b in first.blocks]) == ("a", "T", ["one", "two"])
    assert (second.key, second.title) == ("7", "c")


@pytest.mark.parametrize(
    ("name", "content", "why"),
    [
        ("a.pdf", encrypted(pdf([[(72, 700, 10, ADVICE)]]), "secret"), "encrypted"),
        ("a.pdf", pdf([[]]), "scan"),
        ("a.pdf", b"%PDF-1.7\n" + b"\0rubbish" * 50, "broken"),
        ("a.html", pdf([[(72, 700, 10, ADVICE)]]), "not what its ending"),
        ("a.pdf", b"<html>", "not what its ending"),
        ("a.docx", b"PK\x03\x04rubbish", "no Word document"),
        ("a.xml", "<Document><Focus>", "no XML"),
        ("a.xml", "<html/>", "MedQuAD"),
        ("a.json", "{", "no JSON"),
        ("a.json", '{"resourceType": "Patient"}', "PlanDefinition"),
        ("a.jsonl", '{"text": "x"}\n{"text": ', "line 2"),
        ("a.jsonl", '{"id": 1, "text": "x"}\n{"id": 1, "text": "y"}', "came before"),
        ("a.jsonl", '{"title": 3, "text": "x"}', "line 1"),
        ("a.md", "", "empty"),
        ("a.md", "# Only a heading\n", "no text"),
        ("a.md", "胸痛".encode("utf-16-le") + b"\x00\x01", "zero bytes"),
        ("a.html", "<html><body></body></html>", "no main text"),
        ("a.exe", b"MZ", "no format"),
        ("README", b"x", "without ending"),
    ],
)
def test_what_cannot_be_read_is_refused_in_words(
    tmp_path: Path, name: str, content: bytes | str, why: str
) -> None:
    with pytest.raises(Unreadable, match=why):
        read_documents(write(tmp_path / name, content))


def test_a_pdf_under_an_empty_password_is_read(tmp_path: Path) -> None:
    data = encrypted(pdf([[(72, 700, 10, ADVICE)]]), "")
    assert ADVICE in only(write(tmp_path / "a.pdf", data)).text


def test_a_file_of_500_megabytes_is_refused_before_it_is_opened(tmp_path: Path) -> None:
    path = tmp_path / "huge.pdf"
    with path.open("wb") as stream:
        stream.truncate(500 * 2**20)
    with pytest.raises(Unreadable, match="more than"):
        read_documents(path)


def test_a_word_document_that_unpacks_to_too_much_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(docx_format, "LARGEST_UNPACKED", 10_000)
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("word/document.xml", b" " * 20_000)
    with pytest.raises(Unreadable, match="unpacks"):
        read_documents(write(tmp_path / "bomb.docx", out.getvalue()))


def test_xml_entities_are_not_followed(tmp_path: Path) -> None:
    secret = write(tmp_path / "secret.txt", "the secret")
    xml = (
        f'<!DOCTYPE Document [<!ENTITY x SYSTEM "file://{secret}">]><Document><Focus>F</Focus>'
        "<QAPairs><QAPair><Question>Q</Question><Answer>before &x; after</Answer></QAPair>"
        "</QAPairs></Document>"
    )
    assert "secret" not in only(write(tmp_path / "a.xml", xml)).text


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "gb18030", "big5"])
def test_the_real_encoding_is_found(encoding: str) -> None:
    text = "胸口劇烈疼痛時請馬上撥打電話，不要自己開車。" * 20
    if encoding == "gb18030":
        text = "胸口剧烈疼痛时请马上拨打电话，不要自己开车去医院，等待救护车。" * 20
    assert decoded(text.encode(encoding)) == text


def test_bytes_of_no_encoding_are_refused() -> None:
    with pytest.raises(Unreadable, match="encoding"):
        decoded(bytes(range(128, 256)) * 40)


def test_radicals_are_the_characters_that_they_stand_for() -> None:
    assert without_radicals("⽼⼈⻢上拨打120") == "老人马上拨打120"


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(suffix=st.sampled_from(sorted(suffixes())), data=st.binary(max_size=400))
def test_no_bytes_break_a_reader(tmp_path: Path, suffix: str, data: bytes) -> None:
    path = write(tmp_path / f"x{suffix}", data)
    with suppress(Unreadable):
        assert read_documents(path)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(place=st.integers(9, 600), data=st.binary(min_size=1, max_size=6))
def test_no_damage_to_a_pdf_breaks_its_reader(tmp_path: Path, place: int, data: bytes) -> None:
    whole = pdf([[(72, 780, 20, "Cough"), (72, 740, 10, ADVICE)]])
    damaged = whole[:place] + data + whole[place + len(data) :]
    with suppress(Unreadable):
        assert read_documents(write(tmp_path / "x.pdf", damaged))
