"""What an audit found, as values: for the terminal, audit.md, the store and the report alike."""

from dataclasses import asdict, dataclass
from typing import Literal

from swath.store.json_files import SCHEMA, read_record, to_bytes
from swath.store.layout import task_key
from swath.store.storage import Storage

Severity = Literal["serious", "warning", "note"]
SEVERITIES: tuple[Severity, ...] = ("serious", "warning", "note")
EXAMPLES = 12
RECORD = "audit.json"


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
class Facts:
    """Numbers that stand whether or not anything was found. None: no model was asked to tell the parts apart.

    Attributes:
        labels: Number of labels.
        adversarial_auc: AUC of telling test from training images; 0.5 is chance.
        adversarial_low: Lower end of its 95 % interval.
        adversarial_high: Upper end.
        adversarial_telling: The features that separate best on their own, each with its AUC.
    """

    labels: int = 0
    adversarial_auc: float | None = None
    adversarial_low: float | None = None
    adversarial_high: float | None = None
    adversarial_telling: tuple[tuple[str, float], ...] = ()

    @property
    def adversarial(self) -> tuple[float, float, float] | None:
        """The AUC and both ends of its interval."""
        auc, low, high = self.adversarial_auc, self.adversarial_low, self.adversarial_high
        return None if auc is None or low is None or high is None else (auc, low, high)


@dataclass(frozen=True)
class Audit:
    """Everything about one task: the content of audit.json.

    Attributes:
        task: The task's label.
        data: Fingerprint of its data: the store keeps the audit under it.
        images: Images by part: `train`, `validation`, `test` (of a k-fold split all training images are `train`).
        findings: Most serious first.
        groups: Groups of duplicate images, exact or near, two ids or more each.
        facts: Numbers that stand whether or not anything was found.
        schema: Of the record; see `swath.store.json_files`.
    """

    task: str
    data: str
    images: dict[str, int]
    findings: tuple[Finding, ...]
    groups: tuple[tuple[str, ...], ...]
    facts: Facts = Facts()
    schema: int = SCHEMA

    def counts(self) -> dict[str, int]:
        """Findings by severity, all three."""
        return {s: sum(f.severity == s for f in self.findings) for s in SEVERITIES}

    @property
    def flagged(self) -> frozenset[str]:
        """Ids of the rows that any finding makes doubtful."""
        return frozenset(i for f in self.findings for i in f.flagged)

    def json(self) -> bytes:
        """As kept in audit.json."""
        return to_bytes(asdict(self))


def kept_place(storage: Storage, data: str) -> Storage:
    """Where the store keeps the audit of a task's data."""
    return storage.child(task_key(data, "audit"))


def read_audit(storage: Storage, data: str) -> Audit | None:
    """The kept audit of a task's data, or None; StoreError for one that is damaged."""
    return read_record(storage, task_key(data, f"audit/{RECORD}"), Audit, "write it again with `swath audit`")


def by_severity(findings: list[Finding]) -> tuple[Finding, ...]:
    """Most serious first, the order within a severity kept."""
    return tuple(sorted(findings, key=lambda f: SEVERITIES.index(f.severity)))


def some(items: list[str]) -> tuple[str, ...]:
    """The first examples."""
    return tuple(items[:EXAMPLES])
