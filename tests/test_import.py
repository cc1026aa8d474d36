import subprocess
import sys


def loaded(statement: str) -> set[str]:
    """Top-level modules loaded by a statement in a fresh interpreter."""
    code = f"import sys\n{statement}\nprint(*{{m.partition('.')[0] for m in sys.modules}})"
    return set(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split())


def test_import_swath_loads_neither_ray_nor_torch() -> None:
    assert not loaded("import swath") & {"ray", "torch", "torchvision", "timm", "cv2", "matplotlib", "sklearn"}


def test_planning_and_reporting_load_neither_ray_nor_torch() -> None:
    assert not loaded("import swath.plan.make, swath.cli.check, swath.report.write, swath.report.markdown.replay") & {
        "ray",
        "torch",
        "torchvision",
        "timm",
    }


def test_public_names_are_there() -> None:
    import swath

    assert set(swath.__all__) <= set(dir(swath))
    assert swath.grid(1, 2) is not None
