import hashlib
import json
import os
import platform
import stat
import sys
import tempfile
import types
import unittest
from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

import prove
from prove import Package, Variant

CPU = Variant(flavour="cpu", cuda=None, cudnn=None, architecture="amd64")
GPU = Variant(flavour="cu118", cuda="11.8", cudnn="8", architecture="amd64")
PASSES = ["true"]


def module(name: str, **attributes: object) -> types.ModuleType:
    made = types.ModuleType(name)
    made.__dict__.update(attributes)
    return made


class Checks(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = Path(folder.name)

    def write(self, path: str, data: bytes) -> Path:
        file = self.root / path.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)
        return file

    def wrong(self, found: object, *sentences: str) -> None:
        self.assertEqual(list(found), list(sentences))


def elf(machine: int, order: str = "little") -> bytes:
    """The first bytes of a program for a machine."""
    ident = b"\x7fELF" + bytes([2, 1 if order == "little" else 2, 1]) + bytes(9)
    return ident + (2).to_bytes(2, order) + machine.to_bytes(2, order) + bytes(44)


class Architecture(Checks):
    def found(self, data: bytes) -> str:
        return prove.read_architecture(self.write("python3.11", data))

    def test_is_read_from_the_header_of_the_program(self) -> None:
        self.assertEqual(self.found(elf(62)), "amd64")
        self.assertEqual(self.found(elf(183)), "arm64")
        self.assertEqual(self.found(elf(22, "big")), "the ELF machine 22")
        for data in (b"", b"\x7fELF", b"#!/bin/sh\nexec python3.11 $@\n"):
            self.assertEqual(self.found(data), "nothing that has an ELF header")

    def test_of_this_machine_is_what_python_says(self) -> None:
        names = {"x86_64": "amd64", "aarch64": "arm64"}
        machine = platform.machine()
        if sys.platform != "linux" or machine not in names:
            self.skipTest(f"{sys.platform} on {machine}")
        self.assertEqual(prove.read_architecture(Path(sys.executable).resolve()), names[machine])

    def test_of_another_platform_than_the_image_is_named(self) -> None:
        self.wrong(prove.check_architecture("amd64", CPU))
        self.wrong(
            prove.check_architecture("amd64", replace(CPU, architecture="arm64")),
            "Python is built for amd64, but the image for arm64: its base is of another platform",
        )


class Torch(Checks):
    def test_of_the_variant_is_right(self) -> None:
        self.wrong(prove.check_torch("2.0.1+cpu", None, CPU))
        self.wrong(prove.check_torch("2.0.1+cu118", "11.8", GPU))

    def test_of_another_index_is_named(self) -> None:
        for version in ("2.0.1", "2.0.1+cu118", "2.0.1+xcpu"):
            [sentence] = prove.check_torch(version, None, CPU)
            self.assertRegex(
                sentence, r"^torch is \S+, but this image needs a version that ends in \+cpu: it came from"
            )

    def test_built_for_another_cuda_is_named(self) -> None:
        self.wrong(prove.check_torch("2.0.1+cpu", "11.7", CPU), "torch.version.cuda is 11.7, but this image needs None")
        self.wrong(prove.check_torch("2.0.1+cu118", None, GPU), "torch.version.cuda is None, but this image needs 11.8")


class Origins(Checks):
    def test_as_intended_are_right(self) -> None:
        packages = {"torch": Package("2.0.1+cpu", "torch"), "numpy": Package("1.26.4", "default")}
        self.wrong(prove.check_origins(packages, CPU))

    def test_of_a_package_that_no_step_reported(self) -> None:
        self.wrong(
            prove.check_origins({"stray": Package("1.0", None)}, CPU),
            "stray 1.0 is installed, but no installation step reported it",
        )

    def test_of_another_build_from_the_torch_index(self) -> None:
        self.wrong(
            prove.check_origins({"torchvision": Package("0.15.2", "torch")}, CPU),
            "torchvision 0.15.2 is not a +cpu build, though it stands in for the torch index",
        )

    def test_of_a_local_version_from_the_default_index(self) -> None:
        self.wrong(
            prove.check_origins({"torch": Package("2.0.1+cpu", "default")}, CPU),
            "torch 2.0.1+cpu has a local version, which the default index never serves",
        )

    def test_of_cuda_packages_matter_in_the_cpu_image_only(self) -> None:
        packages = {name: Package("1.0", "default") for name in ("nvidia-cublas-cu11", "triton", "cuda-python")}
        self.wrong(
            prove.check_origins(packages, CPU),
            *(f"{name} 1.0 is installed: a CUDA package has no place in the cpu image" for name in packages),
        )
        self.wrong(prove.check_origins(packages, GPU))


class Onnxruntime(Checks):
    def runtimes(self, *names: str) -> list[str]:
        return prove.find_runtimes({name: Package("1.18.1", "default") for name in (*names, "onnx", "onnxruntime-x")})

    def provider(self, text: bytes) -> Path:
        self.write("onnxruntime/capi/libonnxruntime_providers_cuda.so", b"\x7fELF" + text)
        return self.root / "onnxruntime"

    def test_of_the_variant_alone_is_right(self) -> None:
        self.wrong(prove.check_runtimes(self.runtimes("onnxruntime"), CPU))
        self.wrong(prove.check_runtimes(self.runtimes("onnxruntime-gpu"), GPU))

    def test_twice_is_named(self) -> None:
        self.wrong(
            prove.check_runtimes(self.runtimes("onnxruntime-gpu", "onnxruntime"), CPU),
            "the onnxruntime distributions are ['onnxruntime', 'onnxruntime-gpu']: they own the same files, "
            "and this image needs exactly onnxruntime",
        )

    def test_missing_or_of_the_other_variant_is_named(self) -> None:
        for names in ((), ("onnxruntime",), ("onnxruntime-training-cpu",)):
            [sentence] = prove.check_runtimes(self.runtimes(*names), GPU)
            self.assertIn("needs exactly onnxruntime-gpu", sentence)

    def test_linked_with_what_torch_brings_is_right(self) -> None:
        self.wrong(prove.check_linkage("1.18.1", self.provider(b"libcublas.so.11\0libcudnn.so.8\0"), GPU))

    def test_linked_with_another_cuda_or_cudnn_is_named(self) -> None:
        self.wrong(
            prove.check_linkage("1.19.0", self.provider(b"libcublas.so.12\0libcudnn.so.9\0"), GPU),
            "onnxruntime 1.19.0 is linked with CUDA 12 and cuDNN 9, torch brings 11 and 8",
        )
        self.wrong(
            prove.check_linkage("1.18.1", self.provider(b"libcublas.so.11\0"), GPU),
            "onnxruntime 1.18.1 is linked with CUDA 11 and cuDNN none, torch brings 11 and 8",
        )

    def test_for_the_cpu_is_linked_with_no_cuda(self) -> None:
        self.wrong(prove.check_linkage("1.18.1", self.root, CPU))
        [sentence] = prove.check_linkage("1.18.1", self.provider(b"libcublas.so.11\0libcudnn.so.8\0"), CPU)
        self.assertIn("torch brings none and none", sentence)


class Requirements(Checks):
    def test_that_pip_finds_broken_are_told_in_its_words(self) -> None:
        pip = self.write("pip", b'#!/bin/sh\necho "$1: basicsr needs torch"\nexit 1\n')
        pip.chmod(0o755)
        self.wrong(prove.check_requirements([str(pip)]), "pip check: check: basicsr needs torch")
        self.wrong(prove.check_requirements(PASSES))


class Models(Checks):
    FILE = list(prove.MODELS)[1]

    def setUp(self) -> None:
        super().setUp()
        self.pin = hashlib.sha256(b"a codeformer").hexdigest()
        self.model = self.write(self.FILE, b"a codeformer")
        self.manifest = self.write(f"{prove.PINS}/codeformer.pth.sha256", f"{self.pin}  {self.FILE}\n".encode())
        # Root may write whatever the modes say, so the modes are asked instead.
        access = patch("os.access", lambda path, how: bool(Path(path).stat().st_mode & stat.S_IWUSR))
        access.start()
        self.addCleanup(access.stop)
        self.model.chmod(0o444)

    def check(self) -> tuple[dict[str, str], list[str]]:
        hashes: dict[str, str] = {}
        return hashes, list(prove.check_model(self.FILE, self.root, hashes))

    def test_that_are_right_are_recorded_with_their_hash(self) -> None:
        self.assertEqual(self.check(), ({self.FILE: self.pin}, []))

    def test_that_are_another_file_than_the_pin_names(self) -> None:
        self.model.chmod(0o644)
        self.model.write_bytes(b"another")
        self.model.chmod(0o444)
        actual = hashlib.sha256(b"another").hexdigest()
        expected = f"expected sha256:{self.pin}, actual sha256:{actual}"
        self.assertEqual(self.check()[1], [f"{self.FILE} is not the file that its pin names: {expected}"])

    def test_whose_pin_is_of_another_path(self) -> None:
        self.manifest.write_text(f"{self.pin}  /elsewhere/codeformer.pth\n")
        [sentence] = self.check()[1]
        self.assertIn("is not the file that its pin names", sentence)

    def test_that_are_missing_or_have_no_pin(self) -> None:
        self.manifest.unlink()
        [sentence] = self.check()[1]
        self.assertRegex(sentence, rf"^uid {os.getuid()} cannot read a model: .*codeformer\.pth\.sha256")

    def test_that_cannot_be_read(self) -> None:
        with patch("prove.hash_file", side_effect=PermissionError(13, "Permission denied", str(self.model))):
            hashes, [sentence] = self.check()
        self.assertIn("cannot read a model: [Errno 13] Permission denied", sentence)
        self.assertEqual(hashes, {})

    def test_that_can_be_overwritten(self) -> None:
        self.model.chmod(0o644)
        self.assertEqual(self.check()[1], [f"{self.FILE} can be overwritten by the user of the image"])


class Surroundings(Checks):
    def test_another_user_is_named(self) -> None:
        self.wrong(prove.check_user(1000, 1000))
        self.wrong(prove.check_user(0, 0), "the image runs as 0:0, not as 1000:1000")
        self.wrong(prove.check_user(1000, 0), "the image runs as 1000:0, not as 1000:1000")

    def test_a_folder_that_is_not_writable_is_named(self) -> None:
        for folder in prove.WRITABLE[1:]:
            (self.root / folder.lstrip("/")).mkdir(parents=True)
        self.wrong(prove.check_folders(self.root), "/app/uploads is not writable by the user of the image")

    def test_a_compiler_is_named(self) -> None:
        self.wrong(prove.check_compilers(lambda name: None))
        self.wrong(
            prove.check_compilers(lambda name: f"/usr/bin/{name}" if name == "g++" else None),
            "the image contains a compiler: /usr/bin/g++",
        )


class Image(Checks):
    """The whole of it, on a folder that is laid out like the image."""

    def setUp(self) -> None:
        super().setUp()
        rows = [
            {"name": "torch", "version": "2.0.1+cpu", "index": "torch"},
            {"name": "onnxruntime", "version": "1.18.1", "index": "default"},
        ]
        self.write(prove.PACKAGES, json.dumps(rows).encode())
        for file in prove.MODELS:
            self.write(file, file.encode()).chmod(0o444)
            pin = hashlib.sha256(file.encode()).hexdigest()
            self.write(f"{prove.PINS}/{Path(file).name}.sha256", f"{pin}  {file}\n".encode())
        for folder in prove.WRITABLE:
            (self.root / folder.lstrip("/")).mkdir(parents=True)
        # As a virtual environment has it: a link to the base's.
        self.write("usr/bin/python3.11", elf(62))
        (self.root / "venv/bin").mkdir(parents=True)
        (self.root / "venv/bin/python").symlink_to(self.root / "usr/bin/python3.11")
        installed = {
            "torch": module("torch", __version__="2.0.1+cpu", version=types.SimpleNamespace(cuda=None)),
            "onnxruntime": module("onnxruntime", __version__="1.18.1", __file__=str(self.root / "ort/__init__.py")),
        }
        for patched in (
            patch.dict(sys.modules, installed),
            patch("os.getuid", lambda: 1000),
            patch("os.getgid", lambda: 1000),
            patch("os.access", lambda path, how: Path(path).is_dir()),
            patch("shutil.which", lambda name: None),
        ):
            patched.start()
            self.addCleanup(patched.stop)

    def test_that_is_right_is_recorded(self) -> None:
        record, wrong = prove.prove(CPU, self.root, PASSES)
        self.assertEqual(wrong, [])
        self.assertEqual(record["torch"], "2.0.1+cpu")
        self.assertEqual(record["onnxruntime"], "1.18.1")
        self.assertEqual(record["architecture"], "amd64")
        self.assertEqual(list(record["models"]), list(prove.MODELS))
        self.assertEqual(record["packages"], {"torch": "2.0.1+cpu", "onnxruntime": "1.18.1"})
        prove.write_document(prove.RECORD, record, self.root / "proof")
        self.assertEqual(json.loads((self.root / "proof" / prove.RECORD).read_text()), record)

    def test_that_is_wrong_in_many_ways_is_told_all_of_them(self) -> None:
        (self.root / next(iter(prove.MODELS)).lstrip("/")).unlink()
        self.write("usr/bin/python3.11", elf(183))
        _, wrong = prove.prove(GPU, self.root, ["false"])
        text = "\n".join(wrong)
        for part in (
            "Python is built for arm64, but the image for amd64",
            "torch is 2.0.1+cpu",
            "torch.version.cuda is None",
            "torch 2.0.1+cpu is not a +cu118 build",
            "needs exactly onnxruntime-gpu",
            "pip check:",
            "cannot read a model",
        ):
            self.assertIn(part, text)

    def test_whose_torch_cannot_be_imported_is_told_so(self) -> None:
        with patch.dict(sys.modules, {"torch": None}):
            record, wrong = prove.prove(CPU, self.root, PASSES)
        self.assertEqual(len(wrong), 1)
        self.assertRegex(wrong[0], r"^torch cannot be imported: ModuleNotFoundError: ")
        self.assertNotIn("torch", record)

    def test_is_told_apart_by_the_args_of_its_dockerfile(self) -> None:
        cpu = {"TORCH_FLAVOUR": "cpu", "TORCH_CUDA": "", "TORCH_CUDNN": "", "TARGETARCH": "amd64"}
        self.assertEqual(prove.read_variant(cpu), CPU)
        gpu = {"TORCH_FLAVOUR": "cu118", "TORCH_CUDA": "11.8", "TORCH_CUDNN": "8", "TARGETARCH": "amd64"}
        self.assertEqual(prove.read_variant(gpu), GPU)


if __name__ == "__main__":
    unittest.main()
