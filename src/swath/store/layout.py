"""Where each object of the store lies: keys of trials, tasks, sweeps and contact sheets."""


def contact_key(entry: str) -> str:
    """Key of the contact sheet of a cache entry, which outlives the entry."""
    return f"contacts/{entry}.jpg"


def trial_key(fingerprint: str, name: str = "") -> str:
    """Key of a trial's object, `trials/<fingerprint>/<name>`."""
    return f"trials/{fingerprint}/{name}".rstrip("/")


def task_key(data: str, name: str = "") -> str:
    """Key of a task record's object, `tasks/<data fingerprint>/<name>`."""
    return f"tasks/{data}/{name}".rstrip("/")


def sweep_key(sweep: str, name: str = "") -> str:
    """Key of a sweep's object, `sweeps/<sweep>/<name>`."""
    return f"sweeps/{sweep}/{name}".rstrip("/")
