"""Pictures of one bright object each, at 256 and 64 pixels, in the bird competition's layout, with their true boxes."""

import json
from pathlib import Path

import cv2
import numpy as np
import pandas as pd

HIGH, LOW = 256, 64
Box = tuple[int, int, int, int]


def draw(rng: np.random.Generator) -> tuple[np.ndarray, Box, np.ndarray]:
    """RGB [256, 256, 3], the box of the object's pixels, its mask."""
    grain = cv2.resize(rng.normal(0, 25, (12, 12, 3)).astype(np.float32), (HIGH, HIGH), interpolation=cv2.INTER_CUBIC)
    image = rng.uniform(40, 130, 3) + grain + rng.normal(0, 10, (HIGH, HIGH, 3))
    width, height = rng.integers(72, 160, 2)
    x, y = rng.integers(0, HIGH - width), rng.integers(0, HIGH - height)
    mask = np.zeros((HIGH, HIGH), np.uint8)
    centre, axes = (int(x + width / 2), int(y + height / 2)), (int(width / 2), int(height / 2))
    cv2.ellipse(mask, centre, axes, 0, 0, 360, 1, -1)
    image[mask > 0] = rng.uniform(180, 255, 3)
    left, top, box_width, box_height = cv2.boundingRect(mask)
    picture = np.clip(image, 0, 255).astype(np.uint8)
    return picture, (left, top, left + box_width, top + box_height), mask.astype(bool)


def write_birds(root: Path, train: int, seed: int = 0) -> dict[str, Box]:
    """A task of DaconBirds with `train` training images, and COCO json `boxes.json`; returns the true boxes by id."""
    rng = np.random.default_rng(seed)
    rows, boxes, annotations = [], {}, []
    for folder in ("train", "upscale_train", "test"):
        (root / folder).mkdir(parents=True)
    for i in range(train + 2):
        image, box, mask = draw(rng)
        small = cv2.resize(image, (LOW, LOW), interpolation=cv2.INTER_AREA)
        if i >= train:
            cv2.imwrite(str(root / f"test/TEST_{i - train:05d}.png"), small[:, :, ::-1])
            continue
        name = f"TRAIN_{i:05d}"
        cv2.imwrite(str(root / f"upscale_train/{name}.png"), image[:, :, ::-1])
        cv2.imwrite(str(root / f"train/{name}.png"), small[:, :, ::-1])
        rows.append([f"./train/{name}.png", f"./upscale_train/{name}.png", "ab"[i % 2]])
        boxes[name] = box
        outline = max(cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)[0], key=len)
        annotations.append(
            {
                "id": i + 1,
                "image_id": i + 1,
                "category_id": 7,
                "bbox": [box[0], box[1], box[2] - box[0], box[3] - box[1]],
                "segmentation": [(outline[:, 0] + 0.5).ravel().tolist()],
                "area": int(mask.sum()),
                "iscrowd": 0,
            }
        )
    pd.DataFrame(rows, columns=["img_path", "upscale_img_path", "label"]).to_csv(root / "train.csv", index=False)
    tests = [[f"TEST_{i:05d}", f"./test/TEST_{i:05d}.png"] for i in range(2)]
    pd.DataFrame(tests, columns=["id", "img_path"]).to_csv(root / "test.csv", index=False)
    pd.DataFrame([[t[0], "a"] for t in tests], columns=["id", "label"]).to_csv(
        root / "sample_submission.csv", index=False
    )
    images = [
        {"id": i + 1, "file_name": f"upscale_train/{name}.png", "width": HIGH, "height": HIGH}
        for i, name in enumerate(boxes)
    ]
    content = {"images": images, "categories": [{"id": 7, "name": "bird"}], "annotations": annotations}
    (root / "boxes.json").write_text(json.dumps(content))
    return boxes
