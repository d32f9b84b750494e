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
"""A stand-in for torch: its names and versions, and of its functions those that a start and the proof on a GPU use."""
from . import cuda, version
from .version import __version__


class device:
    """A place where tensors are: "cpu", or "cuda" with a number."""

    def __init__(self, type, index=None):
        self.type, _, number = str(type).partition(":")
        self.index = int(number) if number else index

    def __str__(self):
        return self.type if self.index is None else f"{self.type}:{self.index}"

    def __repr__(self):
        return f"device(type={self.type!r}, index={self.index!r})"

    def __eq__(self, other):
        return isinstance(other, device) and str(self) == str(other)

    def __hash__(self):
        return hash(str(self))


class Tensor:
    """A matrix: a list of rows."""

    def __init__(self, rows, where):
        self.device = where if isinstance(where, device) else device(where)
        if self.device.type == "cuda" and not cuda.is_available():
            raise RuntimeError(cuda.WITHOUT)
        self._rows = rows

    def __matmul__(self, other):
        columns = list(zip(*other._rows))
        rows = [[float(sum(a * b for a, b in zip(row, column))) for column in columns] for row in self._rows]
        if self.device.type == "cuda" and cuda.FAULT == "product":
            rows[0][0] += 1
        return Tensor(rows, self.device)

    def tolist(self):
        return self._rows


def tensor(rows, device="cpu"):
    return Tensor(rows, device)
'''

TORCH_CUDA = '''\
"""The stand-in sees a GPU where one that is a stand-in itself says what it is: "NAME, CAPABILITY, DRIVER"."""
import os

from .. import version

WITHOUT = "No CUDA GPUs are available"
FAULT = os.environ.get("FACECRAFT_STANDIN_GPU_FAULT")
_gpu = os.environ.get("FACECRAFT_STANDIN_GPU") if version.cuda else None
_name, _capability = (_gpu or ", ").split(", ")[:2]


def is_available():
    return bool(_gpu)


def device_count():
    return 1 if _gpu else 0


def init():
    if not _gpu:
        raise RuntimeError(WITHOUT if version.cuda else "Torch not compiled with CUDA enabled")


def get_device_name(device=None):
    init()
    return _name


def get_device_capability(device=None):
    init()
    return tuple(map(int, _capability.split(".")))


def get_arch_list():
    """What the real wheel of this version was built for."""
    return ["sm_37", "sm_50", "sm_60", "sm_70", "sm_75", "sm_80", "sm_86", "sm_90"] if _gpu else []


def _stand_in_for_provider():
    """The real onnxruntime finds no CUDA here: its sessions compute on the CPU, and name the provider that is asked."""
    try:
        import onnxruntime
    except ImportError:
        return

    class InferenceSession(onnxruntime.InferenceSession):
        def __init__(self, model, sess_options=None, providers=None, **options):
            names = [name if isinstance(name, str) else name[0] for name in providers or []]
            self._named = names if FAULT != "provider" else [name for name in names if not name.startswith("CUDA")]
            super().__init__(model, sess_options, ["CPUExecutionProvider"], **options)

        def get_providers(self):
            return list(self._named) or super().get_providers()

    onnxruntime.InferenceSession = InferenceSession


if _gpu:
    _stand_in_for_provider()
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
