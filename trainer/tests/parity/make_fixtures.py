# /// script
# dependencies = ["torch==2.11.0", "numpy", "scikit-learn", "scipy", "safetensors"]
# ///
"""Writes the fixtures for `trainer/tests/parity`: the values that PyTorch, scikit-learn, SciPy and NumPy compute
for the same weights and data.

    python trainer/tests/parity/make_fixtures.py

The networks are written here as plain modules, in double precision. Their members differ in weights, data and
learning rate, so that one fixture can be used for a cohort of one and one of three. Dropout is off, because colearn's
masks differ from PyTorch's. The gradient of the bias before the batch norm is set to its true value of zero; PyTorch
computes rounding noise there, and Adam turns that into full steps.
"""

import json
from pathlib import Path

import numpy
import torch
from safetensors.numpy import save_file
from scipy.stats import pearsonr
from sklearn.metrics import accuracy_score, balanced_accuracy_score, f1_score, mean_absolute_error
from torch import nn

HERE = Path(__file__).resolve().parent / "fixtures"
# An odd number of samples: then the signs of the absolute error's gradient never cancel. If they did, single
# precision would leave rounding noise of the size of Adam's epsilon, which Adam turns into a step.
MEMBERS, STEPS, SAMPLES, ADAM_STEPS = 3, 5, 7, 20
# Three modalities, as (name, columns, hidden units of the LSTM cell).
MODALITIES = [("language", 4, 5), ("audio", 2, 3), ("video", 3, 2)]
FEATURES = sum(dim for _, dim, _ in MODALITIES)
PLAIN = [{"learning_rate": rate} for rate in (1e-3, 3e-3, 1e-2)]
# With larger rates PyTorch's own single precision differs by more than 1e-5 from its double precision after twenty
# steps.
FULL = [
    {"learning_rate": 1e-3, "beta1": 0.8, "beta2": 0.99, "weight_decay": 0.01, "gradient_clip": 0.1},
    {"learning_rate": 3e-3, "beta1": 0.95, "beta2": 0.9, "weight_decay": 0.1, "gradient_clip": 0.0},
    {"learning_rate": 2e-3, "beta1": 0.9, "beta2": 0.999, "weight_decay": 0.0, "gradient_clip": 0.05},
]


class BiEflstm(nn.Module):
    loss = staticmethod(nn.functional.cross_entropy)

    def __init__(self, hidden=4, layers=2, classes=3):
        super().__init__()
        self.lstm = nn.LSTM(FEATURES, hidden, layers, bidirectional=True)
        self.hidden = nn.Linear(2 * hidden, hidden)
        self.norm = nn.BatchNorm1d(hidden)
        self.output = nn.Linear(hidden, classes)
        self.hidden.bias.register_hook(torch.zeros_like)
        nn.init.uniform_(self.norm.weight, 0.5, 1.5)
        nn.init.uniform_(self.norm.bias, -0.5, 0.5)

    def forward(self, x):
        return self.output(torch.relu(self.norm(self.hidden(self.lstm(x)[0][-1]))))

    @staticmethod
    def labels(shape):
        return torch.randint(0, 3, shape)


def perceptron(inputs, width, outputs):
    return nn.Sequential(nn.Linear(inputs, width), nn.ReLU(), nn.Dropout(0.0), nn.Linear(width, outputs))


class Mfn(nn.Module):
    """The Memory Fusion Network, from the equations of its paper (Zadeh et al. 2018)."""

    @staticmethod
    def loss(outputs, labels):
        return nn.functional.l1_loss(outputs.squeeze(1), labels)

    def __init__(self, memory=4):
        super().__init__()
        self.lstm = nn.ModuleDict({name: nn.LSTMCell(dim, hidden) for name, dim, hidden in MODALITIES})
        hidden = sum(hidden for _, _, hidden in MODALITIES)
        attended, self.memory = 2 * hidden, memory
        self.nn1 = perceptron(attended, 6, attended)
        self.nn2 = perceptron(attended, 5, memory)
        self.gamma1 = perceptron(attended + memory, 7, memory)
        self.gamma2 = perceptron(attended + memory, 3, memory)
        self.out = perceptron(hidden + memory, 5, 1)

    def forward(self, x):
        parts = dict(zip(self.lstm, x.split([dim for _, dim, _ in MODALITIES], dim=2)))
        state = {name: tuple(x.new_zeros(x.shape[1], cell.hidden_size) for _ in range(2)) for name, cell in self.lstm.items()}
        memory = x.new_zeros(x.shape[1], self.memory)
        for step in range(x.shape[0]):
            before = [cell for _, cell in state.values()]
            state = {name: cell(parts[name][step], state[name]) for name, cell in self.lstm.items()}
            states = torch.cat(before + [cell for _, cell in state.values()], dim=1)
            attended = torch.softmax(self.nn1(states), dim=1) * states
            candidate = torch.tanh(self.nn2(attended))
            both = torch.cat([attended, memory], dim=1)
            memory = torch.sigmoid(self.gamma1(both)) * memory + torch.sigmoid(self.gamma2(both)) * candidate
        return self.out(torch.cat([hidden for hidden, _ in state.values()] + [memory], dim=1))

    @staticmethod
    def labels(shape):
        return torch.randint(-12, 13, shape).double() / 4


def arrays(prefix, tensors):
    return {f"{prefix}.{name}": tensor.detach().double().numpy().copy() for name, tensor in tensors}


def train(network, start, x, y, settings):
    """The weights and running values after a step on each batch."""
    network.load_state_dict(start)
    network.train()
    adam = torch.optim.Adam(
        network.parameters(),
        lr=settings["learning_rate"],
        betas=(settings.get("beta1", 0.9), settings.get("beta2", 0.999)),
        weight_decay=settings.get("weight_decay", 0.0),
    )
    for batch, labels in zip(x, y):
        adam.zero_grad()
        network.loss(network(batch), labels).backward()
        if settings.get("gradient_clip"):
            nn.utils.clip_grad_norm_(network.parameters(), settings["gradient_clip"])
        adam.step()
    return network.state_dict()


def network_fixture(name, network_type):
    """Names end in the member's number; batches are stored once, the first one also serves the single pass."""
    stored = {}
    for member in range(MEMBERS):
        torch.manual_seed(100 + member)
        network = network_type().double()
        # Values that single precision holds exactly, so that both precisions start from equal values.
        start = {key: value.float().to(value.dtype) for key, value in network.state_dict().items()}
        network.load_state_dict(start)
        # A wide range, so that batch norm does not divide by small deviations, which would enlarge rounding errors.
        x = 2 * torch.randn(ADAM_STEPS, STEPS, SAMPLES, FEATURES).double()
        y = network.labels((ADAM_STEPS, SAMPLES))
        found = arrays("start", start.items())
        found["x"], found["y"] = x.float().numpy(), y.numpy()
        network.eval()
        found["outputs_eval"] = network(x[0]).detach().numpy()
        network.train()
        outputs = network(x[0])
        loss = network.loss(outputs, y[0])
        loss.backward()
        found["outputs_train"], found["loss"] = outputs.detach().numpy(), loss.detach().numpy().reshape(1)
        found |= arrays("gradient", ((key, p.grad) for key, p in network.named_parameters()))
        found |= arrays("plain", train(network, start, x, y, PLAIN[member]).items())
        found |= arrays("full", train(network, start, x, y, FULL[member]).items())
        stored |= {f"{key}.{member}": value for key, value in found.items() if "num_batches" not in key}
    save_file(stored, HERE / f"{name}.safetensors")


def classification(truth, predicted, classes):
    return {
        "truth": truth,
        "predicted": predicted,
        "classes": classes,
        "metrics": {
            "accuracy": accuracy_score(truth, predicted),
            "f_score": f1_score(truth, predicted, average="weighted", zero_division=0),
            "f_score_authors": f1_score(predicted, truth, average="weighted", zero_division=0),
            "f_score_macro": f1_score(truth, predicted, average="macro", zero_division=0),
            "balanced_accuracy": balanced_accuracy_score(truth, predicted),
        },
        "class_f1": f1_score(truth, predicted, average=None, labels=range(classes), zero_division=0).tolist(),
    }


def regression(truth, predicted):
    y, p = numpy.array(truth, dtype=float), numpy.array(predicted, dtype=float)
    integers, clipped = [numpy.rint(v).astype(int) for v in (y, p)], [numpy.rint(v.clip(-3, 3)) for v in (y, p)]
    varies = len(y) > 1 and numpy.ptp(y) > 0 and numpy.ptp(p) > 0
    five = [numpy.rint(v.clip(-2, 2)) for v in (y, p)]
    signed = y != 0  # without samples scikit-learn has no value; colearn has 0
    positive = [v[signed] > 0 for v in (y, p)]
    matrix = numpy.zeros((7, 7), dtype=int)
    numpy.add.at(matrix, tuple(v.astype(int) + 3 for v in clipped), 1)
    return {
        "truth": y.tolist(),
        "predicted": p.tolist(),
        "confusion": matrix.tolist(),
        "metrics": {
            "accuracy": float(((y >= 0) == (p >= 0)).mean()),
            "mae": float(mean_absolute_error(y, p)),
            "f_score": f1_score(*integers, average="weighted", zero_division=0),
            "f_score_authors": f1_score(*integers[::-1], average="weighted", zero_division=0),
            "accuracy_7": float((clipped[0] == clipped[1]).mean()),
            "pearson_r": float(pearsonr(y, p).statistic) if varies else 0.0,
            "accuracy_5": accuracy_score(*five),
            "accuracy_2_nonnegative": accuracy_score(y >= 0, p >= 0),
            "f_score_2_nonnegative": f1_score(y >= 0, p >= 0, average="weighted", zero_division=0),
            "accuracy_2_positive": accuracy_score(*positive) if signed.any() else 0.0,
            "f_score_2_positive": f1_score(*positive, average="weighted", zero_division=0) if signed.any() else 0.0,
        },
    }


def metric_fixture(random):
    labels = random.integers(0, 5, 200).tolist()
    noisy = [label if random.random() < 0.6 else int(random.integers(0, 5)) for label in labels]
    halves = [-3.5, -2.5, -1.5, -0.5, 0.5, 1.5, 2.5, 3.5]
    truth = (random.integers(-15, 16, 150) / 5).tolist()
    return {
        "classification": [
            classification(labels, noisy, 5),
            classification([0, 0, 1, 1, 2, 2, 2], [0, 1, 1, 0, 1, 0, 1], 3),  # class 2 is never predicted
            classification([0, 0, 1, 1, 0], [0, 2, 1, 2, 2], 3),  # class 2 is absent from the truth
            classification([0, 2, 0, 2], [0, 2, 2, 2], 4),  # classes 1 and 3 are neither true nor predicted
            classification([3, 1, 2], [3, 3, 3], 4),  # one class predicted
            classification([1], [1], 3),
            classification([1], [2], 3),
        ],
        "regression": [
            regression(truth, (numpy.array(truth) + random.normal(0, 1.2, 150)).tolist()),
            regression(halves, halves[::-1]),
            regression(halves, [v + 1 for v in halves]),
            regression([0.0, -0.0, 1.0, -1.0], [-0.0, 0.0, -0.2, 0.2]),  # signs of zeros
            regression([1.2, -0.4, 2.0], [0.1, 0.1, 0.1]),  # does not vary
            regression([0.3, 0.3, 0.3], [1.0, 2.0, -1.0]),
            regression([5.0, -7.2, 3.0], [9.5, -3.0, 2.6]),  # beyond the scale
            regression([1.4], [1.6]),
            regression([1e-3, 2e-3, 3e-3], [1e6, 1e6 + 1, 1e6 + 3]),
            regression([0.0, 0.0], [0.5, -0.5]),  # no label has a sign
            regression([0.0, 0.0, 2.0, -1.0, 1.0, -2.4], [-1.0, 1.0, 0.0, 0.0, 0.5, -0.6]),  # predictions of zero
        ],
    }


def plateau_fixture(random):
    """Learning rates after each epoch."""
    falling = (1 / numpy.sqrt(numpy.arange(1, 61)) + random.normal(0, 0.02, 60)).tolist()
    flat = [1.0 - 5e-5 * epoch for epoch in range(40)]  # improves by less than the threshold each time
    rising = [1.0 + 0.1 * epoch for epoch in range(60)]
    zero = [0.0] * 10
    cases = []
    for losses in (falling, flat, rising, zero):
        for factor, patience, rate in [(0.5, 100, 0.01), (0.5, 2, 0.01), (0.1, 0, 1e-4), (0.9, 5, 1.0)]:
            parameter = nn.Parameter(torch.zeros(1))
            adam = torch.optim.Adam([parameter], lr=rate)
            scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(adam, mode="min", factor=factor, patience=patience)
            rates = []
            for loss in losses:
                scheduler.step(loss)
                rates.append(adam.param_groups[0]["lr"])
            cases.append({"factor": factor, "patience": patience, "rate": rate, "losses": losses, "rates": rates})
    return cases


def main():
    HERE.mkdir(exist_ok=True)
    torch.set_num_threads(1)
    network_fixture("bi_eflstm", BiEflstm)
    network_fixture("mfn", Mfn)
    random = numpy.random.default_rng(7)
    scalars = {"plain": PLAIN, "full": FULL, "metrics": metric_fixture(random), "plateau": plateau_fixture(random)}
    (HERE / "scalars.json").write_text(json.dumps(scalars) + "\n")


if __name__ == "__main__":
    main()
