"""The recipes of the two studies that swath grew from, as far as they were published, as values.

A variant changes a field: `replace(recipes.beit_birds, mix=(mix.CutMix(),))`.
"""

from swath.config.augment import ColorJitter, HorizontalFlip
from swath.config.recipe import Recipe
from swath.config.schedules import EarlyStop, Plateau

satellite_baseline = Recipe(epochs=20, batch_size=32, optimizer="adam", lr=3e-4, image_size=224)
"""Multi-label satellite images, ResNet50: Adam, no schedule, no augmentation."""

_birds = (ColorJitter(), HorizontalFlip(0.5))  # the magnitudes of the jitter were not published

swinv2_birds = Recipe(
    epochs=20,
    batch_size=16,
    accumulation=2,
    optimizer="adamw",
    lr=5e-5,
    precision="fp16",
    image_size=256,
    augment=_birds,
    early_stop=EarlyStop(patience=10, min_delta=0.001),
)
"""Birds, SwinV2-B. The study names callbacks for checkpoints and early stopping; their settings, taken from its BEiT,
and the optimizer, AdamW, were not published."""

beit_birds = Recipe(
    epochs=100,
    batch_size=32,
    optimizer="adamw",
    lr=5e-5,
    weight_decay=1e-2,
    image_size=224,
    schedule=Plateau(factor=0.7, patience=2, min_lr=1e-7, watch="val_loss"),
    augment=_birds,
    early_stop=EarlyStop(patience=10, min_delta=0.001, watch="score"),
)
"""Birds, BEiT-B, at its native size. The study's slides say that the plateau watches F1, its code says the validation
loss (mode min): this follows the code. The learning rate of its cells A and B was not published: try several."""
