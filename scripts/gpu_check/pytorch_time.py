"""Measures the milliseconds of a training step in PyTorch on a device, in each mode that may be the fastest.

    python -m gpu_check.pytorch_time --networks trainer/benches --network mfn --device cuda:0 --samples 128 --steps 20

The networks are those of benches/pytorch_networks.py: `torch.nn.LSTM`, which is cuDNN on a GPU. Models are stepped one
after another; a line of JSON is printed as soon as a mode is measured. Needs torch.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
import traceback
from collections.abc import Callable

BLOCKS = 3


def main() -> int:
    """Measures the modes in order; if one fails, the others are still measured."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", required=True, help="the folder of pytorch_networks.py")
    parser.add_argument("--network", choices=["bi-eflstm", "mfn"], required=True)
    parser.add_argument("--device", required=True)
    parser.add_argument("--samples", type=int, required=True)
    parser.add_argument("--steps", type=int, required=True)
    parser.add_argument("--seconds", type=float, default=1.0, help="for each mode")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--modes", nargs="+", default=["eager"], choices=[*MODES, "profile"])
    options = parser.parse_args()
    sys.path.insert(0, options.networks)
    import torch

    torch.set_num_threads(options.threads)
    for mode in options.modes:
        try:
            measured = profile(options) if mode == "profile" else measure(MODES[mode], options)
            print(json.dumps({"mode": mode, **measured}), flush=True)
        except Exception as error:  # noqa: BLE001 - CUDA graphs and compilers fail in many ways
            traceback.print_exc()
            print(json.dumps({"mode": mode, "error": f"{type(error).__name__}: {error}"[:500]}), flush=True)
    return 0


def prepare(options: argparse.Namespace, tf32: bool = False) -> tuple:
    """Network, features and labels."""
    import torch
    import pytorch_networks
    from subjects import CLASSES, SUBJECTS, features

    torch.backends.cuda.matmul.allow_tf32 = tf32
    torch.backends.cudnn.allow_tf32 = tf32
    torch.manual_seed(0)
    subject = SUBJECTS[options.network]
    network = pytorch_networks.network(subject).train().to(options.device)
    x = torch.randn(options.steps, options.samples, features(subject), device=options.device)
    y = pytorch_networks.labels(subject, torch.arange(options.samples, device=options.device) % CLASSES)
    return network, x, y


def stepper(forward: Callable, x: object, y: object, adam: object) -> Callable[[], None]:
    """One training step."""
    from pytorch_networks import loss

    def step() -> None:
        adam.zero_grad(set_to_none=True)
        loss(forward(x), y).backward()
        adam.step()

    return step


def eager(options: argparse.Namespace, tf32: bool = False) -> Callable[[], None]:
    """The usual form."""
    import torch

    network, x, y = prepare(options, tf32)
    return stepper(network, x, y, torch.optim.Adam(network.parameters(), lr=1e-4))


def fused(options: argparse.Namespace, tf32: bool = False) -> Callable[[], None]:
    """With the optimizer in one kernel."""
    import torch

    network, x, y = prepare(options, tf32)
    return stepper(network, x, y, torch.optim.Adam(network.parameters(), lr=1e-4, fused=True))


def five(options: argparse.Namespace) -> Callable[[], None]:
    """Five models, one after another."""
    steps = [fused(options) for _ in range(5)]

    def step() -> None:
        for one in steps:
            one()

    step.models = 5
    return step


def graph(options: argparse.Namespace, tf32: bool = False) -> Callable[[], None]:
    """The whole step as one CUDA graph."""
    import torch
    from pytorch_networks import loss

    network, x, y = prepare(options, tf32)
    adam = torch.optim.Adam(network.parameters(), lr=1e-4, fused=True, capturable=True)

    def step() -> None:
        adam.zero_grad(set_to_none=False)
        loss(network(x), y).backward()
        adam.step()

    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(3):
            step()
    torch.cuda.current_stream().wait_stream(side)
    whole = torch.cuda.CUDAGraph()
    with torch.cuda.graph(whole):
        step()
    return whole.replay


def compiled(options: argparse.Namespace) -> Callable[[], None]:
    """Under torch.compile, which needs a C compiler."""
    import torch

    network, x, y = prepare(options)
    adam = torch.optim.Adam(network.parameters(), lr=1e-4, fused=True)
    return stepper(torch.compile(network), x, y, adam)


MODES = {
    "eager": eager,
    "fused": fused,
    "five": five,
    "graph": graph,
    "compile": compiled,
    "fused, TF32": lambda options: fused(options, tf32=True),
    "graph, TF32": lambda options: graph(options, tf32=True),
}


def waiter(options: argparse.Namespace) -> Callable[[], None]:
    """A function that waits until the device has finished its work."""
    import torch

    return torch.cuda.synchronize if options.device.startswith("cuda") else lambda: None


def measure(make: Callable, options: argparse.Namespace) -> dict:
    """The time of a step per model, measured like the probe does."""
    wait = waiter(options)
    step = make(options)
    for _ in range(4):
        step()
    wait()
    began = time.perf_counter()
    step()
    wait()
    count = int(min(max(options.seconds / BLOCKS / max(time.perf_counter() - began, 1e-6), 1), 1000))
    told, done = [], []
    for _ in range(BLOCKS):
        began = time.perf_counter()
        for _ in range(count):
            step()
        told.append((time.perf_counter() - began) * 1e3 / count)
        wait()
        done.append((time.perf_counter() - began) * 1e3 / count)
    models = getattr(step, "models", 1)
    return {
        "ms": statistics.median(done) / models,
        "least_ms": min(done) / models,
        "host_ms": statistics.median(told) / models,
        "steps": count * BLOCKS,
    }


def profile(options: argparse.Namespace) -> dict:
    """A profile of ten steps, from torch's profiler."""
    from torch.profiler import ProfilerActivity
    from torch.profiler import profile as watch

    from gpu_check.probe import digest

    step, wait = fused(options), waiter(options)
    for _ in range(4):
        step()
    wait()
    cuda = [ProfilerActivity.CUDA] if options.device.startswith("cuda") else []
    with watch(activities=[ProfilerActivity.CPU, *cuda]) as seen:
        began = time.perf_counter()
        for _ in range(10):
            step()
        wait()
        seconds = time.perf_counter() - began
    return {"rounds": 10, "profile": digest(seen.key_averages(), seconds)}


if __name__ == "__main__":
    sys.exit(main())
