"""The networks that are measured: the sizes of shipped sweeps, and the matrix products of a training step.

benches/common/subject.rs has the same sizes for colearn. Needs no PyTorch.
"""

from dataclasses import dataclass

# Number of classes of the labels that measurements are made with. No classification has fewer.
CLASSES = 6


@dataclass(frozen=True)
class Modality:
    """The first one of a subject is the primary modality."""

    features: int
    # Of an MFN: the units of the modality's own LSTM.
    hidden: int = 0


@dataclass(frozen=True)
class BiEflstmSubject:
    """Bidirectional layers on all modalities together, whose last time step goes through a head."""

    modalities: tuple[Modality, ...]
    outputs: int
    samples: int
    steps: int
    hidden: int = 128
    layers: int = 2
    dropout: float = 0.5

    def products(self, present: int | None = None) -> int:
        """The multiplications and additions of a training step's matrix products.

        `present` is the number of modalities that are not zero in the batch, all by default. Counted is what the
        equations need: forward, the gradients of weights and those of inputs that have one. Therefore the input of
        the lowest layer gets no gradient, the first time step has no earlier state to multiply, and the backward
        direction of the last layer is only computed for the one time step that is read.
        """
        rows, gates = self.steps * self.samples, 4 * self.hidden
        width = sum(modality.features for modality in self.modalities[:present])
        state = 3 * product(rows - self.samples, self.hidden, gates)
        total = 0
        for layer in range(self.layers):
            # Forward and the gradient of the weights; above the lowest layer also that of the input.
            times, last = (2 if layer == 0 else 3), layer == self.layers - 1
            whole = times * product(rows, width, gates) + state
            total += whole + (times * product(self.samples, width, gates) if last else whole)
            width = 2 * self.hidden
        head = product(self.samples, width, self.hidden) + product(self.samples, self.hidden, self.outputs)
        return total + 3 * head


@dataclass(frozen=True)
class MfnSubject:
    """An LSTM for each modality; attention and a gated memory fuse their cell states."""

    modalities: tuple[Modality, ...]
    outputs: int
    samples: int
    steps: int
    memory: int
    nn1: int
    nn2: int
    gamma1: int
    gamma2: int
    out: int
    nn2_dropout: float = 0.2
    gamma2_dropout: float = 0.2
    out_dropout: float = 0.5

    def products(self, present: int | None = None) -> int:
        """See `BiEflstmSubject.products`. Absent modalities still have a state, which comes from their biases."""
        rows = self.steps * self.samples
        later, total = rows - self.samples, 0
        for number, modality in enumerate(self.modalities):
            gates = 4 * modality.hidden
            if present is None or number < present:
                total += 2 * product(rows, modality.features, gates)
            total += 3 * product(later, modality.hidden, gates)
        hidden = sum(modality.hidden for modality in self.modalities)
        attended = 2 * hidden
        inner = product(rows, attended, self.nn1) + product(rows, self.nn1, attended)
        inner += product(rows, attended, self.nn2) + product(rows, self.nn2, self.memory)
        for width in (self.gamma1, self.gamma2):
            inner += product(rows, attended, width) + product(later, self.memory, width)
            inner += product(rows, width, self.memory)
        inner += product(self.samples, hidden + self.memory, self.out) + product(self.samples, self.out, self.outputs)
        return total + 3 * inner


Subject = BiEflstmSubject | MfnSubject


def product(rows: int, inner: int, columns: int) -> int:
    """The operations of a product of a [rows, inner] and an [inner, columns] matrix."""
    return 2 * rows * inner * columns


# By the name of the sweep file. All time steps, batches and widths are those of the sweep.
SUBJECTS: dict[str, Subject] = {
    "demo": BiEflstmSubject(
        (Modality(24), Modality(8), Modality(12)), outputs=6, samples=32, steps=8, hidden=32, layers=1, dropout=0.3
    ),
    "utd-mhad": BiEflstmSubject((Modality(6), Modality(60)), outputs=27, samples=15, steps=30),
    "iemocap-bi-eflstm": BiEflstmSubject(
        (Modality(300), Modality(80), Modality(310)), outputs=9, samples=30, steps=30
    ),
    "mosi-mfn": MfnSubject(
        (Modality(300, 128), Modality(5, 32), Modality(20, 32)),
        outputs=1,
        samples=128,
        steps=20,
        memory=128,
        nn1=128,
        nn2=64,
        gamma1=256,
        gamma2=64,
        out=64,
    ),
    "utd-mhad-mfn": MfnSubject(
        (Modality(3, 32), Modality(3, 32), Modality(60, 64)),
        outputs=27,
        samples=32,
        steps=30,
        memory=64,
        nn1=64,
        nn2=64,
        gamma1=64,
        gamma2=64,
        out=64,
    ),
}
# The names of the networks at the sizes of the paper's experiments.
SUBJECTS |= {"bi-eflstm": SUBJECTS["iemocap-bi-eflstm"], "mfn": SUBJECTS["mosi-mfn"]}


def features(subject: Subject, present: int | None = None) -> int:
    """The number of columns of the first modalities, all by default."""
    return sum(modality.features for modality in subject.modalities[:present])
