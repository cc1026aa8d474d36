"""The size of the images a model sees: what "native" stands for, and which sizes do not fit together."""

from dataclasses import replace

from swath.config import chains
from swath.config.chains import Preprocess
from swath.config.recipe import NATIVE, Backbone, Recipe
from swath.core.errors import InputError
from swath.models import names as model_names


def sized(recipe: Recipe, backbone: Backbone) -> Recipe:
    """The recipe with a number of pixels where it says "native"; as it is when the backbone cannot say one."""
    if recipe.image_size != NATIVE or _names_problems(backbone):
        return recipe
    try:
        return replace(recipe, image_size=model_names.native_size(backbone))
    except InputError:
        return recipe


def size_problems(preprocess: Preprocess, recipe: Recipe, backbone: Backbone) -> list[str]:
    """Sentences about sizes that a chain, a recipe and a backbone do not agree on; `preprocess` is without problems."""
    known = sized(recipe, backbone)
    problems = [*_native_problems(known, backbone), *_chain_problems(preprocess, known)]
    return problems + _tta_problems(known, backbone)


def _names_problems(backbone: Backbone) -> list[str]:
    return backbone.problems() or model_names.problems(backbone) or model_names.file_problems(backbone)


def _native_problems(known: Recipe, backbone: Backbone) -> list[str]:
    if known.image_size != NATIVE or _names_problems(backbone):
        return []  # an unknown backbone has its own sentence elsewhere
    try:
        model_names.native_size(backbone)
    except InputError as error:
        return list(error.problems)
    return []


def _tta_problems(known: Recipe, backbone: Backbone) -> list[str]:
    """A sentence when test-time augmentation would show other sizes to a model that takes one only."""
    sizes, side = known.tta_sizes, known.image_size
    others = isinstance(sizes, tuple) and any(size != side for size in sizes)
    if not others or known.problems() or _names_problems(backbone) or not model_names.takes_one_size(backbone):
        return []
    return [
        f"Recipe(tta_sizes={sizes!r}): backbone {backbone.canonical()!r} takes images of one size only, its image_size "
        f"of {side}. Leave tta_sizes out (tta='flip' and tta='d4' keep the size), or take a backbone for any size, "
        "e.g. a ResNet, ConvNeXt or EfficientNet."
    ]


def _chain_problems(preprocess: Preprocess, known: Recipe) -> list[str]:
    """A sentence when the chain gives smaller images than the recipe says the model sees; larger ones are cropped."""
    image_size = known.image_size
    if not isinstance(image_size, int):
        return []
    return [
        f"preprocess={chains.label(preprocess)} gives images of {size} px, Recipe(image_size={image_size!r}) says "
        "the model sees larger ones: leave size_px out of Resize, or make it as large or larger (then random crops "
        "have room, and validation takes the centre)."
        for size in sorted(chains.sizes_px(preprocess, image_size))
        if size < image_size
    ]
