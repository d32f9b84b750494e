#!/usr/bin/env python3
"""Write stand-ins for the PyTorch wheel indexes: make-wheels.py OUT

OUT/whl/cpu and OUT/whl/cu118 become PEP 503 indexes with one torch and one torchvision wheel each. The bytes depend on
nothing but this file, so a second run (or another machine) writes the same wheels.
"""

import base64
import hashlib
import pathlib
import sys
import zipfile

# What each index serves: the local version label of its wheels, and the CUDA that its torch was built for.
INDEXES = {
    "cpu": {"label": "cpu", "cuda": None},
    "cu118": {"label": "cu118", "cuda": "11.8"},
}

# Requirements of the real wheels: a build step that resolves torch resolves these too.
TORCH_REQUIRES = ["filelock", "typing-extensions", "sympy", "networkx", "jinja2"]
TORCHVISION_REQUIRES = ["numpy", "requests", "torch (==2.0.1)", "pillow (!=8.3.*,>=5.3.0)"]

TORCH_INIT = '''\
"""A stand-in for torch: its names and versions, without anything that computes."""
from . import cuda, version
from .version import __version__
'''

TORCH_CUDA = '''\
"""The stand-in sees no GPU."""


def is_available():
    return False


def device_count():
    return 0
'''

TORCHVISION_INIT = '''\
"""A stand-in for torchvision: its name and version, without anything that computes."""
from .version import __version__
'''


def torch_files(version, cuda):
    return {
        "torch/__init__.py": TORCH_INIT,
        "torch/cuda/__init__.py": TORCH_CUDA,
        "torch/version.py": f"__version__ = {version!r}\ncuda = {cuda!r}\nhip = None\ndebug = False\n",
    }


def torchvision_files(version, cuda):
    return {
        "torchvision/__init__.py": TORCHVISION_INIT,
        "torchvision/version.py": f"__version__ = {version!r}\ncuda = {cuda!r}\n",
    }


def wheel_bytes_to(path, name, version, files, requires):
    info = f"{name}-{version}.dist-info"
    metadata = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}"]
    metadata += [f"Summary: Stand-in for {name}, for builds without the PyTorch index", "Requires-Python: >=3.8"]
    metadata += [f"Requires-Dist: {requirement}" for requirement in requires]
    files = {
        **files,
        f"{info}/METADATA": "\n".join(metadata) + "\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: facecraft-stand-in\n"
        "Root-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/top_level.txt": f"{name}\n",
    }
    record = []
    for member, text in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
        record.append(f"{member},sha256={digest},{len(text.encode())}")
    files[f"{info}/RECORD"] = "\n".join([*record, f"{info}/RECORD,,"]) + "\n"

    with zipfile.ZipFile(path, "w") as archive:
        for member, text in files.items():
            entry = zipfile.ZipInfo(member, date_time=(1980, 1, 1, 0, 0, 0))
            entry.external_attr = 0o100644 << 16
            archive.writestr(entry, text)


def publish(index, name, version, files, requires):
    """Put one wheel into an index, with the page that pip reads."""
    folder = index / name
    folder.mkdir(parents=True, exist_ok=True)
    wheel = folder / f"{name}-{version}-py3-none-any.whl"
    wheel_bytes_to(wheel, name, version, files, requires)
    sha256 = hashlib.sha256(wheel.read_bytes()).hexdigest()
    href = wheel.name.replace("+", "%2B")
    page = f'<!DOCTYPE html>\n<html><body>\n<a href="{href}#sha256={sha256}">{wheel.name}</a>\n</body></html>\n'
    (folder / "index.html").write_text(page)


def main(out):
    for name, variant in INDEXES.items():
        index = pathlib.Path(out) / "whl" / name
        torch, torchvision = f"2.0.1+{variant['label']}", f"0.15.2+{variant['label']}"
        publish(index, "torch", torch, torch_files(torch, variant["cuda"]), TORCH_REQUIRES)
        publish(
            index, "torchvision", torchvision, torchvision_files(torchvision, variant["cuda"]), TORCHVISION_REQUIRES
        )
        links = "".join(f'<a href="{project}/">{project}</a>\n' for project in ("torch", "torchvision"))
        (index / "index.html").write_text(f"<!DOCTYPE html>\n<html><body>\n{links}</body></html>\n")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: make-wheels.py OUT (the folder to write the indexes into)")
    main(sys.argv[1])
