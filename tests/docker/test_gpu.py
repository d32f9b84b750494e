import os
import subprocess
import tempfile
import types
import unittest
from collections.abc import Callable
from pathlib import Path
from unittest.mock import patch

import boot
import gpu
from failed import Failed

SCRIPT = Path(gpu.__file__).parent / "gpu-identity"
IDENTITY = "NVIDIA A10, driver 535.104.05"


class Cuda(types.SimpleNamespace):
    """What torch says of a GPU."""

    def __init__(self, available: bool = True, capability: tuple[int, int] = (8, 6), count: int = 1) -> None:
        super().__init__(
            is_available=lambda: available,
            init=self.fail,
            get_arch_list=lambda: ["sm_37", "sm_80", "sm_90"],
            device_count=lambda: count,
            get_device_name=lambda index: ("NVIDIA A10", "NVIDIA T4")[index],
            get_device_capability=lambda index: capability,
        )

    def fail(self) -> None:
        raise RuntimeError("CUDA driver version is insufficient for CUDA runtime version\nand more")


class Tensor:
    def __init__(self, rows: list, compute: Callable) -> None:
        self.rows, self.compute = rows, compute

    def __matmul__(self, other: "Tensor") -> "Tensor":
        return Tensor(self.compute(self.rows, other.rows), self.compute)

    def tolist(self) -> list:
        return self.rows


def multiply(left: list, right: list) -> list:
    columns = list(zip(*right, strict=True))
    return [[sum(a * b for a, b in zip(row, column, strict=True)) for column in columns] for row in left]


def torch(cuda: Cuda, on_gpu: Callable = multiply) -> types.SimpleNamespace:
    make = lambda rows, device: Tensor(rows, on_gpu if device.startswith("cuda") else multiply)  # noqa: E731
    return types.SimpleNamespace(cuda=cuda, tensor=make)


def fail(*_: object) -> None:
    raise RuntimeError("CUDA error: out of memory\nCompile with TORCH_USE_CUDA_DSA")


class Torch(unittest.TestCase):
    def said(self, *args: object) -> list[str]:
        return list(gpu.check_torch(torch(*args)))

    def test_that_computes_as_the_cpu_does_passes(self) -> None:
        self.assertEqual(self.said(Cuda()), [])
        self.assertEqual(self.said(Cuda(count=2)), [])

    def test_that_finds_no_gpu_is_told_with_its_reason(self) -> None:
        is_not = "torch.cuda.is_available() is False, though this step has the device"
        reason = "CUDA driver version is insufficient for CUDA runtime version"
        self.assertEqual(self.said(Cuda(available=False)), [f"{is_not}: {reason}"])

    def test_without_code_for_the_gpu_is_told_with_what_it_has(self) -> None:
        built = "this torch was built for sm_37, sm_80, sm_90: it has no code for this GPU"
        self.assertEqual(self.said(Cuda(capability=(7, 5))), [f"NVIDIA A10 has the capability 7.5, but {built}"])

    def test_that_multiplies_wrongly_is_told_for_each_gpu(self) -> None:
        def wrong(left: list, right: list) -> list:
            return [[2 * value for value in row] for row in multiply(left, right)]

        said = self.said(Cuda(count=2), wrong)
        self.assertEqual(len(said), 2)
        self.assertRegex(
            said[1], r"^a product of matrices differs on NVIDIA T4 in \d+ of 4096 places: \d+ there, \d+ on"
        )

    def test_that_cannot_compute_is_told_in_one_line(self) -> None:
        said = "torch cannot multiply matrices on NVIDIA A10: CUDA error: out of memory"
        self.assertEqual(self.said(Cuda(), fail), [said])


class Capability(unittest.TestCase):
    def test_code_runs_on_its_own_major_version_and_not_below(self) -> None:
        for capability, runs in (((8, 0), True), ((8, 6), True), ((8, 9), True), ((7, 5), False), ((9, 0), False)):
            self.assertEqual(gpu.runs_on(["sm_80"], capability), runs, capability)

    def test_ptx_runs_on_all_above(self) -> None:
        self.assertTrue(gpu.runs_on(["sm_37", "compute_75"], (9, 0)))
        self.assertFalse(gpu.runs_on(["compute_75"], (7, 0)))

    def test_two_digits_of_a_major_version_are_read(self) -> None:
        self.assertTrue(gpu.runs_on(["sm_120"], (12, 1)))
        self.assertFalse(gpu.runs_on(["sm_120"], (1, 2)))


class Numpy:
    """As much of numpy as is used."""

    float32 = "float32"

    @staticmethod
    def array(rows: list, dtype: str) -> list:
        return rows


def onnxruntime(providers: list[str], found: list) -> types.SimpleNamespace:
    def session(model: bytes, providers: list[str]) -> types.SimpleNamespace:
        made.asked = providers
        return types.SimpleNamespace(get_providers=lambda: has, run=lambda names, inputs: [Tensor(found, multiply)])

    has = providers
    made = types.SimpleNamespace(InferenceSession=session)
    return made


RIGHT = [[7, 10], [15, 22]]
CUDA = "CUDAExecutionProvider"
CPU = "CPUExecutionProvider"


class Provider(unittest.TestCase):
    def said(self, runtime: object) -> list[str]:
        return list(gpu.check_provider(runtime, Numpy))

    def test_that_is_cuda_and_right_passes(self) -> None:
        runtime = onnxruntime([CUDA, CPU], RIGHT)
        self.assertEqual(self.said(runtime), [])
        self.assertEqual(runtime.asked[0], CUDA)

    def test_that_is_another_is_told(self) -> None:
        is_not = "onnxruntime does not compute on the GPU: the providers of this session are"
        must = "the first must be CUDAExecutionProvider"
        self.assertEqual(self.said(onnxruntime([CPU], RIGHT)), [f"{is_not} {CPU}; {must}"])
        self.assertEqual(self.said(onnxruntime([CPU, CUDA], RIGHT)), [f"{is_not} {CPU}, {CUDA}; {must}"])
        self.assertEqual(self.said(onnxruntime([], RIGHT)), [f"{is_not} none; {must}"])

    def test_that_computes_wrongly_is_told(self) -> None:
        (said,) = self.said(onnxruntime([CUDA, CPU], [[0, 0], [0, 0]]))
        self.assertEqual(
            said,
            f"onnxruntime computes a tiny model wrongly with {CUDA}: [[0, 0], [0, 0]] instead of [[7, 10], [15, 22]]",
        )

    def test_that_fails_is_told_in_one_line(self) -> None:
        (said,) = self.said(types.SimpleNamespace(InferenceSession=lambda model, providers: fail()))
        self.assertEqual(said, f"onnxruntime cannot compute a tiny model with {CUDA}: CUDA error: out of memory")


class Identity(unittest.TestCase):
    def test_gives_the_driver_of_the_gpu_that_was_asked_for(self) -> None:
        self.assertEqual(gpu.read_identity(f"{IDENTITY}\n", f"{IDENTITY}, 0123"), "535.104.05")
        self.assertEqual(gpu.read_identity("2 x A and B, driver unknown", "2 x A and B, driver unknown, 0"), "unknown")

    def test_of_another_gpu_or_driver_is_refused(self) -> None:
        for other in ("NVIDIA T4, driver 535.104.05", "NVIDIA A10, driver 535.104.0", "NVIDIA A10, driver 550.1"):
            with self.assertRaisesRegex(Failed, f"^this step has {other}, but GPU_IDENTITY says {IDENTITY}, 0123"):
                gpu.read_identity(other, f"{IDENTITY}, 0123")

    def test_that_is_missing_is_refused(self) -> None:
        with self.assertRaisesRegex(Failed, "^GPU_IDENTITY is empty: without it, what was proven on one GPU"):
            gpu.read_identity(IDENTITY, "")


class Script(unittest.TestCase):
    """gpu-identity itself, with an nvidia-smi of the test's own."""

    def said(self, names: str, driver: str = "535.104.05", code: int = 0) -> str:
        with tempfile.TemporaryDirectory() as folder:
            smi = Path(folder, "nvidia-smi")
            smi.write_text(
                f"#!/bin/sh\ncase $1 in *=name) printf '{names}' ;; *) printf '{driver}\\n' ;; esac\nexit {code}\n"
            )
            smi.chmod(0o755)
            environment = {**os.environ, "PATH": f"{folder}:{os.environ['PATH']}"}
            done = subprocess.run(["sh", SCRIPT, "--name"], capture_output=True, text=True, check=True, env=environment)
        return done.stdout.strip()

    def test_names_the_gpu_and_its_driver(self) -> None:
        self.assertEqual(self.said("NVIDIA A10\\n"), IDENTITY)

    def test_counts_several(self) -> None:
        said = self.said("NVIDIA A10\\nNVIDIA T4\\nNVIDIA A10\\n")
        self.assertEqual(said, "2 x NVIDIA A10 and NVIDIA T4, driver 535.104.05")

    def test_takes_no_error_for_a_name(self) -> None:
        said = self.said("Failed to initialize NVML: Driver/library version mismatch\\n", code=18)
        self.assertNotIn("NVML", said)
        self.assertNotIn("535.104.05", said)


class Proof(unittest.TestCase):
    def setUp(self) -> None:
        environment = {
            "SMOKE_TEST": "1",
            "SMOKE_TIMEOUT": "1",
            "PORTRAIT_TIMEOUT": "1",
            "UNUSED_MODELS": "",
            "PROOF_NETWORK": "refused",
            "PROOF_ENVIRONMENT": "",
        }
        self.environment = environment
        self.modules = {"torch": torch(Cuda()), "onnxruntime": onnxruntime([CUDA, CPU], RIGHT), "numpy": Numpy}

    def prove(self, outcome: boot.Outcome | None = None) -> tuple[dict, list[str]]:
        with (
            patch.object(gpu, "load", lambda name: self.modules[name]),
            patch.object(boot, "use", return_value=outcome or boot.Outcome()) as self.used,
        ):
            return gpu.prove(self.environment, f"{IDENTITY}, 0123", f"{IDENTITY}\n")

    def test_records_the_gpu_and_uses_the_application_on_it(self) -> None:
        record = {"name": "NVIDIA A10", "capability": "8.6", "driver": "535.104.05", "provider": CUDA}
        self.assertEqual(self.prove(), (record, []))
        self.assertEqual(self.used.call_args.args[1], "cuda")

    def test_leaves_out_the_application_where_that_was_asked_for(self) -> None:
        self.environment["SMOKE_TEST"] = "0"
        self.assertEqual(self.prove()[1], [])
        self.used.assert_not_called()

    def test_tells_what_the_application_does_wrong_there(self) -> None:
        _, wrong = self.prove(boot.Outcome(wrong=["the portrait that comes out is plain"]))
        self.assertEqual(wrong, ["on the GPU: the portrait that comes out is plain"])

    def test_tells_all_that_is_wrong_and_then_does_not_start_the_application(self) -> None:
        self.modules["torch"] = torch(Cuda(available=False))
        self.modules["onnxruntime"] = onnxruntime([CPU], RIGHT)
        record, wrong = self.prove()
        self.assertEqual((record, len(wrong)), ({}, 2))
        self.used.assert_not_called()

    def test_what_cannot_be_imported_is_told(self) -> None:
        with self.assertRaisesRegex(
            Failed, "^no_such_module cannot be imported where there is a GPU: ModuleNotFoundError"
        ):
            gpu.load("no_such_module")
