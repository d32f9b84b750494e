#!/venv/bin/python
"""prove.py: looks at the image from the inside, as its own user. Says nothing unless something is wrong.

Every check is a function that yields one sentence for each thing that is wrong. What is right goes into the record.
"""

import hashlib
import importlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from failed import tell
from image import MODELS, PROOF, RECORD, write_document

PACKAGES = "usr/share/facecraft/packages.json"
PINS = "usr/share/facecraft/models"
WRITABLE = ("/app/uploads", "/app/processed", "/app/logs")
COMPILERS = ("gcc", "cc", "g++", "cmake")
# By their numbers in an ELF header (e_machine), in the words of an image's config.
ARCHITECTURES = {62: "amd64", 183: "arm64"}


@dataclass(frozen=True)
class Variant:
    """What the image has to be; the ARGs at the top of its Dockerfile."""

    flavour: str
    cuda: str | None
    cudnn: str | None
    architecture: str

    @property
    def onnxruntime(self) -> str:
        return "onnxruntime-gpu" if self.cuda else "onnxruntime"


@dataclass(frozen=True)
class Package:
    """A row of the record that record_packages.py has left."""

    version: str
    index: str | None


def read_variant(environment: Mapping[str, str]) -> Variant:
    return Variant(
        flavour=environment["TORCH_FLAVOUR"],
        cuda=environment.get("TORCH_CUDA") or None,
        cudnn=environment.get("TORCH_CUDNN") or None,
        architecture=environment["TARGETARCH"],
    )


def read_packages(file: Path) -> dict[str, Package]:
    return {row["name"]: Package(row["version"], row["index"]) for row in json.loads(file.read_text())}


def read_architecture(program: Path) -> str:
    """What a program is built for, by its ELF header."""
    with program.open("rb") as file:
        header = file.read(20)
    if len(header) < 20 or header[:4] != b"\x7fELF":
        return "nothing that has an ELF header"
    machine = int.from_bytes(header[18:20], "big" if header[5] == 2 else "little")
    return ARCHITECTURES.get(machine, f"the ELF machine {machine}")


def check_architecture(found: str, variant: Variant) -> Iterator[str]:
    if found != variant.architecture:
        yield f"Python is built for {found}, but the image for {variant.architecture}: its base is of another platform"


def check_torch(version: str, cuda: str | None, variant: Variant) -> Iterator[str]:
    if not version.endswith("+" + variant.flavour):
        wanted = f"this image needs a version that ends in +{variant.flavour}"
        yield f"torch is {version}, but {wanted}: it came from another index than TORCH_INDEX_URL"
    if cuda != variant.cuda:
        yield f"torch.version.cuda is {cuda}, but this image needs {variant.cuda}"


def check_origins(packages: Mapping[str, Package], variant: Variant) -> Iterator[str]:
    for name, package in packages.items():
        called = f"{name} {package.version}"
        local = package.version.partition("+")[2]
        if package.index is None:
            yield f"{called} is installed, but no installation step reported it"
        if package.index == "torch" and local != variant.flavour:
            yield f"{called} is not a +{variant.flavour} build, though it stands in for the torch index"
        if package.index != "torch" and local:
            yield f"{called} has a local version, which the default index never serves"
        if variant.cuda is None and re.match(r"nvidia-|triton$|cuda-", name):
            yield f"{called} is installed: a CUDA package has no place in the {variant.flavour} image"


def find_runtimes(packages: Mapping[str, Package]) -> list[str]:
    """The onnxruntime distributions: they own the same files, so there can be one."""
    pattern = r"onnxruntime(-gpu|-directml|-rocm|-openvino|-training.*)?$"
    return sorted(name for name in packages if re.match(pattern, name))


def check_runtimes(runtimes: list[str], variant: Variant) -> Iterator[str]:
    if runtimes != [variant.onnxruntime]:
        wanted = f"they own the same files, and this image needs exactly {variant.onnxruntime}"
        yield f"the onnxruntime distributions are {runtimes}: {wanted}"


def check_linkage(version: str, package: Path, variant: Variant) -> Iterator[str]:
    """An onnxruntime for CUDA must be linked with the CUDA and the cuDNN that torch brings."""
    for library in package.glob("capi/libonnxruntime_providers_cuda.so"):
        with library.open("rb") as file:
            linked = dict(re.findall(rb"lib(cublas|cudnn)\.so\.(\d+)", file.read(1 << 20)))
        found = (linked.get(b"cublas", b"none").decode(), linked.get(b"cudnn", b"none").decode())
        brought = ((variant.cuda or "none").partition(".")[0], variant.cudnn or "none")
        if found != brought:
            is_ = f"onnxruntime {version} is linked with CUDA {found[0]} and cuDNN {found[1]}"
            yield f"{is_}, torch brings {brought[0]} and {brought[1]}"


def check_requirements(pip: list[str]) -> Iterator[str]:
    """pip's own view of what it has installed."""
    done = subprocess.run([*pip, "check"], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        yield f"pip check: {done.stdout.strip() or done.stderr.strip()}"


def hash_file(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def check_model(file: str, root: Path, hashes: dict[str, str]) -> Iterator[str]:
    """Reads a model as the user who will read it, and adds its hash to the given ones."""
    model = root / file.lstrip("/")
    try:
        pin, pinned = (root / PINS / f"{model.name}.sha256").read_text().split()
        hashes[file] = hash_file(model)
    except OSError as error:
        yield f"uid {os.getuid()} cannot read a model: {error}"
        return
    if (pin, pinned) != (hashes[file], file):
        pins = f"expected sha256:{pin}, actual sha256:{hashes[file]}"
        yield f"{file} is not the file that its pin names: {pins}"
    if os.access(model, os.W_OK):
        yield f"{file} can be overwritten by the user of the image"


def check_user(uid: int, gid: int) -> Iterator[str]:
    if (uid, gid) != (1000, 1000):
        yield f"the image runs as {uid}:{gid}, not as 1000:1000"


def check_folders(root: Path) -> Iterator[str]:
    for folder in WRITABLE:
        if not os.access(root / folder.lstrip("/"), os.W_OK):
            yield f"{folder} is not writable by the user of the image"


def check_compilers(find: Callable[[str], str | None]) -> Iterator[str]:
    for found in filter(None, map(find, COMPILERS)):
        yield f"the image contains a compiler: {found}"


def load(module: str, wrong: list[str]) -> ModuleType | None:
    """Imports a module as the application will; where that fails, says so in the given list."""
    try:
        return importlib.import_module(module)
    except Exception as error:
        wrong.append(f"{module} cannot be imported: {type(error).__name__}: {error}")
        return None


def prove(variant: Variant, root: Path, pip: list[str]) -> tuple[dict, list[str]]:
    """The record of the image, and a sentence for everything that is wrong with it."""
    packages = read_packages(root / PACKAGES)
    # Running it proves little: an emulator runs what is built for another machine.
    architecture = read_architecture((root / "venv/bin/python").resolve())
    record: dict = {"architecture": architecture}
    wrong = [*check_architecture(architecture, variant), *check_origins(packages, variant)]

    torch = load("torch", wrong)
    if torch:
        record |= {"torch": torch.__version__, "cuda": torch.version.cuda}
        wrong += check_torch(torch.__version__, torch.version.cuda, variant)

    runtimes = find_runtimes(packages)
    wrong += check_runtimes(runtimes, variant)
    onnxruntime = load("onnxruntime", wrong) if runtimes else None
    if onnxruntime:
        record["onnxruntime"] = onnxruntime.__version__
        wrong += check_linkage(onnxruntime.__version__, Path(onnxruntime.__file__).parent, variant)
    wrong += check_requirements(pip)

    record["models"] = {}
    for file in MODELS:
        wrong += check_model(file, root, record["models"])
    wrong += [*check_user(os.getuid(), os.getgid()), *check_folders(root), *check_compilers(shutil.which)]
    record["packages"] = {name: package.version for name, package in packages.items()}
    return record, wrong


def main() -> int:
    pip = ["/opt/pip/bin/pip", "--python", "/venv/bin/python"]
    record, wrong = prove(read_variant(os.environ), Path("/"), pip)
    if tell(wrong):
        return 1
    write_document(RECORD, record, PROOF)
    return 0


if __name__ == "__main__":
    sys.exit(main())
