import contextlib
import io
import tempfile
import unittest
from pathlib import Path

import select_requirements as selecting

CPU = {"TORCH_FLAVOUR": "cpu", "TORCH_CUDA": ""}
GPU = {"TORCH_FLAVOUR": "cu118", "TORCH_CUDA": "11.8"}
TORCH = "torch==2.0.1\n"


class Requirements(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name, "requirements")
        self.build = Path(folder.name, "build")
        self.folder.mkdir()

    def write(self, text: str | bytes, name: str = "requirements.txt") -> None:
        file = self.folder / name
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(text if isinstance(text, bytes) else text.encode())

    def run_it(self, variant: dict[str, str], *files: str) -> tuple[int, str]:
        said = io.StringIO()
        with contextlib.redirect_stderr(said):
            code = selecting.main([str(self.folder), str(self.build), *(files or ("requirements.txt",))], variant)
        return code, said.getvalue()

    def select(self, *files: str, variant: dict[str, str] = CPU) -> list[str]:
        """The lines of requirements.txt."""
        self.assertEqual(self.run_it(variant, *files), (0, ""))
        return self.left("requirements.txt")

    def left(self, name: str) -> list[str]:
        return (self.build / name).read_text().splitlines()

    def refused(self, sentence: str, *files: str, variant: dict[str, str] = CPU) -> None:
        code, said = self.run_it(variant, *files)
        self.assertEqual(code, 1)
        self.assertRegex(said, rf"^{sentence}\n$")
        self.assertFalse(self.build.exists())


class Reading(Requirements):
    def test_takes_every_encoding_that_a_byte_order_mark_names(self) -> None:
        for encoding in ("utf-8-sig", "utf-16", "utf-32"):
            self.write(f"# über\r\n{TORCH}numpy<2\r\n".encode(encoding))
            self.assertEqual(self.select(), ["torch==2.0.1", "numpy<2"])
        for mark, encoding in selecting.BYTE_ORDER_MARKS:
            self.write(mark + TORCH.encode(encoding))
            self.assertEqual(self.select(), ["torch==2.0.1"])

    def test_takes_the_encoding_that_a_comment_declares(self) -> None:
        self.write("# -*- coding: latin-1 -*-\n# für\ntorch==2.0.1\n".encode("latin-1"))
        self.assertEqual(self.select(), ["torch==2.0.1"])

    def test_refuses_what_is_no_text(self) -> None:
        self.write(b"torch==2.0.1\n\xff\n")
        self.refused(r"requirements\.txt is not text that can be read: .*; save it as UTF-8")
        self.write("# coding: nonsense\ntorch==2.0.1\n")
        self.refused(r"requirements\.txt is not text that can be read: unknown encoding: nonsense; save it as UTF-8")

    def test_leaves_out_comments_and_empty_lines(self) -> None:
        self.write("# torch\r\n\r\n  torch==2.0.1  # the pin\r\n\tnumpy # no\nx @ https://host/x.whl#sha256=1\n")
        self.assertEqual(self.select(), ["torch==2.0.1", "numpy", "x @ https://host/x.whl#sha256=1"])

    def test_joins_lines_that_are_continued(self) -> None:
        self.write("torch==\\\n2.0.1\nnumpy>=1.24, \\\n  <2\nfastapi \\\n# a comment ends it\nuvicorn\\")
        self.assertEqual(self.select(), ["torch==2.0.1", "numpy>=1.24,   <2", "fastapi", "uvicorn"])
        self.write("torch==2.0.1\n# is not continued \\\nnumpy\n")
        self.assertEqual(self.select(), ["torch==2.0.1", "numpy"])


class Options(Requirements):
    def test_that_name_an_index_are_dropped(self) -> None:
        self.write(
            TORCH + "-i https://a/simple\n-ihttps://a\n--index-url=https://a\n--pypi-url https://a\n"
            "--extra-index-url https://u:p@b/whl\n--extra-index https://b\n-f ./wheels\n--find-links=x\n"
            "--no-index --extra-index-url 'https://c'\n  --index-url https://d # there\n"
        )
        self.assertEqual(self.select(), ["torch==2.0.1"])

    def test_that_are_pips_own_stay(self) -> None:
        self.write(TORCH + "--pre\n--no-binary dlib --only-binary=:all:\n--extra-index-url x --prefer-binary\n")
        self.assertEqual(
            self.select(), ["torch==2.0.1", "--pre", "--no-binary dlib", "--only-binary :all:", "--prefer-binary"]
        )

    def test_that_pip_does_not_know_are_told_with_their_line(self) -> None:
        self.write(TORCH + "\n--frobnicate 1\n")
        self.refused("requirements.txt, line 3: no such option: --frobnicate")
        self.write("-r\n")
        self.refused("requirements.txt, line 1: -r option requires 1 argument")
        self.write("-r 'x\n")
        self.refused("requirements.txt, line 1: the options cannot be read: No closing quotation")
        self.write("--pre https://u:hunter2@host\n")
        self.refused("requirements.txt, line 1: a word stands behind the options that belongs to none of them")

    def test_that_ask_for_hashes_are_refused(self) -> None:
        sentence = "requirements.txt, line 1: hashes cannot be asked for, .* facecraft:constraints can fix versions"
        for line in ("--require-hashes\n", f"numpy==1.26.4 \\\n  --hash=sha256:{'a' * 64}\n"):
            self.write(line + TORCH)
            self.refused(sentence)


class Includes(Requirements):
    def test_stand_where_they_are_included(self) -> None:
        ways = ("-r {}", "-r{}", "--requirement {}", "--requirement={}", "-r './{}'")
        self.write(TORCH, "requirements-torch.txt")
        for way in ways:
            self.write(f"fastapi\n{way.format('requirements-torch.txt')}\nuvicorn\n")
            self.assertEqual(self.select(), ["fastapi", "torch==2.0.1", "uvicorn"])
            self.assertEqual(self.left("torch.txt"), ["torch==2.0.1+cpu"])

    def test_are_found_beside_the_file_that_includes_them(self) -> None:
        self.write("-r requirements.d/requirements.txt\n")
        self.write("-r more.txt\n-r ../requirements-torch.txt\n", "requirements.d/requirements.txt")
        self.write("fastapi\n", "requirements.d/more.txt")
        self.write(TORCH, "requirements-torch.txt")
        self.assertEqual(self.select(), ["fastapi", "torch==2.0.1"])

    def test_of_one_file_from_two_places_are_no_cycle(self) -> None:
        self.write("-r requirements-a.txt\n-r requirements-b.txt\n")
        self.write("-r requirements-torch.txt\n", "requirements-a.txt")
        self.write("-r requirements-torch.txt\n", "requirements-b.txt")
        self.write(TORCH, "requirements-torch.txt")
        self.assertEqual(self.select(), ["torch==2.0.1", "torch==2.0.1"])
        self.assertEqual(self.left("torch.txt"), ["torch==2.0.1+cpu"])

    def test_that_go_in_a_circle_are_refused(self) -> None:
        self.write("-r requirements.txt\n")
        self.refused("requirements.txt, line 1: requirements.txt is included by itself")
        self.write(TORCH + "-r requirements-a.txt\n")
        self.write("-c ./requirements.txt\n", "requirements-a.txt")
        self.refused("requirements-a.txt, line 1: ./requirements.txt is included by itself")

    def test_of_what_is_not_in_the_build_are_refused(self) -> None:
        self.write("secret", "../outside.txt")
        (self.folder / "requirements-link.txt").symlink_to(self.folder.parent / "outside.txt")
        for written in ("../outside.txt", "/etc/hostname", "requirements-link.txt", "a/../../outside.txt"):
            self.write(f"{TORCH}-r {written}\n")
            self.refused(f"requirements.txt, line 2: {written} lies outside; put it beside requirements.txt, as .*")
        self.write(TORCH + "-r requirements/extra.txt\n")
        self.refused("requirements.txt, line 2: requirements/extra.txt is not there; what is read .*")
        self.write(TORCH + "-r https://u:hunter2@host/requirements.txt\n")
        self.refused("requirements.txt, line 2: another file is included by a URL; put it beside requirements.txt, .*")
        self.refused("requirements-gpu.txt is not there; what is read .*", "requirements-gpu.txt")

    def test_of_constraints_are_kept_apart(self) -> None:
        self.write(TORCH + "-c requirements-limits.txt\nnumpy\n")
        self.write("numpy==1.26.4\n-r requirements-more.txt\n-c requirements-deeper.txt\n", "requirements-limits.txt")
        self.write("fastapi\n", "requirements-more.txt")
        self.write("starlette<1\n", "requirements-deeper.txt")
        self.assertEqual(self.select(), ["torch==2.0.1", "fastapi", "numpy"])
        self.assertEqual(self.left("limits.txt"), ["numpy==1.26.4", "starlette<1"])


class Torch(Requirements):
    def selected(self, text: str, variant: dict[str, str] = CPU) -> list[str]:
        self.write(text)
        self.select(variant=variant)
        return self.left("torch.txt")

    def test_gets_the_local_version_of_the_variant(self) -> None:
        self.assertEqual(
            self.selected(
                "torchvision == 0.15.2\ntorch==2.0.1\nTorchAudio==2.0.2\ntorchmetrics==1.0\ntorch-fidelity\n"
            ),
            ["TorchAudio==2.0.2+cpu", "torch==2.0.1+cpu", "torchvision==0.15.2+cpu"],
        )
        self.assertEqual(
            self.selected('torch==2.0.1 ; python_version > "3"\n'), ['torch==2.0.1+cpu ; python_version > "3"']
        )

    def test_that_is_named_in_another_way_stays_as_it_is(self) -> None:
        for line in ("torch>=2", "torch==2.0.*", "torch==2.0.1+cu118", "torch @ https://host/torch.whl"):
            self.assertEqual(self.selected(f"{line}\n"), [line])

    def test_of_both_files_is_one(self) -> None:
        self.write("torch==2.0.1\ntorchvision==0.15.2\n")
        self.write("--extra-index-url https://x/cu118\ntorch==2.0.1+cu118\nonnxruntime-gpu\n", "requirements-gpu.txt")
        lines = self.select("requirements.txt", "requirements-gpu.txt", variant=GPU)
        self.assertEqual(lines, ["torch==2.0.1", "torchvision==0.15.2", "torch==2.0.1+cu118", "onnxruntime-gpu"])
        self.assertEqual(self.left("torch.txt"), ["torch==2.0.1+cu118", "torchvision==0.15.2+cu118"])

    def test_that_no_line_names_is_told_with_the_files(self) -> None:
        for text in ("numpy\n", "torchvision==0.15.2\n", "# torch==2.0.1\n", ""):
            self.write(text)
            self.refused("requirements.txt: no line names torch")
        self.write("", "requirements-gpu.txt")
        self.refused(
            "requirements.txt and requirements-gpu.txt: no line names torch", "requirements.txt", "requirements-gpu.txt"
        )

    def test_in_two_versions_is_told_so(self) -> None:
        self.write("torch==2.0.1\ntorch==2.1.0\n")
        self.refused(r"requirements.txt: torch is asked for in several versions: torch==2.0.1\+cpu, torch==2.1.0\+cpu")


class Runtime(Requirements):
    TEXT = TORCH + "rembg[cpu]>=2\nrembg [cli,cpu]\nonnxruntime>=1.15\nOnnxRuntime\nonnxruntime-tools\nrembg\nonnx\n"

    def test_of_the_gpu_is_asked_for_in_its_image_only(self) -> None:
        self.write(self.TEXT)
        self.assertEqual(self.select(), self.TEXT.splitlines())
        self.assertEqual(
            self.select(variant=GPU)[1:],
            [
                *("rembg[gpu]>=2", "rembg [cli,gpu]", "onnxruntime-gpu>=1.15", "onnxruntime-gpu"),
                *("onnxruntime-tools", "rembg", "onnx"),
            ],
        )


if __name__ == "__main__":
    unittest.main()
