"""The networks that are measured: the sizes of shipped sweeps, and the matrix products of a training step.

benches/common/subject.rs has the same sizes for colearn. Needs no PyTorch.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

# Number of classes of the labels that measurements are made with. No classification has fewer.
CLASSES = 6


class Product(NamedTuple):
    """A product of a [rows, inner] and an [inner, columns] matrix."""

    rows: int
    inner: int
    columns: int

    @property
    def operations(self) -> int:
        """Its multiplications and additions."""
        return 2 * self.rows * self.inner * self.columns


# How often a training step needs each product.
Products = Counter[Product]


def linear(rows: int, inputs: int, outputs: int, input_gradient: bool = True) -> Iterator[Product]:
    """Those of a linear layer: forward, and the gradients of the weights and, if something needs it, of the input."""
    yield Product(rows, inputs, outputs)
    yield Product(outputs, rows, inputs)
    if input_gradient:
        yield Product(rows, outputs, inputs)


def recurrent(steps: int, samples: int, state: int, outputs: int) -> Iterator[Product]:
    """Those of a layer that multiplies the state of the step before, which the first step does not have. Forward and
    backward go step by step; the gradient of the weights is one product."""
    for _ in range(steps - 1):
        yield Product(samples, state, outputs)
        yield Product(samples, outputs, state)
    yield Product(outputs, (steps - 1) * samples, state)


def operations(products: Products) -> int:
    """The multiplications and additions of all."""
    return sum(product.operations * times for product, times in products.items())


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

    def products(self, present: int | None = None) -> Products:
        """The matrix products of a training step.

        `present` is the number of modalities that are not zero in the batch, all by default. Counted is what the
        equations need. Therefore the input of the lowest layer gets no gradient, the first time step has no earlier
        state to multiply, and the backward direction of the last layer is only computed for the one time step that is
        read.
        """
        rows, gates = self.steps * self.samples, 4 * self.hidden
        width, found = features(self, present), Products()
        for layer in range(self.layers):
            whole = [*linear(rows, width, gates, layer > 0), *recurrent(self.steps, self.samples, self.hidden, gates)]
            found.update(whole)
            found.update(linear(self.samples, width, gates, layer > 0) if layer == self.layers - 1 else whole)
            width = 2 * self.hidden
        found.update(linear(self.samples, width, self.hidden))
        found.update(linear(self.samples, self.hidden, self.outputs))
        return found


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

    def products(self, present: int | None = None) -> Products:
        """See `BiEflstmSubject.products`. Absent modalities still have a state, which comes from their biases."""
        rows, found = self.steps * self.samples, Products()
        for number, modality in enumerate(self.modalities):
            gates = 4 * modality.hidden
            if present is None or number < present:
                found.update(linear(rows, modality.features, gates, input_gradient=False))
            found.update(recurrent(self.steps, self.samples, modality.hidden, gates))
        hidden = sum(modality.hidden for modality in self.modalities)
        attended = 2 * hidden
        for width, outputs in ((self.nn1, attended), (self.nn2, self.memory)):
            found.update([*linear(rows, attended, width), *linear(rows, width, outputs)])
        for width in (self.gamma1, self.gamma2):
            # The attended states do not depend on the memory, and are multiplied for all time steps at once.
            found.update(linear(rows, attended, width))
            found.update(recurrent(self.steps, self.samples, self.memory, width))
            found.update(self.steps * [Product(self.samples, width, self.memory)])
            found.update(self.steps * [Product(self.samples, self.memory, width)])
            found[Product(self.memory, rows, width)] += 1
        found.update(linear(self.samples, hidden + self.memory, self.out))
        found.update(linear(self.samples, self.out, self.outputs))
        return found


Subject = BiEflstmSubject | MfnSubject


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
