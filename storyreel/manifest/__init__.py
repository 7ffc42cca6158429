"""The storyboard language: the file's shape, its loader, and every check that needs neither key
nor network.
"""

from storyreel.manifest.faults import Fault, Severity
from storyreel.manifest.load import Checked, check, load
from storyreel.manifest.storyboard import (
    FileImage,
    Image,
    Remix,
    Scene,
    SceneImage,
    Storyboard,
    UrlImage,
    Video,
)

__all__ = [
    "Checked",
    "Fault",
    "FileImage",
    "Image",
    "Remix",
    "Scene",
    "SceneImage",
    "Severity",
    "Storyboard",
    "UrlImage",
    "Video",
    "check",
    "load",
]
