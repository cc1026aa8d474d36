"""audit.json as a record of the store: of this version, of older and newer ones, and damaged."""

import json
from pathlib import Path
from typing import Any

import pytest

from swath.core.errors import DamagedRecordError, StoreError
from swath.store.json_files import SCHEMA
from swath.store.storage import Storage
from swath.tasks.audit.findings import Audit, Facts, Finding, kept_place, read_audit
from swath.tasks.audit.write import write_audit

DATA = "0" * 20
FINDING = Finding(
    kind="near_duplicates",
    severity="serious",
    text="Some leak.",
    count=3,
    unit="groups",
    advice="Give groups.",
    examples=("a, b",),
    flagged=("a", "나무"),
    show=(("a", "b"), ("c", "d")),
    picture="near_duplicates.png",
)
AUDIT = Audit(
    task="scenes",
    data=DATA,
    images={"train": 60, "validation": 0, "test": 9},
    findings=(FINDING,),
    groups=(("a", "b"),),
    facts=Facts(17, 0.75, 0.5, 1.0, (("brightness", 0.625),)),
)
OLD: dict[str, Any] = {
    "task": "scenes",
    "data": DATA,
    "images": {"train": 60, "validation": 0, "test": 9},
    "findings": [
        {
            "kind": "near_duplicates",
            "severity": "serious",
            "text": "Some leak.",
            "count": 3,
            "unit": "groups",
            "advice": "Give groups.",
            "examples": ["a, b"],
            "flagged": ["a", "나무"],
            "show": [["a", "b"], ["c", "d"]],
            "picture": "near_duplicates.png",
        }
    ],
    "groups": [["a", "b"]],
    "facts": {
        "labels": 17,
        "adversarial_auc": 0.75,
        "adversarial_low": 0.5,
        "adversarial_high": 1.0,
        "adversarial_telling": [["brightness", 0.625]],
    },
}
"""As audit.json was before it had a schema."""


@pytest.fixture
def storage(tmp_path: Path) -> Storage:
    return Storage(str(tmp_path))


def keep(storage: Storage, content: Any) -> None:
    kept_place(storage, DATA).write("audit.json", json.dumps(content).encode())


def test_an_audit_is_written_with_its_schema_and_read_again(storage: Storage) -> None:
    write_audit(kept_place(storage, DATA), AUDIT, {})
    written = json.loads(storage.read(f"tasks/{DATA}/audit/audit.json"))
    assert written == {**OLD, "schema": SCHEMA}
    assert read_audit(storage, DATA) == AUDIT


def test_an_audit_without_a_schema_is_read(storage: Storage) -> None:
    keep(storage, OLD)
    assert read_audit(storage, DATA) == AUDIT


def test_fields_that_an_audit_lacks_or_has_too_many(storage: Storage) -> None:
    """Before pictures and adversarial validation, and of a later version with fields of its own."""
    finding = {name: value for name, value in OLD["findings"][0].items() if name not in ("show", "picture")}
    keep(storage, {**OLD, "findings": [{**finding, "later": 1}], "facts": {"labels": 17, "later": 1}, "later": {}})
    audit = read_audit(storage, DATA)
    assert audit is not None
    assert (audit.findings[0].show, audit.findings[0].picture) == ((), "")
    assert audit.facts == Facts(17)
    assert audit.facts.adversarial is None


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"groups": 3}, "groups: input should be a valid"),
        (
            {"findings": [{**OLD["findings"][0], "severity": "grave"}]},
            r"findings\.0\.severity: input should be 'serious'",
        ),
        ({"facts": {"adversarial_auc": "high"}}, r"facts\.adversarial_auc: input should be a valid number"),
    ],
)
def test_a_damaged_audit_is_named_with_its_field(storage: Storage, change: dict[str, Any], problem: str) -> None:
    keep(storage, {**OLD, **change})
    file = f"tasks/{DATA}/audit/audit.json"
    with pytest.raises(
        DamagedRecordError, match=rf"^{file} in the store is damaged \({problem}.*\); write it again with `swath audit`"
    ):
        read_audit(storage, DATA)


def test_an_audit_of_a_newer_swath_is_refused(storage: Storage) -> None:
    keep(storage, {**OLD, "schema": SCHEMA + 1})
    with pytest.raises(StoreError, match=r"audit.json in the store was written by a newer swath"):
        read_audit(storage, DATA)
