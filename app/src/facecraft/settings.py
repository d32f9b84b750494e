"""What the service reads from its environment."""

import os
from pathlib import Path


def models_dir() -> Path:
    return Path(os.environ.get("FACECRAFT_MODELS_DIR", "/app/models"))


def u2net_dir() -> Path:
    """Where rembg looks for its models."""
    return Path(os.environ.get("U2NET_HOME", "~/.u2net")).expanduser()


def device() -> str:
    return os.environ.get("FACECRAFT_DEVICE", "cpu")
