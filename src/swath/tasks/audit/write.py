"""An audit as files: audit.json, audit.md, groups.csv and contact sheets, into a report folder and into the store."""

import io
from dataclasses import replace

import pandas as pd

from swath.core.text import escape
from swath.store.storage import Storage
from swath.tasks.audit.audited_task import AuditedTask
from swath.tasks.audit.contact_sheet import contact_sheet
from swath.tasks.audit.findings import RECORD, SEVERITIES, Audit, Finding


def draw(audit: Audit, task: AuditedTask) -> tuple[Audit, dict[str, bytes]]:
    """The audit with its pictures' names, and the pictures."""
    row_of = {name: row for row, name in enumerate(task.ids)}
    path_of = dict(zip(task.ids, task.paths, strict=True))

    def caption(name: str) -> str:
        row = row_of[name]
        part = task.part(row)
        return part if part == "test" else f"{part}: {task.names(row)}"

    pictures, findings = {}, []
    for finding in audit.findings:
        if finding.show:
            file = f"{finding.kind}.png"
            pictures[file] = contact_sheet(finding.show, path_of, caption)
            findings.append(replace(finding, picture=file))
        else:
            findings.append(finding)
    return replace(audit, findings=tuple(findings)), pictures


def write_audit(place: Storage, audit: Audit, pictures: dict[str, bytes]) -> None:
    """Write an audit's files; audit.json last.

    Args:
        place: Folder of the report, or the task's place in the store (`kept_place`).
        audit: What `draw` gave.
        pictures: From `draw`.
    """
    for file, png in pictures.items():
        place.write(file, png)
    place.write("groups.csv", _groups_csv(audit))
    place.write("audit.md", markdown(audit).encode())
    place.write(RECORD, audit.json())


def _groups_csv(audit: Audit) -> bytes:
    rows = [(name, f"g{number}") for number, group in enumerate(audit.groups) for name in group]
    buffer = io.StringIO()
    pd.DataFrame(rows, columns=["id", "group"]).to_csv(buffer, index=False, lineterminator="\n")
    return buffer.getvalue().encode()


def markdown(audit: Audit) -> str:
    """audit.md."""
    parts = [f"# Data audit of {escape(audit.task)}", headline(audit), _adversarial_line(audit)]
    for severity in SEVERITIES:
        findings = [f for f in audit.findings if f.severity == severity]
        if findings:
            parts.append(f"## {_TITLES[severity]}")
            parts += [_section(finding) for finding in findings]
    parts.append(f"Groups of duplicates: {len(audit.groups)}, in groups.csv. All numbers and ids: audit.json.")
    return "\n\n".join(part for part in parts if part) + "\n"


_TITLES = {"serious": "Serious", "warning": "Look at these", "note": "Good to know"}


def headline(audit: Audit) -> str:
    """`1,470 train, 630 test images: 1 serious finding, 2 warnings, 3 notes.`"""
    counts = audit.counts()
    images = ", ".join(f"{n:,} {part}" for part, n in audit.images.items() if n)
    findings = ", ".join(
        f"{counts[s]} {name}{'' if counts[s] == 1 else 's'}"
        for s, name in zip(SEVERITIES, ("serious finding", "warning", "note"), strict=True)
    )
    return f"{images} images: {findings}."


def _adversarial_line(audit: Audit) -> str:
    if audit.facts.adversarial is None:
        return ""
    auc, low, high = audit.facts.adversarial
    return (
        f"A model that tries to tell test from training images by colours and coarse shapes reaches AUC {auc:.3f} "
        f"({low:.3f} to {high:.3f}), where 0.5 is chance."
    )


def _section(finding: Finding) -> str:
    lines = [f"### {finding.kind}", "", escape(finding.text), "", f"What to do: {finding.advice}"]
    if finding.examples:
        lines += ["", *(f"- {escape(example)}" for example in finding.examples)]
        more = finding.count - len(finding.examples)
        lines += [f"- and {more:,} more"] if more > 0 else []
    if finding.picture:
        lines += ["", f"![{finding.kind}]({finding.picture})"]
    return "\n".join(lines)


def terminal(audit: Audit) -> str:
    """What `swath audit` prints."""
    lines = [f"{audit.task}: {headline(audit)}"]
    for finding in audit.findings:
        lines.append(f"  {finding.severity:<8} {finding.kind}: {finding.text}")
        lines += [f"           e.g. {'; '.join(finding.examples[:2])}"] if finding.examples else []
    line = _adversarial_line(audit)
    return "\n".join([*lines, *([f"  {line}"] if line else [])])
