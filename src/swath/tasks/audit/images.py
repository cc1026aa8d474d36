"""Image files that are not like the others: sizes, modes, endings, constant or damaged content."""

from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np

from swath.tasks.audit.audited_task import AuditedTask
from swath.tasks.audit.findings import EXAMPLES, Finding, Severity, some

_USUAL_SHARE = 0.5
_SERIOUS_SHARE = 0.01


def image_findings(task: AuditedTask) -> list[Finding]:
    """All that the files have to say."""
    findings = [_damaged(task), _constant(task), _suffixes(task), _modes(task), _sizes(task)]
    return [finding for finding in findings if finding]


def _damaged(task: AuditedTask) -> Finding | None:
    rows = [i for i, scan in enumerate(task.scans) if scan.problem]
    return _finding(
        task,
        rows,
        "damaged_images",
        "serious" if len(rows) >= _SERIOUS_SHARE * len(task.ids) else "warning",
        "{n} cannot be read, or only in part.",
        "Restore the files from their source, or drop their rows from the csv. What cannot be read at all is left out "
        "by a sweep; of a truncated image the rest is trained on as gray.",
        lambda row: task.scans[row].problem,
        flag=True,
    )


def _constant(task: AuditedTask) -> Finding | None:
    rows = [i for i, scan in enumerate(task.scans) if scan.constant]
    return _finding(
        task,
        rows,
        "constant_images",
        "serious" if len(rows) >= _SERIOUS_SHARE * len(task.ids) else "warning",
        "{n} one colour all over.",
        "There is nothing to learn from them: drop their rows, or find out what made them.",
        verbs=("is", "are"),
        flag=True,
    )


def _suffixes(task: AuditedTask) -> Finding | None:
    rows = [i for i, scan in enumerate(task.scans) if scan.suffix]
    return _finding(
        task,
        rows,
        "wrong_suffixes",
        "note",
        "{n} a content that is not what the file's ending says.",
        "swath goes by the content, other programs may not: rename the files. One source that differs from the rest "
        "is worth a look, for a model can learn a codec's traces.",
        lambda row: f"{task.scans[row].suffix} inside",
        verbs=("has", "have"),
    )


def _modes(task: AuditedTask) -> Finding | None:
    modes = Counter(scan.mode for scan in task.scans if scan.mode)
    if not modes:
        return None
    usual = modes.most_common(1)[0][0]
    plain = usual in ("color", "gray")
    rows = [i for i, scan in enumerate(task.scans) if scan.mode and not (plain and scan.mode == usual)]
    listed = ", ".join(f"{n:,} {mode}" for mode, n in modes.most_common())
    return _finding(
        task,
        rows,
        "image_modes",
        "note",
        f"{{n}} not simply {usual if plain else 'colour or gray'} ({listed}).",
        "swath reads everything as 8-bit colour: alpha is dropped, 16 bits are reduced to 8, gray is repeated, CMYK "
        "is converted without a profile. Convert the files yourself where that is not what you want.",
        lambda row: task.scans[row].mode,
        verbs=("is", "are"),
    )


def _sizes(task: AuditedTask) -> Finding | None:
    sizes = Counter((scan.width, scan.height) for scan in task.scans if scan.width)
    if len(sizes) < 2:
        return None
    (width, height), usual = sizes.most_common(1)[0]
    areas = [w * h for (w, h), n in sizes.items() for _ in range(n)]
    if usual >= _USUAL_SHARE * len(task.ids):
        rows = [i for i, scan in enumerate(task.scans) if scan.width and (scan.width, scan.height) != (width, height)]
        text = f"{{n}} not {width}x{height} px like the rest ({len(sizes) - 1} other sizes)."
    else:
        typical = float(np.median(areas))
        rows = [
            i
            for i, scan in enumerate(task.scans)
            if scan.width
            and (not typical / 8 < scan.width * scan.height < typical * 8 or not 1 / 3 < scan.width / scan.height < 3)
        ]
        text = "{n} eight times larger or smaller than the median, or three times as long as wide."
    return _finding(
        task,
        rows,
        "image_sizes",
        "note",
        text,
        "Resize(aspect=...) says what becomes of other shapes: stretched, padded or cut. Very small ones are blurred.",
        lambda row: f"{task.scans[row].width}x{task.scans[row].height}",
        verbs=("is", "are"),
    )


def _finding(
    task: AuditedTask,
    rows: Sequence[int],
    kind: str,
    severity: Severity,
    text: str,
    advice: str,
    remark: Callable[[int], str] = lambda _: "",
    verbs: tuple[str, str] = ("", ""),
    flag: bool = False,
) -> Finding | None:
    """A finding about single images; `{n}` in the text becomes `1 image is` or `3 images are`."""
    if not rows:
        return None
    ids = tuple(task.ids[row] for row in rows)
    noun, verb = ("image", verbs[0]) if len(rows) == 1 else ("images", verbs[1])
    return Finding(
        kind=kind,
        severity=severity,
        text=text.replace("{n}", f"{len(rows):,} {noun} {verb}".strip()),
        count=len(rows),
        unit="images",
        advice=advice,
        examples=some(
            [f"{task.ids[r]} ({', '.join(filter(None, (task.part(r), remark(r))))})" for r in rows[:EXAMPLES]]
        ),
        flagged=ids if flag else (),
        show=tuple(ids[i : i + 6] for i in range(0, min(len(ids), 12), 6)),
    )
