"""The bird study: 64x64 photographs, single label."""

from swath import Recipe, Sweep, asha, grid, holdout, losses, main, ops, tasks


def bird_ablation(data: str = "data/birds") -> Sweep:
    """Preprocessing x backbone on the low-resolution bird task (DACON 236251 layout).

    Args:
        data: Folder with train.csv, test.csv, sample_submission.csv and the images.
    """
    return Sweep(
        name="bird_ablation",
        task=tasks.DaconBirds(data),
        split=holdout(0.2, seed=0),
        preprocess=grid((), (ops.Sharpen(),)),
        backbone=grid("swinv2_base_window16_256", "beit_base_patch16_224"),
        loss=losses.BCE(),
        recipe=Recipe(epochs=20, batch_size=16, optimizer="adamw", lr=5e-5, weight_decay=1e-2, image_size=256),
        seeds=(0, 1, 2),
        stop=asha(grace_epochs=3, reduction=3),
    )


if __name__ == "__main__":
    main(bird_ablation)
