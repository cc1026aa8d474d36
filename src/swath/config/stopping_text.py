"""A stopping rule from text, as scripts write it and as stores and reports show it. Nothing is evaluated."""

import ast
import inspect
from collections.abc import Callable
from typing import Any

from swath.config.stopping import Asha
from swath.config.sweep import asha, two_phase
from swath.core.errors import InputError, raise_if_any
from swath.core.registry import unknown

NONE = "none"
"""Text of no rule: every trial runs to its end."""
_RULES: dict[str, Callable[..., Asha]] = {"asha": asha, "two_phase": two_phase}
_EXAMPLES = "asha(grace_epochs=3, reduction=3), two_phase(top=6, seeds=(101, 102)) or none"


def stopping_rule(text: str) -> Asha | None:
    """The rule that a text describes.

    Args:
        text: `none`; or a rule as a script writes it, `asha(3, 3, exempt="baseline")`, or as a report shows it,
            `two_phase(grace_epochs=1,top=2,exempt=baseline,seeds=7+8)`.

    Raises:
        InputError: It is no such text, or a value in it is out of range.
    """
    if text.strip() == NONE:
        return None
    try:
        call = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError):
        raise InputError(f"{text!r} is no stopping rule; write for instance {_EXAMPLES}.") from None
    name, words, named = (call.func, call.args, call.keywords) if isinstance(call, ast.Call) else (call, [], [])
    if not isinstance(name, ast.Name) or any(word.arg is None for word in named):
        raise InputError(f"{text!r} is no stopping rule; write for instance {_EXAMPLES}.")
    if name.id not in _RULES:
        raise InputError(unknown("stopping rule", name.id, (*_RULES, NONE)))
    make = _RULES[name.id]
    try:
        arguments = inspect.signature(make).bind(
            *map(_value, words), **{word.arg: _value(word.value) for word in named if word.arg}
        )
    except (TypeError, ValueError) as error:
        allowed = ", ".join(inspect.signature(make).parameters)
        raise InputError(f"{text!r}: {error}; {name.id} takes {allowed}.") from None
    seeds = arguments.arguments.get("seeds")
    if isinstance(seeds, int | list):  # a canonical form shows a tuple of one as its only value
        arguments.arguments["seeds"] = (seeds,) if isinstance(seeds, int) else tuple(seeds)
    rule = make(*arguments.args, **arguments.kwargs)
    raise_if_any([*rule.problems(), *_seed_problems(text, rule)])
    return rule


def _value(node: ast.expr) -> Any:
    """A literal; a word without quotation marks and numbers joined by `+` are what canonical forms have for them."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        left, right = _value(node.left), _value(node.right)
        return (*left, right) if isinstance(left, tuple) else (left, right)
    return ast.literal_eval(node)


def _seed_problems(text: str, rule: Asha) -> list[str]:
    """A sentence about seeds of a second phase that are no tuple of different numbers."""
    seeds = rule.later_seeds
    given = seeds if isinstance(seeds, tuple) else ()
    if rule.name != "two_phase" or (given and all(isinstance(s, int) for s in given) and len(set(given)) == len(given)):
        return []
    return [f"{text!r}: give its seeds as a tuple of different whole numbers, as seeds=(101, 102)."]
