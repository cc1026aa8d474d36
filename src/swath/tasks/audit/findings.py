"""What an audit found, as values: for the terminal, audit.md, the store and the report alike."""

import json
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal

from swath.store.keys import task_key
from swath.store.storage import Storage

Severity = Literal["serious", "warning", "note"]
SEVERITIES: tuple[Severity, ...] = ("serious", "warning", "note")
EXAMPLES = 12


@dataclass(frozen=True)
class Finding:
    """One kind of problem.

    Attributes:
        kind: Its name, the same in every audit (`near_duplicates`, `filled_runs`).
        severity: `serious` (scores or labels are wrong), `warning` (look at it), `note` (know it).
        text: What was found, one sentence.
        count: Of what `unit` says.
        unit: `images`, `groups`, `labels`, `pairs`.
        advice: What to do, one or two sentences.
        examples: The first of them; each a group of ids (or label names), with a remark after the ids where useful.
        flagged: Ids of all rows that the finding makes doubtful; the report scores with and without them.
        show: Groups of ids that a contact sheet draws, a row each.
        picture: File name of the contact sheet, "" for none.
    """

    kind: str
    severity: Severity
    text: str
    count: int
    unit: str
    advice: str
    examples: tuple[str, ...] = ()
    flagged: tuple[str, ...] = ()
    show: tuple[tuple[str, ...], ...] = ()
    picture: str = ""


@dataclass(frozen=True)
class Audit:
    """Everything about one task.

    Attributes:
        task: The task's label.
        data: Fingerprint of its data: the store keeps the audit under it.
        images: Images by part: `train`, `validation`, `test` (of a k-fold split all training images are `train`).
        findings: Most serious first.
        groups: Groups of duplicate images, exact or near, two ids or more each.
        facts: Numbers that stand whether or not anything was found, such as `adversarial_auc`.
    """

    task: str
    data: str
    images: dict[str, int]
    findings: tuple[Finding, ...]
    groups: tuple[tuple[str, ...], ...]
    facts: dict[str, Any]

    def counts(self) -> dict[str, int]:
        """Findings by severity, all three."""
        return {s: sum(f.severity == s for f in self.findings) for s in SEVERITIES}

    @property
    def flagged(self) -> frozenset[str]:
        """Ids of the rows that any finding makes doubtful."""
        return frozenset(i for f in self.findings for i in f.flagged)

    def json(self) -> bytes:
        """As kept in audit.json."""
        return json.dumps(asdict(self), indent=1, ensure_ascii=False).encode()


def kept_place(storage: Storage, data: str) -> Storage:
    """Where the store keeps the audit of a task's data."""
    return storage.child(task_key(data, "audit"))


def read_audit(storage: Storage, data: str) -> Audit | None:
    """The kept audit of a task's data, or None."""
    raw = kept_place(storage, data).read_or_none("audit.json")
    return None if raw is None else from_json(raw)


def from_json(data: bytes) -> Audit:
    """What `Audit.json` gave, from this swath or another: fields that this one does not know are left out."""
    raw = json.loads(data)
    groups = tuple(map(tuple, raw["groups"]))
    return Audit(
        task=raw["task"],
        data=raw["data"],
        images=raw["images"],
        findings=tuple(map(_finding, raw["findings"])),
        groups=groups,
        facts=raw["facts"],
    )


def _finding(raw: dict[str, Any]) -> Finding:
    known = {f.name for f in fields(Finding)}
    values: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in raw.items() if k in known}
    return Finding(**{**values, "show": tuple(map(tuple, values.get("show", ())))})


def by_severity(findings: list[Finding]) -> tuple[Finding, ...]:
    """Most serious first, the order within a severity kept."""
    return tuple(sorted(findings, key=lambda f: SEVERITIES.index(f.severity)))


def some(items: list[str]) -> tuple[str, ...]:
    """The first examples."""
    return tuple(items[:EXAMPLES])
