"""The bird study as its table lists it: cells A to G of two models, beside their published scores."""

from dataclasses import replace
from typing import Any, Literal

from swath import Backbone, Recipe, Sweep, chain, grid, holdout, losses, main, mix, ops, recipes, tasks, union

CROPS: dict[str, Literal["contour", "pad", "keep_ratio", "stretch"]] = {
    "D contour crop": "contour",
    "E padded crop": "pad",
    "F crop keeping the ratio": "keep_ratio",
    "G stretched crop": "stretch",
}
# Public and private macro F1.
SWINV2 = {
    "A base": (0.939, 0.946),
    "B upscaled data + CutMix": (0.957, 0.964),
    "C Real-ESRGAN on test, trained on raw": (0.923, 0.926),
    "C Real-ESRGAN on test, trained on hires": (0.923, 0.926),
    "D contour crop": (0.928, 0.931),
    "E padded crop": (0.922, 0.924),
    "F crop keeping the ratio": (0.939, 0.940),
    "G stretched crop": (0.920, 0.926),
}
BEIT = {
    "A base": (0.668, 0.681),
    "B CutMix": (0.753, 0.748),
    "C upscaled data + adjusted rate + CutMix": (0.954, 0.962),
    "D contour crop": (0.910, 0.910),
    "E padded crop": (0.902, 0.903),
    "F crop keeping the ratio": (0.928, 0.926),
    "F + upscaled data + CutMix": (0.888, 0.891),
    "G stretched crop": (0.911, 0.906),
}
RATES = (5e-5, 2e-4, 1e-3)


def bird_seed(
    data: str = "data/birds",
    detector: str = "",
    sr_model: Literal["x4plus", "compact"] = "x4plus",
    sr_weights: str = "",
) -> Sweep:
    """The cells of SwinV2-B and BEiT-B on the low-resolution birds, as the study's table lists them.

    "Upscaled data" are images added, low and high resolution together. The study does not say what C of SwinV2 was
    trained on, so it has two cells; the learning rate of BEiT's A and B is unknown, so they have three each.

    Args:
        data: Folder with train.csv, test.csv, sample_submission.csv and the images.
        detector: Folder of detectors for this split (swath detect finetune); without one cells D to G are left out.
        sr_model: Real-ESRGAN's large (x4plus) or compact network, for C of SwinV2.
        sr_weights: File of its weights; empty takes the official release.
    """
    swin = Sweep(
        name="bird_seed",
        task=tasks.DaconBirds(data),
        split=holdout(0.2, seed=0),
        # The first token stood for the image, though SwinV2 has no class token.
        backbone=Backbone("hf:microsoft/swinv2-base-patch4-window16-256", pool="first_token"),
        loss=losses.CrossEntropy(),
        recipe=recipes.swinv2_birds,
    )
    beit = replace(
        swin,
        backbone=Backbone("hf:microsoft/beit-base-patch16-224-pt22k-ft22k", pool="first_token"),
        recipe=recipes.beit_birds,
    )
    more = chain(train=(ops.Both(),))
    sr = (ops.SuperRes(scale=4, model=sr_model, weights=sr_weights),)
    cells = [
        named(swin, "SwinV2 A base"),
        named(swin, "SwinV2 B upscaled data + CutMix", preprocess=more, recipe=cutmix(swin.recipe)),
        named(swin, "SwinV2 C Real-ESRGAN on test, trained on raw", preprocess=chain(test=sr)),
        named(swin, "SwinV2 C Real-ESRGAN on test, trained on hires", preprocess=chain(train=(ops.Hires(),), test=sr)),
        named(beit, "BEiT A base", recipe=replace(beit.recipe, lr=grid(*RATES))),
        named(beit, "BEiT B CutMix", recipe=replace(cutmix(beit.recipe), lr=grid(*RATES))),
        named(beit, "BEiT C upscaled data + adjusted rate + CutMix", preprocess=more, recipe=cutmix(beit.recipe)),
    ]
    if detector:
        for name, mode in CROPS.items():
            crop = (ops.DetectCrop(mode, detector),)
            cells += [named(swin, f"SwinV2 {name}", preprocess=crop), named(beit, f"BEiT {name}", preprocess=crop)]
        keep = ops.DetectCrop("keep_ratio", detector)
        both = chain(train=(ops.Both(), keep), test=(keep,))
        cells.append(named(beit, "BEiT F + upscaled data + CutMix", preprocess=both, recipe=cutmix(beit.recipe)))
    labels = {cell.label for cell in cells}
    scores = {
        f"{model} {cell}": s for model, table in (("SwinV2", SWINV2), ("BEiT", BEIT)) for cell, s in table.items()
    }
    return union(*cells, name="bird_seed", published=by_cell({c: s for c, s in scores.items() if c in labels}))


def named(base: Sweep, label: str, **changes: Any) -> Sweep:
    """The base with another label and other fields."""
    return replace(base, label=label, **changes)


def cutmix(recipe: Recipe) -> Recipe:
    """The recipe with CutMix."""
    return replace(recipe, mix=(mix.CutMix(),))


def by_cell(scores: dict[str, tuple[float, float]]) -> dict[str, tuple[float, float]]:
    """The scores with BEiT's A and B once for each learning rate."""
    rated = ("BEiT A base", "BEiT B CutMix")
    return {
        label: score
        for cell, score in scores.items()
        for label in ([f"{cell} / {rate:g}" for rate in RATES] if cell in rated else [cell])
    }


if __name__ == "__main__":
    main(bird_seed)
