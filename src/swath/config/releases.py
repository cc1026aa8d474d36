"""Model files that are downloaded: where the official release lies, and the hash it must have."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Release:
    """One file of an official release.

    Attributes:
        file: Its name there and in the local cache.
        url: Where it is published.
        sha256: 64 hex digits over its content; also what identifies it in cache keys.
        size_bytes: Its size, for messages.
    """

    file: str
    url: str
    sha256: str
    size_bytes: int


_REAL_ESRGAN = "https://github.com/xinntao/Real-ESRGAN/releases/download"  # BSD-3-Clause

# GitHub published no hashes for releases of that age. These are the ones that several independent public projects pin
# for the same addresses; a download with any other content is refused.
SUPERRES = {
    "x4plus": Release(
        "RealESRGAN_x4plus.pth",
        f"{_REAL_ESRGAN}/v0.1.0/RealESRGAN_x4plus.pth",
        "4fa0d38905f75ac06eb49a7951b426670021be3018265fd191d2125df9d682f1",
        67_040_989,
    ),
    "compact": Release(
        "realesr-animevideov3.pth",
        f"{_REAL_ESRGAN}/v0.2.5.0/realesr-animevideov3.pth",
        "b8a8376811077954d82ca3fcf476f1ac3da3e8a68a4f4d71363008000a18b75d",
        2_504_012,
    ),
}
