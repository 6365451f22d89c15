# /// script
# dependencies = ["torch==2.11.0"]
# ///
"""Measures the milliseconds of the same training step in PyTorch: network, loss, backward, Adam, one thread.

With --members K, K networks make a step one after the other in one process; the time is that of all.
`compare.py` runs it in turns with colearn's; the last line is the result as JSON.
"""

import argparse
import json
import statistics
import time

import torch

import pytorch_networks
from subjects import CLASSES, SUBJECTS, features


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", choices=SUBJECTS, default="iemocap-bi-eflstm")
    parser.add_argument("--members", type=int, default=1)
    parser.add_argument("--samples", type=int, help="per batch; default: those of the sweep")
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--fused", action="store_true", help="the fused Adam instead of the default one")
    a = parser.parse_args()

    torch.set_num_threads(1)
    torch.set_num_interop_threads(1)
    torch.manual_seed(0)
    subject = SUBJECTS[a.model]
    samples = a.samples or subject.samples
    networks = [pytorch_networks.network(subject).train() for _ in range(a.members)]
    adams = [torch.optim.Adam(network.parameters(), lr=1e-4, fused=a.fused or None) for network in networks]
    x = torch.randn(a.members, subject.steps, samples, features(subject))
    y = pytorch_networks.labels(subject, torch.arange(samples) % CLASSES)
    wall, processor = [], []
    for step in range(a.rounds + 5):
        start, before = time.perf_counter(), time.process_time()
        for network, adam, rows in zip(networks, adams, x):
            adam.zero_grad()
            loss = pytorch_networks.loss(network(rows), y)
            loss.backward()
            adam.step()
            loss.item()
        if step >= 5:
            processor.append((time.process_time() - before) * 1e3)
            wall.append((time.perf_counter() - start) * 1e3)
    parameters = sum(parameter.numel() for parameter in networks[0].parameters())
    result = {"implementation": "pytorch", "model": a.model, "members": a.members, "parameters": parameters}
    result |= {"samples": samples, "steps": subject.steps}
    result |= {"wall_ms": statistics.median(wall), "processor_ms": statistics.median(processor)}
    print(json.dumps(result))


if __name__ == "__main__":
    main()
