"""Image files that are not like the others: sizes, modes, endings, constant or damaged content."""

from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np

from swath.tasks.audit.audited_task import Subject
from swath.tasks.audit.findings import EXAMPLES, Finding, Severity, some

_USUAL_SHARE = 0.5
_SERIOUS_SHARE = 0.01


def image_findings(subject: Subject) -> list[Finding]:
    """All that the files have to say."""
    found = [_damaged(subject), _constant(subject), _suffixes(subject), _modes(subject), _sizes(subject)]
    return [finding for finding in found if finding]


def _damaged(subject: Subject) -> Finding | None:
    rows = [i for i, look in enumerate(subject.looks) if look.problem]
    return _finding(
        subject,
        rows,
        "damaged_images",
        "serious" if len(rows) >= _SERIOUS_SHARE * len(subject.ids) else "warning",
        "{n} cannot be read, or only in part.",
        "Restore the files from their source, or drop their rows from the csv. What cannot be read at all is left out "
        "by a sweep; of a truncated image the rest is trained on as gray.",
        lambda row: subject.looks[row].problem,
        flag=True,
    )


def _constant(subject: Subject) -> Finding | None:
    rows = [i for i, look in enumerate(subject.looks) if look.constant]
    return _finding(
        subject,
        rows,
        "constant_images",
        "serious" if len(rows) >= _SERIOUS_SHARE * len(subject.ids) else "warning",
        "{n} one colour all over.",
        "There is nothing to learn from them: drop their rows, or find out what made them.",
        verbs=("is", "are"),
        flag=True,
    )


def _suffixes(subject: Subject) -> Finding | None:
    rows = [i for i, look in enumerate(subject.looks) if look.suffix]
    return _finding(
        subject,
        rows,
        "wrong_suffixes",
        "note",
        "{n} a content that is not what the file's ending says.",
        "swath goes by the content, other programs may not: rename the files. One source that differs from the rest "
        "is worth a look, for a model can learn a codec's traces.",
        lambda row: f"{subject.looks[row].suffix} inside",
        verbs=("has", "have"),
    )


def _modes(subject: Subject) -> Finding | None:
    modes = Counter(look.mode for look in subject.looks if look.mode)
    if not modes:
        return None
    usual = modes.most_common(1)[0][0]
    plain = usual in ("color", "gray")
    rows = [i for i, look in enumerate(subject.looks) if look.mode and not (plain and look.mode == usual)]
    listed = ", ".join(f"{n:,} {mode}" for mode, n in modes.most_common())
    return _finding(
        subject,
        rows,
        "image_modes",
        "note",
        f"{{n}} not simply {usual if plain else 'colour or gray'} ({listed}).",
        "swath reads everything as 8-bit colour: alpha is dropped, 16 bits are reduced to 8, gray is repeated, CMYK "
        "is converted without a profile. Convert the files yourself where that is not what you want.",
        lambda row: subject.looks[row].mode,
        verbs=("is", "are"),
    )


def _sizes(subject: Subject) -> Finding | None:
    sizes = Counter((look.width, look.height) for look in subject.looks if look.width)
    if len(sizes) < 2:
        return None
    (width, height), usual = sizes.most_common(1)[0]
    areas = [w * h for (w, h), n in sizes.items() for _ in range(n)]
    if usual >= _USUAL_SHARE * len(subject.ids):
        rows = [
            i for i, look in enumerate(subject.looks) if look.width and (look.width, look.height) != (width, height)
        ]
        text = f"{{n}} not {width}x{height} px like the rest ({len(sizes) - 1} other sizes)."
    else:
        typical = float(np.median(areas))
        rows = [
            i
            for i, look in enumerate(subject.looks)
            if look.width
            and (not typical / 8 < look.width * look.height < typical * 8 or not 1 / 3 < look.width / look.height < 3)
        ]
        text = "{n} eight times larger or smaller than the median, or three times as long as wide."
    return _finding(
        subject,
        rows,
        "image_sizes",
        "note",
        text,
        "Resize(aspect=...) says what becomes of other shapes: stretched, padded or cut. Very small ones are blurred.",
        lambda row: f"{subject.looks[row].width}x{subject.looks[row].height}",
        verbs=("is", "are"),
    )


def _finding(
    subject: Subject,
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
    ids = tuple(subject.ids[row] for row in rows)
    noun, verb = ("image", verbs[0]) if len(rows) == 1 else ("images", verbs[1])
    return Finding(
        kind=kind,
        severity=severity,
        text=text.replace("{n}", f"{len(rows):,} {noun} {verb}".strip()),
        count=len(rows),
        unit="images",
        advice=advice,
        examples=some(
            [f"{subject.ids[r]} ({', '.join(filter(None, (subject.part(r), remark(r))))})" for r in rows[:EXAMPLES]]
        ),
        flagged=ids if flag else (),
        show=tuple(ids[i : i + 6] for i in range(0, min(len(ids), 12), 6)),
    )
