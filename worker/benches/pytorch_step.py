# /// script
# dependencies = ["torch==2.11.0"]
# ///
"""Milliseconds the same training step takes in PyTorch: nn.LSTM, head, cross entropy, Adam, one thread.

`compare.py` runs it in turns with colearn's; the last line is the result as JSON.
"""

import argparse
import json
import statistics
import time

import torch
from torch import nn

FEATURES, CLASSES = 300 + 80 + 310, 9


class Network(nn.Module):
    def __init__(self, hidden: int, layers: int, dropout: float):
        super().__init__()
        self.lstm = nn.LSTM(FEATURES, hidden, layers, bidirectional=True, dropout=dropout)
        self.head = nn.Sequential(
            nn.Linear(2 * hidden, hidden),
            nn.BatchNorm1d(hidden),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(hidden, CLASSES),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.lstm(x)[0][-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=int, default=15)
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--hidden", type=int, default=128)
    parser.add_argument("--layers", type=int, default=2)
    parser.add_argument("--dropout", type=float, default=0.5)
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--fused", action="store_true", help="the fused Adam instead of the default one")
    a = parser.parse_args()

    torch.set_num_threads(1)
    torch.set_num_interop_threads(1)
    torch.manual_seed(0)
    network = Network(a.hidden, a.layers, a.dropout).train()
    adam = torch.optim.Adam(network.parameters(), lr=1e-4, fused=a.fused or None)
    x = torch.randn(a.steps, a.samples, FEATURES)
    y = torch.arange(a.samples) % CLASSES
    times = []
    for step in range(a.rounds + 5):
        start = time.perf_counter()
        adam.zero_grad()
        loss = nn.functional.cross_entropy(network(x), y)
        loss.backward()
        adam.step()
        loss.item()
        if step >= 5:
            times.append((time.perf_counter() - start) * 1e3)
    print(json.dumps({"implementation": "pytorch", "median_ms": statistics.median(times), "least_ms": min(times)}))


if __name__ == "__main__":
    main()
