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
from torch import nn

CLASSES = 9


class BiEflstm(nn.Module):
    """At the sizes of the paper's IEMOCAP experiments."""

    features, samples, steps = 300 + 80 + 310, 15, 30
    loss = staticmethod(nn.functional.cross_entropy)

    def __init__(self, hidden: int = 128, layers: int = 2, dropout: float = 0.5):
        super().__init__()
        self.lstm = nn.LSTM(self.features, hidden, layers, bidirectional=True, dropout=dropout)
        self.head = nn.Sequential(
            nn.Linear(2 * hidden, hidden),
            nn.BatchNorm1d(hidden),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(hidden, CLASSES),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.lstm(x)[0][-1])

    @staticmethod
    def labels(classes: torch.Tensor) -> torch.Tensor:
        return classes


def perceptron(inputs: int, width: int, dropout: float, outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(inputs, width), nn.ReLU(), nn.Dropout(dropout), nn.Linear(width, outputs))


class Mfn(nn.Module):
    """At the sizes of the paper's MOSI experiments."""

    dims, hidden, memory = (300, 5, 20), (128, 32, 32), 128
    features, samples, steps = sum(dims), 128, 20

    def __init__(self):
        super().__init__()
        self.cells = nn.ModuleList(nn.LSTMCell(dim, hidden) for dim, hidden in zip(self.dims, self.hidden))
        attended = 2 * sum(self.hidden)
        self.nn1 = perceptron(attended, 128, 0.0, attended)
        self.nn2 = perceptron(attended, 64, 0.2, self.memory)
        self.gamma1 = perceptron(attended + self.memory, 256, 0.0, self.memory)
        self.gamma2 = perceptron(attended + self.memory, 64, 0.2, self.memory)
        self.out = perceptron(sum(self.hidden) + self.memory, 64, 0.5, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        parts = x.split(self.dims, dim=2)
        states = [(x.new_zeros(x.shape[1], h), x.new_zeros(x.shape[1], h)) for h in self.hidden]
        memory = x.new_zeros(x.shape[1], self.memory)
        for step in range(x.shape[0]):
            before = [c for _, c in states]
            states = [cell(part[step], state) for cell, part, state in zip(self.cells, parts, states)]
            both = torch.cat(before + [c for _, c in states], dim=1)
            attended = torch.softmax(self.nn1(both), dim=1) * both
            candidate = torch.tanh(self.nn2(attended))
            both = torch.cat([attended, memory], dim=1)
            memory = torch.sigmoid(self.gamma1(both)) * memory + torch.sigmoid(self.gamma2(both)) * candidate
        return self.out(torch.cat([h for h, _ in states] + [memory], dim=1))

    @staticmethod
    def loss(outputs: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        return nn.functional.l1_loss(outputs.squeeze(1), labels)

    @staticmethod
    def labels(classes: torch.Tensor) -> torch.Tensor:
        return classes.float() - 4


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", choices=["bi-eflstm", "mfn"], default="bi-eflstm")
    parser.add_argument("--members", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--fused", action="store_true", help="the fused Adam instead of the default one")
    a = parser.parse_args()

    torch.set_num_threads(1)
    torch.set_num_interop_threads(1)
    torch.manual_seed(0)
    kind = {"bi-eflstm": BiEflstm, "mfn": Mfn}[a.model]
    networks = [kind().train() for _ in range(a.members)]
    adams = [torch.optim.Adam(network.parameters(), lr=1e-4, fused=a.fused or None) for network in networks]
    x = torch.randn(a.members, kind.steps, kind.samples, kind.features)
    y = kind.labels(torch.arange(kind.samples) % CLASSES)
    times = []
    for step in range(a.rounds + 5):
        start = time.perf_counter()
        for network, adam, features in zip(networks, adams, x):
            adam.zero_grad()
            loss = network.loss(network(features), y)
            loss.backward()
            adam.step()
            loss.item()
        if step >= 5:
            times.append((time.perf_counter() - start) * 1e3)
    result = {"members": a.members, "median_ms": statistics.median(times), "least_ms": min(times)}
    print(json.dumps({"implementation": "pytorch", "model": a.model, **result}))


if __name__ == "__main__":
    main()
