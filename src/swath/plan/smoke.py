"""The smoke variant of a sweep: the grid's shape with tiny models, few images and epochs, under its own name."""

from dataclasses import replace
from typing import Any, cast

from swath.config.chains import Chain
from swath.config.grids import Grid, expanded, mapped
from swath.config.ops import Op, Resize, Shrink, SuperRes
from swath.config.recipe import Backbone, Recipe
from swath.config.schedules import Cosine
from swath.config.search import Optuna, Search
from swath.config.stopping import Asha, TwoPhase
from swath.config.sweep import Sweep
from swath.models import names as model_names
from swath.plan.cells import expand

EPOCHS, IMAGE_SIZE, TRAIN_IMAGES, TEST_IMAGES, POINTS = 2, 64, 400, 100, 4
# timm's tiny architectures, by the families they stand for; a family met again takes the next free one.
TINY = (
    "test_resnet",
    "test_convnext",
    "test_efficientnet",
    "test_coatnet",
    "test_vit",
    "test_maxvit",
    "test_byobnet",
    "test_nfnet",
    "test_mambaout",
    "test_convnext2",
    "test_convnext3",
    "test_efficientnet_gn",
    "test_efficientnet_ln",
    "test_vit2",
    "test_vit3",
    "test_vit4",
)


def smoke(sweep: Sweep) -> Sweep:
    """The sweep with tiny models from scratch, 64 px, 2 epochs, one seed, and at most 400 training and 100 test images.

    Images are reduced before super-resolution, whose cost grows with their pixels.

    Every cell of the grid stays a cell, unless it differs from another only in what is shrunk (epochs, image_size).
    """
    small = _small(sweep, {})
    labels = {cell.label for cell in expand(small)} if sweep.published else set()
    return replace(small, published={c: scores for c, scores in sweep.published.items() if c in labels})


def _small(sweep: Sweep, given: dict[Backbone, str]) -> Sweep:
    """The sweep without a look at its cells; `given` remembers the tiny model of each backbone."""
    return replace(
        sweep,
        name=f"{sweep.name}-smoke",
        backbone=_tiny(sweep.backbone, given),
        recipe=mapped(sweep.recipe, _small_recipe),
        preprocess=mapped(sweep.preprocess, _small_chain),
        seeds=sweep.seeds[:1],
        search=sweep.search and _short_search(sweep.search),
        stop=sweep.stop and mapped(sweep.stop, _short),
        max_train_images=min(sweep.max_train_images or TRAIN_IMAGES, TRAIN_IMAGES),
        max_test_images=min(sweep.max_test_images or TEST_IMAGES, TEST_IMAGES),
        members=tuple(_small(member, given) for member in sweep.members),
    )


def _small_recipe(recipe: object) -> object:
    """Two epochs at 64 px, with what is measured in epochs or pixels in proportion; what is off stays off."""
    if not isinstance(recipe, Recipe):
        return recipe
    sizes = cast(Any, recipe.tta_sizes)
    return replace(
        recipe,
        epochs=EPOCHS,
        image_size=IMAGE_SIZE,
        schedule=mapped(recipe.schedule, _short_warmup),
        freeze_epochs=mapped(recipe.freeze_epochs, lambda epochs: min(epochs, 1)),
        early_stop=mapped(recipe.early_stop, lambda rule: rule and replace(rule, patience=1)),
        tta_sizes=mapped(sizes, lambda given: tuple(IMAGE_SIZE + 32 * i for i in range(len(given)))),
    )


def _short_warmup(schedule: object) -> object:
    return replace(schedule, warmup_epochs=1) if isinstance(schedule, Cosine) and schedule.warmup_epochs else schedule


def _small_chain(chain: object) -> object:
    if isinstance(chain, Chain):
        return replace(chain, train=mapped(chain.train, _small_chain), test=mapped(chain.test, _small_chain))
    if not isinstance(chain, tuple):
        return chain
    return tuple(small for op in chain for small in _small_ops(op))


def _small_ops(op: Op) -> tuple[Op, ...]:
    """The op at the smoke's size; super-resolution is given so small an image that its result has that size."""
    if isinstance(op, Resize) and op.size_px:
        return (replace(op, size_px=IMAGE_SIZE),)
    if isinstance(op, SuperRes):
        scales: Any = cast(Any, op.scale).values if isinstance(op.scale, Grid) else (op.scale,)
        return Shrink(IMAGE_SIZE // max((s for s in scales if s in (2, 4)), default=4)), op
    return (op,)


def _short(rule: object) -> object:
    if isinstance(rule, TwoPhase):
        rule = replace(rule, seeds=rule.seeds[:1])
    return replace(rule, grace_epochs=1) if isinstance(rule, Asha) else rule


def _short_search(search: Search) -> Search:
    small = replace(search, n=min(search.n, POINTS))
    return replace(small, batch=min(small.batch, POINTS // 2)) if isinstance(small, Optuna) else small


def _takes_one_size(backbone: Backbone) -> bool:
    built = replace(backbone, pretrained=False)  # whether there are weights is no matter here
    known = isinstance(backbone.weights, str) and not model_names.problems(built)
    return known and model_names.takes_one_size(built)


def _tiny(value: Any, given: dict[Backbone, str]) -> Any:
    """A tiny model for each backbone, of its family where there is one, different for different backbones.

    Everything else that a backbone sets (its stem, its head, ...) is a choice of its own, and stays, with its grids.
    """

    def one(backbone: object) -> Any:
        full = Backbone(backbone) if isinstance(backbone, str) else backbone
        if not isinstance(full, Backbone) or not isinstance(full.model, str):
            return backbone
        start = Backbone(full.model, full.pretrained, full.weights)
        if start not in given:
            free = [t for t in TINY if t not in given.values()] or list(TINY)
            if not _takes_one_size(full):  # and so must not be stood in for by one that refuses its recipe's tta_sizes
                free = [t for t in free if not _takes_one_size(Backbone(t))] or free
            family = [t for t in free if t.removeprefix("test_") in full.model]
            given[start] = (family or free)[0]
        return replace(full, model=given[start], pretrained=False, weights="")

    if isinstance(value, Grid):
        return mapped(value, lambda v: _tiny(v, given))
    if isinstance(value, Backbone) and any(isinstance(v, Grid) for v in (value.pretrained, value.weights)):
        # The model alone stands in for where its weights come from: each combination becomes a level.
        return _tiny(Grid(tuple(start for start, _ in expanded(value))), given)
    if isinstance(value, Backbone) and isinstance(cast(Any, value.model), Grid):
        models: Any = Grid(tuple(one(replace(value, model=m)).model for m in cast(Any, value.model).values))
        return replace(value, model=models, pretrained=False, weights="")
    return one(value)
