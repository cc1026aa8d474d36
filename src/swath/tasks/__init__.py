"""Data sources, one file each. Every task reads its own layout into the same table."""

from swath.config.task import Task
from swath.core.registry import missing_attribute
from swath.tasks.csv_task import Csv
from swath.tasks.dacon import DaconBirds, DaconSatellite
from swath.tasks.grouped import Grouped
from swath.tasks.image_folder import ImageFolder
from swath.tasks.mlrsnet import MLRSNet
from swath.tasks.synthetic.tasks import SyntheticBirds, SyntheticSatellite
from swath.tasks.ucmerced import UCMerced

TASKS: dict[str, type[Task]] = {
    "DaconSatellite": DaconSatellite,
    "DaconBirds": DaconBirds,
    "MLRSNet": MLRSNet,
    "UCMerced": UCMerced,
    "ImageFolder": ImageFolder,
    "Csv": Csv,
    "Grouped": Grouped,
    "SyntheticSatellite": SyntheticSatellite,
    "SyntheticBirds": SyntheticBirds,
}

__all__ = [
    "TASKS",
    "Csv",
    "DaconBirds",
    "DaconSatellite",
    "Grouped",
    "ImageFolder",
    "MLRSNet",
    "SyntheticBirds",
    "SyntheticSatellite",
    "UCMerced",
]

__getattr__ = missing_attribute("task", __name__, TASKS)
