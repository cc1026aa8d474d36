from swath import Recipe, augment, losses, mix, recipes, schedules
from swath.config.losses import combination_problems


def test_the_studies_recipes_are_what_was_published() -> None:
    assert recipes.satellite_baseline == Recipe(20, 32, "adam", 3e-4, 0.0, 224)
    swin, beit = recipes.swinv2_birds, recipes.beit_birds
    assert (swin.epochs, swin.batch_size, swin.accumulation, swin.lr, swin.precision) == (20, 16, 2, 5e-5, "fp16")
    assert (beit.epochs, beit.batch_size, beit.lr, beit.weight_decay, beit.image_size) == (100, 32, 5e-5, 1e-2, 224)
    assert beit.schedule == schedules.Plateau(factor=0.7, patience=2, min_lr=1e-7, watch="val_loss")
    assert beit.early_stop == schedules.EarlyStop(patience=10, min_delta=0.001, watch="score")
    assert {type(op) for op in beit.augment} == {augment.ColorJitter, augment.HorizontalFlip}
    assert beit.mix == swin.mix == (), "CutMix belongs to cells B and C"
    assert mix.CutMix().alpha == 1.0


def test_they_have_no_problems() -> None:
    for recipe in (recipes.satellite_baseline, recipes.swinv2_birds, recipes.beit_birds):
        assert recipe.problems() == []
        assert combination_problems(losses.BCE(), recipe.label_smoothing, recipe.class_weights) == []
