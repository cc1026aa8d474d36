"""Which models timm has and which weights a name stands for, read from timm's source without importing it.

Importing timm loads torch (about seven seconds); `swath check` and the driver need the names only. A test compares
every answer with timm's own registry.
"""

import ast
import importlib.util
import re
from functools import cache
from pathlib import Path

from swath.core.errors import InputError
from swath.core.registry import unknown

FIXED = "fixed_input_size"
_MODEL = re.compile(r"^@register_model\s*\n(?:@.*\n)*def (\w+)\(", re.MULTILINE)


def split_tag(model: str) -> tuple[str, str]:
    """`resnet50.a1_in1k` to (`resnet50`, `a1_in1k`); the tag is empty when the name has none."""
    architecture, _, tag = model.partition(".")
    return architecture, tag


def problems(model: str) -> list[str]:
    """A sentence when timm has no such model or no such weight tag."""
    architecture, tag = split_tag(model)
    files = _files()
    if architecture not in files:
        return [unknown("backbone", model, files) + " List them with timm.list_models()."]
    tags = weight_tags(architecture)
    if tag and tag not in tags:
        return [unknown(f"weight tag of {architecture}", tag, [t for t in tags if t])]
    return []


def pretrained_problems(model: str) -> list[str]:
    """A sentence when timm has no pretrained weights for a model, or a tag, it knows."""
    architecture, tag = split_tag(model)
    if architecture in _files() and not any(weight_tags(architecture).values()):
        return [
            f"backbone {model!r} has no pretrained weights in timm: use Backbone({model!r}, pretrained=False) "
            "to train from scratch, or Backbone(..., weights=PATH) for weights of your own."
        ]
    if architecture in _files() and weight_tags(architecture).get(tag, True) is False:
        with_weights = ", ".join(t for t, has in weight_tags(architecture).items() if has)
        return [
            f"backbone {model!r}: timm knows the tag {tag!r} but has no weights for it. Take one of {with_weights}, "
            f"or train from scratch with Backbone({model!r}, pretrained=False)."
        ]
    return []


def resolved(model: str) -> str:
    """The name with the weight tag that timm would load: `resnet50` to `resnet50.a1_in1k`."""
    architecture, tag = split_tag(model)
    if tag or architecture not in _files():
        return model
    default = next(iter(weight_tags(architecture)), "")
    return f"{architecture}.{default}" if default else architecture


def native_size(model: str) -> int:
    """Side of the images a model's weights were made for, in pixels; timm itself is asked (and imported)."""
    from timm.models import get_pretrained_cfg

    config = get_pretrained_cfg(resolved(model))
    size = config.input_size[-1] if config is not None else None
    if size is None:
        raise InputError(f"timm names no input size for {model!r}: give image_size as a number of pixels.")
    return int(size)


@cache
def takes_one_size(model: str) -> bool:
    """True when a model is built for one size of image and refuses others.

    Where timm's source does not show it plainly, timm itself is asked (and imported).
    """
    architecture, full_name = split_tag(model)[0], resolved(model)
    path = _files()[architecture]
    if FIXED not in path.read_text(encoding="utf-8") or architecture in _fitting(path):
        return False
    for key, value in _entries(path):
        # Of a name without a tag, timm takes the first entry.
        if key.replace("*", "") == full_name or ("." not in full_name and split_tag(key)[0] == full_name):
            return _fixed_size_in_source(value, full_name)
    return _asked_for_one_size(full_name)


def _fixed_size_in_source(value: ast.expr, model: str) -> bool:
    """What a configuration says of its size: itself, or the function that fills in the rest."""
    if isinstance(value, ast.Call) and isinstance(value.func, ast.Name) and all(k.arg for k in value.keywords):
        path = _files()[split_tag(model)[0]]
        for given in ({k.arg: k.value for k in value.keywords}, _defaults(path).get(value.func.id)):
            if given is None:
                break
            if isinstance(said := given.get(FIXED), ast.Constant):
                return bool(said.value)
        else:
            return False
    return _asked_for_one_size(model)


def _asked_for_one_size(model: str) -> bool:
    from timm.models import get_pretrained_cfg

    config = get_pretrained_cfg(model)
    return config is not None and config.fixed_input_size


@cache
def weight_tags(architecture: str) -> dict[str, bool]:
    """Weight tags of an architecture, the default first, and whether weights exist for each.

    Where the source does not show plainly that there are weights, timm itself is asked (and imported).
    """
    tags: list[str] = []
    has: dict[str, bool] = {}
    default_set = False
    for key, weights in _configurations(_files()[architecture]):
        name, tag = split_tag(key)
        if name != architecture:
            continue
        # The order is that of timm.models._registry.generate_default_cfgs.
        first = (weights and not tag) or (tag.endswith("*") and not default_set)
        default_set = default_set or first
        tag = tag.strip("*")
        if first or (weights and not any(has.values())):
            tags.insert(0, tag)
        else:
            tags.append(tag)
        has[tag] = weights
    return {tag: has[tag] for tag in tags} if any(has.values()) else _asked(architecture)


def _asked(architecture: str) -> dict[str, bool]:
    from timm.models import get_pretrained_cfg, list_pretrained

    default = get_pretrained_cfg(architecture)
    tags = [default.tag or ""] if default is not None and default.has_weights else []
    tags += [split_tag(name)[1] for name in list_pretrained(f"{architecture}.*")]
    return dict.fromkeys(tags, True)


@cache
def _files() -> dict[str, Path]:
    """Architecture name to the file of timm that registers it."""
    spec = importlib.util.find_spec("timm")
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError("timm is not installed: pip install timm")
    folder = Path(spec.submodule_search_locations[0]) / "models"
    return {
        name: path for path in sorted(folder.glob("*.py")) for name in _MODEL.findall(path.read_text(encoding="utf-8"))
    }


@cache
def _configurations(path: Path) -> tuple[tuple[str, bool], ...]:
    """(`architecture.tag`, has weights) of every entry of the file's default_cfgs, in order."""
    return tuple((key, _has_weights(value)) for key, value in _entries(path))


@cache
def _defaults(path: Path) -> dict[str, dict[str, ast.expr]]:
    """What each function of the file that only fills in a configuration puts into it."""
    defaults = {}
    for node in ast.walk(_tree(path)):
        last = node.body[-1] if isinstance(node, ast.FunctionDef) else None
        if isinstance(node, ast.FunctionDef) and isinstance(last, ast.Return) and isinstance(last.value, ast.Dict):
            pairs = zip(last.value.keys, last.value.values, strict=True)
            defaults[node.name] = {str(k.value): v for k, v in pairs if isinstance(k, ast.Constant)}
    return defaults


@cache
def _fitting(path: Path) -> set[str]:
    """The architectures of the file that fit their position embeddings to whatever size comes."""
    return {
        function.name
        for function in _tree(path).body
        if isinstance(function, ast.FunctionDef)
        for node in ast.walk(function)
        if isinstance(node, ast.keyword) and node.arg == "dynamic_img_size"
        if isinstance(node.value, ast.Constant) and node.value.value is True
    }


@cache
def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


@cache
def _entries(path: Path) -> tuple[tuple[str, ast.expr], ...]:
    """(`architecture.tag`, configuration) of every entry of the file's default_cfgs, in order."""
    tree = _tree(path)
    tables = {
        target.id: node.value
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Dict)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    entries: list[tuple[str, ast.expr]] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "generate_default_cfgs":
            table = tables.get(node.args[0].id) if isinstance(node.args[0], ast.Name) else node.args[0]
            if isinstance(table, ast.Dict):
                pairs = zip(table.keys, table.values, strict=True)
                entries += [(str(k.value), v) for k, v in pairs if isinstance(k, ast.Constant)]
    return tuple(entries)


def _has_weights(value: ast.expr) -> bool:
    if not isinstance(value, ast.Call):
        return False
    sources = [k.value for k in value.keywords if k.arg in ("url", "file", "hf_hub_id")] + value.args[:1]
    return any(not (isinstance(s, ast.Constant) and not s.value) for s in sources)
