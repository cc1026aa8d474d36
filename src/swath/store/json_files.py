"""Small records as JSON."""

import json
from typing import Any

from swath.core.errors import StoreError


def _dumps(value: Any) -> bytes:
    return json.dumps(value, indent=1, ensure_ascii=False).encode()


def _loads(data: bytes, key: str) -> Any:
    try:
        return json.loads(data)
    except json.JSONDecodeError as error:
        raise StoreError(f"{key} in the store is no JSON ({error}); delete it to have it made again.") from error
