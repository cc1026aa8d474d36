"""The bird study asked properly: every preprocessing with the same recipe, in two networks."""

from typing import Literal

from swath import Recipe, Sweep, asha, augment, chain, grid, holdout, losses, main, ops, tasks

CROPS: tuple[Literal["contour", "pad", "keep_ratio", "stretch"], ...] = ("contour", "pad", "keep_ratio", "stretch")


def bird_ablation(
    data: str = "data/birds",
    detector: str = "",
    sr_model: Literal["x4plus", "compact"] = "x4plus",
    sr_weights: str = "",
) -> Sweep:
    """Preprocessing x backbone on the low-resolution bird task (DACON 236251 layout).

    Low resolution, high resolution, both together, super-resolution of the test images, the interpolation of the
    resize, and with a detector four crops and super-resolution after detection.

    Args:
        data: Folder with train.csv, test.csv, sample_submission.csv and the images.
        detector: Folder of detectors for this split (swath detect finetune); without one the crops are left out.
        sr_model: Real-ESRGAN's large (x4plus) or compact network.
        sr_weights: File of its weights; empty takes the official release.
    """
    sr = ops.SuperRes(scale=4, model=sr_model, weights=sr_weights)
    crops = [(ops.DetectCrop(mode, detector),) for mode in CROPS] if detector else []
    after = [(ops.DetectCrop("keep_ratio", detector), sr)] if detector else []
    return Sweep(
        name="bird_ablation",
        task=tasks.DaconBirds(data),
        split=holdout(0.2, seed=0),
        preprocess=grid(
            (),
            chain(train=(ops.Hires(),)),
            chain(train=(ops.Both(),)),
            chain(test=(sr,)),
            chain(train=(ops.Hires(),), test=(sr,)),
            (sr,),
            (ops.Resize(interpolation="nearest"),),
            (ops.Resize(interpolation="lanczos"),),
            (ops.Sharpen(),),
            *crops,
            *after,
        ),
        backbone=grid("swinv2_base_window16_256", "beit_base_patch16_224"),
        loss=losses.CrossEntropy(),
        recipe=Recipe(
            epochs=20,
            batch_size=16,
            optimizer="adamw",
            lr=5e-5,
            weight_decay=1e-2,
            image_size=256,
            augment=(augment.HorizontalFlip(),),
        ),
        seeds=(0, 1, 2),
        stop=asha(grace_epochs=4, reduction=3, exempt="first_seed"),
    )


if __name__ == "__main__":
    main(bird_ablation)
