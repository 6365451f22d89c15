# /// script
# dependencies = ["torch==2.11.0", "numpy", "safetensors"]
# ///
"""Loads exported weights into PyTorch's networks and compares their outputs with the exported predictions.

    colearn export mine --out exports/mine
    python trainer/tests/parity/check_weights.py exports/mine data/demo.safetensors

Prints the largest difference of each task and ends with exit code 1 if one is above 1e-4. The networks are plain modules
and can be copied: `load_state_dict` accepts the files as they are. A test runs this (cli/tests/programs/kept.rs).
"""

import csv
import json
import sys
from pathlib import Path

import numpy
import torch
from safetensors import safe_open
from torch import nn


class BiEflstm(nn.Module):
    def __init__(self, modalities, outputs, settings):
        super().__init__()
        width, hidden = sum(dim for _, dim in modalities), settings["hidden"]
        self.lstm = nn.LSTM(width, hidden, settings["layers"], bidirectional=True)
        self.hidden = nn.Linear(2 * hidden, hidden)
        self.norm = nn.BatchNorm1d(hidden)
        self.output = nn.Linear(hidden, outputs)

    def forward(self, x):
        return self.output(torch.relu(self.norm(self.hidden(self.lstm(x)[0][-1]))))


def perceptron(inputs, width, outputs):
    return nn.Sequential(nn.Linear(inputs, width), nn.ReLU(), nn.Dropout(0.0), nn.Linear(width, outputs))


class Mfn(nn.Module):
    def __init__(self, modalities, outputs, settings):
        super().__init__()
        self.dims = [dim for _, dim in modalities]
        # Widths of 32, the default, are left out of the settings.
        widths = {name: settings["hidden"].get(name, 32) for name, _ in modalities}
        self.lstm = nn.ModuleDict({name: nn.LSTMCell(dim, widths[name]) for name, dim in modalities})
        hidden, self.memory = sum(widths.values()), settings["memory"]
        attended, both = 2 * hidden, 2 * hidden + self.memory
        self.nn1 = perceptron(attended, settings["nn1"], attended)
        self.nn2 = perceptron(attended, settings["nn2"], self.memory)
        self.gamma1 = perceptron(both, settings["gamma1"], self.memory)
        self.gamma2 = perceptron(both, settings["gamma2"], self.memory)
        self.out = perceptron(hidden + self.memory, settings["out"], outputs)

    def forward(self, x):
        parts = dict(zip(self.lstm, x.split(self.dims, dim=2), strict=True))
        state = {name: (x.new_zeros(x.shape[1], cell.hidden_size),) * 2 for name, cell in self.lstm.items()}
        memory = x.new_zeros(x.shape[1], self.memory)
        for step in range(x.shape[0]):
            before = [cell for _, cell in state.values()]
            state = {name: cell(parts[name][step], state[name]) for name, cell in self.lstm.items()}
            states = torch.cat(before + [cell for _, cell in state.values()], dim=1)
            attended = torch.softmax(self.nn1(states), dim=1) * states
            candidate = torch.tanh(self.nn2(attended))
            gates = torch.cat([attended, memory], dim=1)
            memory = torch.sigmoid(self.gamma1(gates)) * memory + torch.sigmoid(self.gamma2(gates)) * candidate
        return self.out(torch.cat([hidden for hidden, _ in state.values()] + [memory], dim=1))


NETWORKS = {"bi-eflstm": BiEflstm, "mfn": Mfn}


def network_of(path):
    """The network in evaluation mode, the names of its modalities, and whether absent ones are zero."""
    with safe_open(path, "pt") as file:
        entries, weights = file.metadata(), {name: file.get_tensor(name) for name in file.keys()}
    settings, modalities = json.loads(entries["settings"]), json.loads(entries["modalities"])
    are_zero = settings["training"].get("modality_replacement", "zero") == "zero"
    settings = settings["model"]
    network = NETWORKS[settings["kind"]](modalities, int(entries["outputs"]), settings)
    if set(network.state_dict()) != set(weights):
        raise SystemExit(f"{path}: other names than PyTorch's: {set(network.state_dict()) ^ set(weights)}")
    network.load_state_dict(weights)
    return network.eval(), [name for name, _ in modalities], are_zero


def difference(task, data):
    """The largest difference between the listed outputs and those of the PyTorch network."""
    network, names, are_zero = network_of(task / "weights.safetensors")
    with open(task / "predictions.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    logits = [name for name in rows[0] if name.startswith("logit.")] or ["prediction"]
    largest = 0.0
    for split, modalities in dict.fromkeys((row["split"], row["modalities"]) for row in rows):
        own = [row for row in rows if (row["split"], row["modalities"]) == (split, modalities)]
        present = modalities.split("+")
        parts = [data[f"{split}/{name}"].copy() for name in names]
        for name, part in zip(names, parts, strict=True):
            if name not in present:
                part[:] = 0 if are_zero else data[f"train/{name}"].mean(axis=(0, 1), dtype=numpy.float64)
        x = torch.from_numpy(numpy.concatenate(parts, axis=2)).transpose(0, 1)
        with torch.no_grad():
            outputs = network(x).numpy()
        listed = numpy.array([[float(row[name]) for name in logits] for row in own])
        largest = max(largest, float(abs(outputs - listed).max()))
    return largest


def main():
    folder, dataset = Path(sys.argv[1]), sys.argv[2]
    torch.set_num_threads(1)
    with safe_open(dataset, "numpy") as file:
        data = {name: file.get_tensor(name) for name in file.keys() if not name.endswith("/labels")}
    tasks = sorted(path.parent for path in folder.glob("*/*/weights.safetensors"))
    found = {task: difference(task, data) for task in tasks}
    for task, largest in found.items():
        print(f"{largest:.1e}  {task}")
    print(f"{len(found)} tasks, at most {max(found.values()):.1e}")
    sys.exit(max(found.values()) > 1e-4)


if __name__ == "__main__":
    main()
