//! Milliseconds a training step takes: forward, backward and Adam, on one thread.
//!
//! `cargo bench -p colearn-trainer --bench step -- [--model bi-eflstm|mfn] [--members K] [--samples B] [--steps T]
//! [--columns FIRST:COUNT,...] [--rounds N]`; the last line is the result as JSON. The sizes are those of the paper's
//! experiments. `benches/compare.py` runs it in turns with PyTorch.

use std::{error::Error, time::Instant};

use colearn_trainer::{
    model::{
        Batch, BiEflstm, BiEflstmShape, Draws, Mfn, MfnDropout, MfnModality, MfnShape, Model, Objective,
    },
    optimizer::{Adam, AdamSettings},
    random::{Purpose, Stream},
};
use tch::{Device, Kind, Tensor};

const CLASSES: i64 = 9;
const OPTIONS: (Kind, Device) = (Kind::Float, Device::Cpu);

fn option<T: std::str::FromStr>(name: &str, default: T) -> Result<T, String> {
    let mut arguments = std::env::args().skip_while(|argument| argument != name);
    match (arguments.next(), arguments.next()) {
        (Some(_), Some(value)) => value.parse().map_err(|_| format!("{name} {value} is not understood")),
        (Some(_), None) => Err(format!("{name} needs a value")),
        _ => Ok(default),
    }
}

/// What is measured, with the usual batch.
struct Subject {
    model: Box<dyn Model>,
    objective: Objective,
    features: i64,
    columns: &'static str,
    samples: i64,
    steps: i64,
}

/// On IEMOCAP.
fn bi_eflstm(seeds: &[u64]) -> Subject {
    let (features, objective) = (300 + 80 + 310, Objective::CrossEntropy);
    let shape = BiEflstmShape { features, hidden: 128, layers: 2, outputs: CLASSES, objective };
    let model = Box::new(BiEflstm::new(shape, seeds, &vec![0.5; seeds.len()], OPTIONS));
    Subject { model, objective, features, columns: "0:300,300:80,380:310", samples: 15, steps: 30 }
}

/// On MOSI.
fn mfn(seeds: &[u64]) -> Subject {
    let modality = |name: &str, first, dim, hidden| MfnModality { name: name.into(), first, dim, hidden };
    let objective = Objective::L1;
    let shape = MfnShape {
        modalities: vec![
            modality("language", 0, 300, 128),
            modality("audio", 300, 5, 32),
            modality("video", 305, 20, 32),
        ],
        memory: 128,
        nn1: 128,
        nn2: 64,
        gamma1: 256,
        gamma2: 64,
        out: 64,
        outputs: 1,
        objective,
    };
    let dropout = MfnDropout { nn1: 0.0, nn2: 0.2, gamma1: 0.0, gamma2: 0.2, out: 0.5 };
    let model = Box::new(Mfn::new(shape, seeds, &vec![dropout; seeds.len()], OPTIONS));
    Subject { model, objective, features: 325, columns: "0:300,300:5,305:20", samples: 128, steps: 20 }
}

fn main() -> Result<(), Box<dyn Error>> {
    tch::set_num_threads(1);
    tch::set_num_interop_threads(1);
    let (members, rounds) = (option("--members", 1_i64)?, option("--rounds", 40_u32)?);
    let seeds: Vec<u64> = (0..members as u64).collect();
    let Subject { mut model, objective, features: width, columns, samples, steps } =
        match option("--model", "bi-eflstm".to_owned())?.as_str() {
            "bi-eflstm" => bi_eflstm(&seeds),
            "mfn" => mfn(&seeds),
            other => return Err(format!("--model {other} is not bi-eflstm or mfn").into()),
        };
    let (samples, steps) = (option("--samples", samples)?, option("--steps", steps)?);
    // By modality, as the training loop gives them.
    let columns: String = option("--columns", columns.to_owned())?;
    let mut present = Vec::new();
    for part in columns.split(',') {
        let (first, count) = part.split_once(':').ok_or("--columns is written FIRST:COUNT,...")?;
        present.push((first.parse()?, count.parse()?));
    }

    let settings = AdamSettings { learning_rate: 1e-4, ..AdamSettings::default() };
    let mut adam = Adam::new(model.parameters(), &vec![settings; seeds.len()]);
    let mut values = vec![0.0; (members * steps * samples * width) as usize];
    Stream::new(0, Purpose::Shuffle, 0, 0).fill_uniform(1.7, &mut values);
    let features = Tensor::from_slice(&values).view([members, steps * samples, width]);
    let classes = Tensor::arange(members * samples, (Kind::Int64, Device::Cpu)).remainder(CLASSES);
    let labels = match objective {
        Objective::CrossEntropy => classes,
        Objective::L1 => classes.to_kind(Kind::Float) - 4.0,
    };
    let batch = Batch { features, columns: present, steps, samples, labels: labels.view([members, samples]) };
    let epochs = vec![1; seeds.len()];

    let mut times = Vec::new();
    for step in 0..rounds + 5 {
        let start = Instant::now();
        let loss = model.train(&batch, &Draws { seeds: &seeds, epochs: &epochs, step });
        adam.step(model.parameters(), model.gradients());
        assert!(loss.double_value(&[0]).is_finite(), "the loss is finite");
        // The first few warm up caches and allocate.
        if step >= 5 {
            times.push(start.elapsed().as_secs_f64() * 1e3);
        }
    }
    times.sort_by(f64::total_cmp);
    let (median, least) = (times[times.len() / 2], times[0]);
    println!(
        "{{\"implementation\": \"colearn\", \"members\": {members}, \"median_ms\": {median:.3}, \"least_ms\": {least:.3}}}"
    );
    Ok(())
}
