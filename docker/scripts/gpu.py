#!/venv/bin/python
"""gpu.py: proves the image on the GPU that this step of the build has. Says nothing unless something is wrong.

torch and onnxruntime have to compute on it, and then the application: as on the CPU, it starts and answers a portrait.
What is right goes into the record. SMOKE_TEST=0 leaves out the application.
"""

import importlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import ModuleType

import boot
from failed import Failed, tell
from image import PROOF, RECORD, write_document

PROVIDER = "CUDAExecutionProvider"
# Rows and columns of the matrices that are multiplied.
SIZE = 64

Matrix = list[list[float]]


def load(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except Exception as error:
        raise Failed(f"{name} cannot be imported where there is a GPU: {type(error).__name__}: {error}") from error


def read_identity(said: str, expected: str) -> str:
    """The version of the driver, by what gpu-identity says now and has said before the build."""
    now = said.strip()
    if not expected:
        raise Failed("GPU_IDENTITY is empty: without it, what was proven on one GPU would pass for another")
    if not (expected + ",").startswith(now + ","):
        raise Failed(f"this step has {now}, but GPU_IDENTITY says {expected}: run this again, for the GPU of now")
    return now.rpartition(", driver ")[2]


def check_torch(torch: ModuleType) -> Iterator[str]:
    if not torch.cuda.is_available():
        try:
            torch.cuda.init()
            reason = "torch names no reason"
        except Exception as error:  # it raises what the driver says
            reason = str(error).strip().partition("\n")[0] or type(error).__name__
        yield f"torch.cuda.is_available() is False, though this step has the device: {reason}"
        return
    built = torch.cuda.get_arch_list()
    for index in range(torch.cuda.device_count()):
        name, capability = torch.cuda.get_device_name(index), torch.cuda.get_device_capability(index)
        if not runs_on(built, capability):
            able = f"{name} has the capability {dotted(capability)}"
            yield f"{able}, but this torch was built for {', '.join(built)}: it has no code for this GPU"
        else:
            yield from check_product(torch, index, name)


def runs_on(built: list[str], capability: tuple[int, int]) -> bool:
    """Code for a capability runs on those above it: PTX (compute_86) on all, others (sm_86) on the same major."""
    for kind, major, minor in re.findall(r"\b(sm|compute)_(\d+)(\d)", " ".join(built)):
        own = (int(major), int(minor))
        if own <= capability and (kind == "compute" or own[0] == capability[0]):
            return True
    return False


def dotted(capability: tuple[int, int]) -> str:
    return ".".join(map(str, capability))


def matrices() -> tuple[Matrix, Matrix]:
    """Of small whole numbers: their product is exact in every format that a GPU may compute in."""
    rows = range(SIZE)
    return [[float((3 * i + j) % 8) for j in rows] for i in rows], [[float((i * j) % 7) for j in rows] for i in rows]


def check_product(torch: ModuleType, index: int, name: str) -> Iterator[str]:
    left, right = matrices()

    def product(device: str) -> Matrix:
        return (torch.tensor(left, device=device) @ torch.tensor(right, device=device)).tolist()

    try:
        found, expected = product(f"cuda:{index}"), product("cpu")
    except Exception as error:  # it raises what the driver says
        yield f"torch cannot multiply matrices on {name}: {str(error).strip().partition(chr(10))[0]}"
        return
    wrong = [
        (a, b)
        for ours, theirs in zip(found, expected, strict=True)
        for a, b in zip(ours, theirs, strict=True)
        if a != b
    ]
    if wrong:
        here, there = wrong[0]
        differs = f"differs on {name} in {len(wrong)} of {SIZE**2} places"
        yield f"a product of matrices {differs}: {here:g} there, {there:g} on the CPU"


def field(number: int, value: bytes | str | int) -> bytes:
    """A field of a protobuf message; all numbers here are below 128, and all lengths too."""
    if isinstance(value, int):
        return bytes([number << 3, value])
    data = value.encode() if isinstance(value, str) else value
    return bytes([number << 3 | 2, len(data)]) + data


def tiny_model() -> bytes:
    """An ONNX model: y = x @ x, of 2x2 floats."""
    two = field(1, 2)
    shape = field(2, field(1, two) + field(1, two))
    tensor = field(2, field(1, field(1, 1) + shape))
    node = field(1, "x") + field(1, "x") + field(2, "y") + field(4, "MatMul")
    graph = field(1, node) + field(2, "tiny") + field(11, field(1, "x") + tensor) + field(12, field(1, "y") + tensor)
    return field(1, 8) + field(7, graph) + field(8, field(2, 13))


def check_provider(onnxruntime: ModuleType, numpy: ModuleType) -> Iterator[str]:
    try:
        session = onnxruntime.InferenceSession(tiny_model(), providers=[PROVIDER, "CPUExecutionProvider"])
        providers = session.get_providers()
        (found,) = session.run(None, {"x": numpy.array([[1, 2], [3, 4]], dtype=numpy.float32)})
    except Exception as error:  # it raises what its libraries say
        yield f"onnxruntime cannot compute a tiny model with {PROVIDER}: {str(error).strip().partition(chr(10))[0]}"
        return
    if providers[:1] != [PROVIDER]:
        has = f"of this session are {', '.join(providers) or 'none'}"
        yield f"onnxruntime does not compute on the GPU: the providers {has}; the first must be {PROVIDER}"
    elif found.tolist() != [[7, 10], [15, 22]]:
        is_not = f"{found.tolist()} instead of [[7, 10], [15, 22]]"
        yield f"onnxruntime computes a tiny model wrongly with {PROVIDER}: {is_not}"


def check_application(settings: boot.Settings) -> Iterator[str]:
    outcome = boot.use(settings, "cuda")
    if outcome.wrong:
        print(outcome.log, file=sys.stderr)
    for sentence in outcome.warnings:
        print("proof: warning: on the GPU:", sentence, file=sys.stderr)
    for sentence in outcome.wrong:
        yield f"on the GPU: {sentence}"


def prove(environment: Mapping[str, str], expected: str, said: str) -> tuple[dict, list[str]]:
    """What the record says of the GPU, and a sentence for all that is wrong. Raises Failed where nothing is known."""
    driver = read_identity(said, expected)
    # In this order: torch brings the CUDA libraries that onnxruntime then finds.
    torch, onnxruntime, numpy = load("torch"), load("onnxruntime"), load("numpy")
    wrong = [*check_torch(torch), *check_provider(onnxruntime, numpy)]
    settings = boot.Settings.read(environment)
    if settings.boots and not wrong:
        wrong += check_application(settings)
    if wrong:
        return {}, wrong
    capability = dotted(torch.cuda.get_device_capability(0))
    return {"name": torch.cuda.get_device_name(0), "capability": capability, "driver": driver, "provider": PROVIDER}, []


def main() -> int:
    try:
        identity = subprocess.run(
            [Path(__file__).parent / "gpu-identity", "--name"], capture_output=True, text=True, check=True
        )
        # No part of the image's environment, which the application sees.
        gpu, wrong = prove(os.environ, os.environ.pop("GPU_IDENTITY"), identity.stdout)
    except Failed as failure:
        gpu, wrong = {}, [str(failure)]
    if tell(wrong):
        return 1
    record = json.loads((PROOF / RECORD).read_text())
    write_document(RECORD, {**record, "gpu": gpu}, PROOF)
    return 0


if __name__ == "__main__":
    sys.exit(main())
