"""The whole study in miniature, on drawn images: no download, a few minutes on two cores."""

from swath import Backbone, Recipe, Sweep, asha, grid, holdout, losses, main, ops, tasks


def demo(data: str = "data/synthetic", images: int = 600) -> Sweep:
    """Preprocessing x backbone x loss on drawn aerial scenes with 14 labels.

    Args:
        data: Folder the scenes are drawn into.
        images: Number of training images to draw.
    """
    return Sweep(
        name="demo",
        task=tasks.SyntheticSatellite(data, train=images, test=images // 4, size_px=128),
        split=holdout(0.25, seed=0),
        preprocess=grid((), (ops.Grayscale(),), (ops.Sharpen(),)),
        backbone=grid(Backbone("test_resnet", pretrained=False), Backbone("test_efficientnet", pretrained=False)),
        loss=grid(losses.BCE(), losses.Asymmetric()),
        recipe=Recipe(epochs=9, batch_size=32, optimizer="adamw", lr=3e-3, image_size=64),
        seeds=(0,),
        stop=asha(grace_epochs=3, reduction=2, exempt="baseline"),
    )


if __name__ == "__main__":
    main(demo)
