//! The rows of the settings table.

use super::field::{Bound, Field, Kind, MAX_INTEGER, Preset};

/// The kinds of models, as in `model.kind`.
pub const MODEL_KINDS: &[&str] = &["bi-eflstm", "mfn"];

const LSTM: &[&str] = &["bi-eflstm"];
const MFN: &[&str] = &["mfn"];

const PROBABILITY: Kind = Kind::Number { min: Bound::Including(0.0), max: Bound::Including(1.0) };
/// For dropout that scales up the kept values: at 1 no value is kept.
const DROPOUT: Kind = Kind::Number { min: Bound::Including(0.0), max: Bound::Excluding(1.0) };
const DECAY: Kind = Kind::Number { min: Bound::Including(0.0), max: Bound::Excluding(1.0) };
const NOT_NEGATIVE: Kind = Kind::Number { min: Bound::Including(0.0), max: Bound::None };
const WIDTH: Kind = Kind::Integer { min: 1, max: 65_536 };

const fn integer(value: u64) -> Option<Preset> {
    Some(Preset::Integer(value))
}

const fn number(value: f64) -> Option<Preset> {
    Some(Preset::Number(value))
}

const fn word(value: &'static str) -> Option<Preset> {
    Some(Preset::Word(value))
}

const fn row(path: &'static str, kind: Kind, default: Option<Preset>, doc: &'static str) -> Field {
    Field { path, kind, default, doc, unit: "", shared_in_cohort: false, models: &[] }
}

impl Field {
    /// Marks a field that must have the same value in all members of a cohort.
    const fn shared(self) -> Self {
        Self { shared_in_cohort: true, ..self }
    }

    /// Says what the number counts or measures.
    const fn counts(self, unit: &'static str) -> Self {
        Self { unit, ..self }
    }

    /// Marks a field that only these kinds of models have.
    const fn of(self, models: &'static [&'static str]) -> Self {
        Self { models, ..self }
    }
}

/// All fields, in the order of the printed reference.
pub const FIELDS: &[Field] = &[
    row(
        "dataset",
        Kind::Text,
        None,
        "name of a data set in the data folder, or a path to a .safetensors file",
    )
    .shared(),
    row("primary", Kind::Modality, None, "the modality that is present at validation and test time").shared(),
    row("unimodal", Kind::Bool, Some(Preset::Bool(false)), "train on the primary modality alone"),
    row(
        "evaluate",
        Kind::Subsets,
        Some(Preset::Empty),
        "further subsets of modalities to test with, besides the primary modality alone",
    )
    .shared(),
    row("model.kind", Kind::Word(MODEL_KINDS), word("bi-eflstm"), "the network").shared(),
    row("model.hidden", WIDTH, integer(128), "hidden units per direction and layer, and width of the head")
        .counts("units")
        .shared()
        .of(LSTM),
    row(
        "model.layers",
        Kind::Integer { min: 1, max: 64 },
        integer(2),
        "number of stacked bidirectional layers",
    )
    .counts("layers")
    .shared()
    .of(LSTM),
    row("model.dropout", DROPOUT, number(0.5), "dropout between the layers and in the head")
        .counts("probability")
        .of(LSTM),
    row("model.hidden.<modality>", WIDTH, integer(32), "hidden units of a modality's LSTM")
        .counts("units")
        .shared()
        .of(MFN),
    row("model.memory", WIDTH, integer(128), "width of the memory").counts("units").shared().of(MFN),
    row("model.nn1", WIDTH, integer(128), "width of the network that attends to the cell states")
        .counts("units")
        .shared()
        .of(MFN),
    row("model.nn1_dropout", DROPOUT, number(0.0), "dropout in this network").counts("probability").of(MFN),
    row("model.nn2", WIDTH, integer(64), "width of the network that proposes the memory")
        .counts("units")
        .shared()
        .of(MFN),
    row("model.nn2_dropout", DROPOUT, number(0.2), "dropout in this network").counts("probability").of(MFN),
    row("model.gamma1", WIDTH, integer(256), "width of the gate that retains the memory")
        .counts("units")
        .shared()
        .of(MFN),
    row("model.gamma1_dropout", DROPOUT, number(0.0), "dropout in this gate").counts("probability").of(MFN),
    row("model.gamma2", WIDTH, integer(64), "width of the gate that updates the memory")
        .counts("units")
        .shared()
        .of(MFN),
    row("model.gamma2_dropout", DROPOUT, number(0.2), "dropout in this gate").counts("probability").of(MFN),
    row("model.out", WIDTH, integer(64), "width of the head").counts("units").shared().of(MFN),
    row("model.out_dropout", DROPOUT, number(0.5), "dropout in the head").counts("probability").of(MFN),
    row(
        // A longer history would exceed the size of messages.
        "training.epochs",
        Kind::Integer { min: 1, max: 30_000 },
        integer(40),
        "passes over the training split",
    )
    .counts("epochs")
    .shared(),
    row(
        "training.batch_size",
        // Batch normalisation has no variance in a batch of one sample.
        Kind::Integer { min: 2, max: MAX_INTEGER },
        integer(15),
        "samples per optimizer step",
    )
    .counts("samples")
    .shared(),
    row(
        "training.learning_rate",
        Kind::Number { min: Bound::Excluding(0.0), max: Bound::None },
        number(0.001),
        "Adam's step size",
    )
    .counts("weight per normalised gradient"),
    row("training.beta1", DECAY, number(0.9), "decay of Adam's mean of the gradient")
        .counts("decay per step"),
    row("training.beta2", DECAY, number(0.999), "decay of Adam's mean of the squared gradient")
        .counts("decay per step"),
    row("training.weight_decay", NOT_NEGATIVE, number(0.0), "L2 penalty, added to the gradient as Adam does")
        .counts("gradient per weight"),
    row(
        "training.gradient_clip",
        NOT_NEGATIVE,
        number(0.0),
        "largest L2 norm of the gradient, which is scaled down to it; 0 for no limit",
    )
    .counts("norm of the gradient"),
    row(
        "training.schedule",
        Kind::Word(&["constant", "plateau"]),
        word("constant"),
        "the learning rate: constant, or reduced when the validation loss stops falling",
    ),
    row(
        "training.plateau_factor",
        Kind::Number { min: Bound::Excluding(0.0), max: Bound::Excluding(1.0) },
        number(0.1),
        "factor for the learning rate at a plateau",
    )
    .counts("factor"),
    row(
        "training.plateau_patience",
        Kind::Integer { min: 0, max: MAX_INTEGER },
        integer(10),
        "number of epochs without a lower validation loss that do not count as a plateau yet",
    )
    .counts("epochs"),
    row(
        "training.patience",
        Kind::Integer { min: 0, max: MAX_INTEGER },
        integer(0),
        "stop after this number of epochs without a lower validation loss; 0 for never",
    )
    .counts("epochs"),
    row(
        "training.keep",
        Kind::Word(&["best", "last"]),
        word("best"),
        "the tested weights: of the epoch with the lowest validation loss, or of the last epoch",
    ),
    row(
        "training.keep_by",
        Kind::Modalities,
        Some(Preset::Empty),
        "the modalities in the validation whose loss decides about the best epoch, patience and plateau; empty for the primary modality alone",
    ),
    row(
        "training.shuffle",
        Kind::Word(&["once", "every_epoch"]),
        word("every_epoch"),
        "when the training split is shuffled",
    ),
    row(
        "training.drop_last",
        Kind::Bool,
        Some(Preset::Bool(true)),
        "leave out the last batch of an epoch if it is not full",
    )
    .shared(),
    row(
        "training.modality_draw",
        Kind::Word(&["shared", "independent", "exclusive"]),
        word("independent"),
        "one draw for all modalities, one for each, or one that drops at most one of them",
    ),
    row(
        "training.modality_granularity",
        Kind::Word(&["batch", "sample", "step", "batch_step"]),
        word("batch"),
        "the unit of a draw: the whole batch, each sample, each time step of each sample, or each time step of the batch",
    ),
    row(
        "training.modality_part",
        Kind::Word(&["all", "features", "steps"]),
        word("all"),
        "the part that a drop takes: all of the modality, or some of its features or time steps",
    ),
    row(
        "training.modality_fraction",
        PROBABILITY,
        number(0.5),
        "share of the features or time steps that a partial drop takes",
    )
    .counts("share"),
    row(
        "training.modality_replacement",
        Kind::Word(&["zero", "mean", "noise"]),
        word("zero"),
        "what dropped values become: zero, the feature's mean, or noise with its mean and deviation (tested with the mean)",
    ),
    row(
        "training.modality_rescale",
        Kind::Bool,
        Some(Preset::Bool(false)),
        "divide the kept values by the share that dropout keeps on average",
    ),
    row(
        "training.modality_anneal_epochs",
        Kind::Integer { min: 0, max: MAX_INTEGER },
        integer(0),
        "epochs over which the levels of modality dropout change linearly; 0 for constant levels",
    )
    .counts("epochs"),
    row(
        "training.modality_anneal_start",
        PROBABILITY,
        number(0.0),
        "factor of the levels in the first epoch, if they are annealed",
    )
    .counts("factor"),
    row("training.modality_anneal_end", PROBABILITY, number(1.0), "factor of the levels after the annealing")
        .counts("factor"),
    row(
        "modality_dropout.<modality>",
        PROBABILITY,
        number(0.0),
        "probability with which a modality is dropped in training",
    )
    .counts("probability"),
];
