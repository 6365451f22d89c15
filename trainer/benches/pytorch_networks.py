"""The reference networks in PyTorch, written from the published equations. Both benchmarks and the GPU check use them.

Each is a module from features [T, B, F] to outputs [B, O].
"""

import torch
from torch import nn

from subjects import BiEflstmSubject, MfnSubject, Subject


class BiEflstm(nn.Module):
    """Stacked bidirectional LSTMs; the last time step goes through one hidden layer."""

    def __init__(self, subject: BiEflstmSubject):
        super().__init__()
        width, hidden = sum(modality.features for modality in subject.modalities), subject.hidden
        # PyTorch warns of a dropout between layers where there is one layer.
        between = subject.dropout if subject.layers > 1 else 0.0
        self.lstm = nn.LSTM(width, hidden, subject.layers, bidirectional=True, dropout=between)
        self.head = nn.Sequential(
            nn.Linear(2 * hidden, hidden),
            nn.BatchNorm1d(hidden),
            nn.ReLU(),
            nn.Dropout(subject.dropout),
            nn.Linear(hidden, subject.outputs),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.lstm(x)[0][-1])


def perceptron(inputs: int, width: int, dropout: float, outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(inputs, width), nn.ReLU(), nn.Dropout(dropout), nn.Linear(width, outputs))


class Mfn(nn.Module):
    """The memory fusion network: LSTM cells side by side, attention over two steps, a gated memory."""

    def __init__(self, subject: MfnSubject):
        super().__init__()
        self.dims = [modality.features for modality in subject.modalities]
        self.cells = nn.ModuleList(nn.LSTMCell(m.features, m.hidden) for m in subject.modalities)
        hidden, self.memory = sum(m.hidden for m in subject.modalities), subject.memory
        attended = 2 * hidden
        self.nn1 = perceptron(attended, subject.nn1, 0.0, attended)
        self.nn2 = perceptron(attended, subject.nn2, subject.nn2_dropout, self.memory)
        self.gamma1 = perceptron(attended + self.memory, subject.gamma1, 0.0, self.memory)
        self.gamma2 = perceptron(attended + self.memory, subject.gamma2, subject.gamma2_dropout, self.memory)
        self.out = perceptron(hidden + self.memory, subject.out, subject.out_dropout, subject.outputs)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        parts = x.split(self.dims, dim=2)
        states = [(x.new_zeros(x.shape[1], cell.hidden_size),) * 2 for cell in self.cells]
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


def network(subject: Subject) -> nn.Module:
    """The network, initialised as PyTorch does it."""
    return BiEflstm(subject) if isinstance(subject, BiEflstmSubject) else Mfn(subject)


def loss(outputs: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Cross entropy of classes; the mean absolute error of numbers."""
    if labels.is_floating_point():
        return nn.functional.l1_loss(outputs.squeeze(1), labels)
    return nn.functional.cross_entropy(outputs, labels)


def labels(subject: Subject, classes: torch.Tensor) -> torch.Tensor:
    """Labels for measurements, from numbers of classes."""
    return classes.float() - 4 if subject.outputs == 1 else classes
