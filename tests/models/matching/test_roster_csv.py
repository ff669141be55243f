"""A roster is taken whole or not at all, in any of the encodings that hospitals send."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import knowledge_base.matching
from models.matching.example import example_doctors
from models.matching.profile import Doctor
from models.matching.roster import Roster
from models.matching.roster_csv import RosterRefused, read_roster, write_roster

HEAD = "code,department,duty,capacity,rating,rating_count"
GOOD = "D001,cardiology,mon-fri 08:00-12:00,8,4.5,20"
CHINESE = (
    "医生编码,科室,当班时间,每日号源,亚专业,接诊性别,语言\n"
    "D001,妇科,周一至周五 08:00-12:00,8,宫颈疾病；子宫内膜异位症,女,普通话、粤语\n"
)


def read(text: str, encoding: str = "utf-8") -> tuple[Doctor, ...]:
    return read_roster(text.encode(encoding), max_bytes=10_000, max_rows=50)


def faults(text: str | bytes) -> list[str]:
    data = text if isinstance(text, bytes) else text.encode()
    with pytest.raises(RosterRefused) as refused:
        read_roster(data, max_bytes=10_000, max_rows=50)
    return [str(fault) for fault in refused.value.faults]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gbk", "gb18030"])
def test_a_chinese_sheet_is_read_in_every_encoding(encoding: str) -> None:
    (doctor,) = read(CHINESE, encoding)
    assert doctor.department == "gynaecology"
    assert doctor.subspecialties == ("cervical_disease", "endometriosis")
    assert (doctor.patient_sex, doctor.languages) == ("female", ("zh", "yue"))


def test_the_example_is_shipped_as_it_is_generated_and_reads_back() -> None:
    shipped = Path(knowledge_base.matching.__file__).with_name("example_roster.csv").read_bytes()
    doctors = read_roster(shipped, max_bytes=100_000, max_rows=40)
    assert doctors == example_doctors(40)
    assert write_roster(doctors).encode() == shipped
    assert len(Roster(doctors).by_department) >= 15


@settings(max_examples=30, deadline=None)
@given(count=st.integers(1, 30), seed=st.integers(0, 10_000))
def test_what_is_written_reads_back_the_same(count: int, seed: int) -> None:
    doctors = example_doctors(count, seed)
    data = write_roster(doctors).encode()
    assert read_roster(data, max_bytes=len(data), max_rows=count) == doctors


def test_every_fault_is_named_by_line_and_column_and_nothing_is_taken() -> None:
    text = "\n".join(
        (
            HEAD,
            GOOD,
            "D002,heart,mon-fri 08:00-12:00,8,,",
            "D003,cardiology,weekdays,8,,",
            "D004,cardiology,always,-1,,",
            "D005,cardiology,always,8,5.5,3",
            "D006,cardiology,always,8,4.5,",
            "王医生,cardiology,always,8,,",
            "D001,cardiology,always,8,,",
            "D009,cardiology,always,8",
        )
    )
    assert [fault.split(":")[0] for fault in faults(text)] == [
        "line 3, department",
        "line 4, duty",
        "line 5, capacity",
        "line 6, rating",
        "line 7, rating_count",
        "line 8, code",
        "line 9, code",
        "line 10",
    ]


def test_a_fault_never_quotes_a_cell() -> None:
    told = " ".join(faults(f"{HEAD}\n张三丰,张三丰,张三丰,张三丰,张三丰,张三丰"))
    assert "张三丰" not in told


def test_a_column_of_names_is_refused() -> None:
    (fault,) = faults("code,name,department,duty,capacity\nD001,张三丰,cardiology,always,8")
    assert "column 2 is not known" in fault


@pytest.mark.parametrize(
    ("data", "word"),
    [
        (b"", "empty"),
        (HEAD.encode(), "doctors"),
        (b"\xff\xfe\x00", "neither"),
        (f"code,code,department,duty,capacity\n{GOOD}".encode(), "twice"),
        (b"code,department\nD001,cardiology", "lacks"),
        (f'{HEAD}\n"D001,cardiology'.encode(), "CSV"),
        ("\n".join([HEAD, *(f"D{n},cardiology,always,8,," for n in range(51))]).encode(), "50"),
        (b"x" * 10_001, "bytes"),
    ],
)
def test_what_is_no_roster_is_refused(data: bytes, word: str) -> None:
    assert word in faults(data)[0]


@settings(max_examples=100, deadline=None)
@given(data=st.binary(max_size=300))
def test_no_bytes_do_anything_but_be_read_or_refused(data: bytes) -> None:
    prefix = (HEAD + "\n").encode()
    with suppress(RosterRefused):  # anything else that is raised fails the test
        read_roster(prefix + data, max_bytes=10_000, max_rows=50)
