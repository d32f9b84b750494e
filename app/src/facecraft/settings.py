"""What the service reads from its environment."""

import os
from pathlib import Path

# The build of the image has compared the models with their pins. rembg has one of its own, and fetches what differs.
os.environ.setdefault("MODEL_CHECKSUM_DISABLED", "1")


def models_dir() -> Path:
    return Path(os.environ.get("FACECRAFT_MODELS_DIR", "/app/models"))


def u2net_dir() -> Path:
    """Where rembg looks for its models."""
    return Path(os.environ.get("U2NET_HOME", "~/.u2net")).expanduser()


def records_dir() -> Path:
    """Where the build of an image has left what it knows of it; outside of an image there is nothing."""
    return Path("/usr/share/facecraft")


def device() -> str:
    return os.environ.get("FACECRAFT_DEVICE", "cpu")


def providers() -> list[str]:
    """What onnxruntime computes with."""
    return [*(["CUDAExecutionProvider"] if device() == "cuda" else []), "CPUExecutionProvider"]
