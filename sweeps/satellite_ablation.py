"""The satellite study's next steps: does sharpening help, in which network, with which loss and augmentation?"""

from dataclasses import replace

from swath import Recipe, Sweep, augment, grid, holdout, losses, main, mix, ops, tasks, two_phase, union


def satellite_ablation(data: str = "data/satellite") -> Sweep:
    """Preprocessing x backbone x loss, and a star of augmentations around it, on the satellite task.

    Args:
        data: Folder with train.csv, test.csv, sample_submission.csv and the images (DACON 236201 layout).
    """
    crossed = Sweep(
        name="satellite_ablation",
        task=tasks.DaconSatellite(data),
        split=holdout(0.2, seed=0),
        preprocess=grid((), (ops.Grayscale(channels=3),), (ops.Sharpen(),)),
        backbone=grid("resnet50", "convnext_tiny", "tf_efficientnetv2_s", "coatnet_0_rw_224"),
        loss=grid(losses.BCE(), losses.Focal(), losses.Asymmetric(), losses.TwoWay()),
        recipe=Recipe(epochs=20, batch_size=32, optimizer="adam", lr=3e-4, image_size=224),
        stop=two_phase(top=6, seeds=(101, 102, 103), grace_epochs=3, reduction=3, exempt="baseline"),
    )
    star = replace(
        crossed,
        design="star",
        preprocess=(),
        backbone="convnext_tiny",
        loss=losses.BCE(),
        recipe=replace(
            crossed.recipe,
            augment=grid(
                (),
                (augment.HorizontalFlip(), augment.Rotate90()),
                (augment.RandAugment(),),
                (augment.RandomResizedCrop(scale=(0.5, 1.0)), augment.HorizontalFlip()),
            ),
            mix=grid((), (mix.CutMix(),), (mix.Mixup(),), (mix.CutMix(), mix.Mixup())),
            tta=grid("none", "flip", "d4"),
        ),
    )
    return union(crossed, star, name="satellite_ablation")


if __name__ == "__main__":
    main(satellite_ablation)
