"""Is there room for the caches?"""

from swath.paths import Storage
from swath.places import Places


def disk_problems(places: Places, needed: int) -> list[str]:
    """A sentence for each disk that cannot hold caches of `needed` bytes."""
    disks = [("--storage", places.cache)]
    if places.local_cache:
        disks.append(("--cache", Storage(str(places.local_cache))))
    found = []
    for option, disk in disks:
        free = disk.free_bytes()
        if free is not None and needed > free:
            found.append(
                f"the caches need {size_text(needed)} in {disk.root}, where {size_text(free)} are free. "
                f"Free some, give {option} on a larger disk, or use a smaller image_size or fewer chains."
            )
    return found


def size_text(size: float) -> str:
    """`12.3 MB`, `4.0 GB`."""
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"
