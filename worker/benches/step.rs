//! Milliseconds a training step takes: forward, backward and Adam, on one thread.
//!
//! `cargo bench -p colearn-worker --bench step -- [--members K] [--samples B] [--steps T] [--hidden H]
//! [--layers L] [--columns FIRST:COUNT] [--dropout P] [--rounds N]`; the last line is the result as JSON.
//! `benches/compare.py` runs it in turns with PyTorch.

use std::{error::Error, time::Instant};

use colearn_worker::{
    model::{Batch, BiEflstm, BiEflstmShape, Draws, Model, Objective},
    optimizer::{Adam, AdamSettings},
    random::{Purpose, Stream},
};
use tch::{Device, Kind, Tensor};

/// Language, audio and video of IEMOCAP.
const FEATURES: i64 = 300 + 80 + 310;
const CLASSES: i64 = 9;

fn option<T: std::str::FromStr>(name: &str, default: T) -> Result<T, String> {
    let mut arguments = std::env::args().skip_while(|argument| argument != name);
    match (arguments.next(), arguments.next()) {
        (Some(_), Some(value)) => value.parse().map_err(|_| format!("{name} {value} is not understood")),
        (Some(_), None) => Err(format!("{name} needs a value")),
        _ => Ok(default),
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    tch::set_num_threads(1);
    tch::set_num_interop_threads(1);
    let (members, samples, steps) =
        (option("--members", 1_i64)?, option("--samples", 15)?, option("--steps", 30)?);
    let (hidden, layers) = (option("--hidden", 128)?, option("--layers", 2)?);
    let (dropout, rounds) = (option("--dropout", 0.5)?, option("--rounds", 40_u32)?);
    let columns: String = option("--columns", format!("0:{FEATURES}"))?;
    let (first, count) = columns.split_once(':').ok_or("--columns is written FIRST:COUNT")?;
    let columns = vec![(first.parse()?, count.parse()?)];

    let shape = BiEflstmShape {
        features: FEATURES,
        hidden,
        layers,
        outputs: CLASSES,
        objective: Objective::CrossEntropy,
    };
    let seeds: Vec<u64> = (0..members as u64).collect();
    let options = (Kind::Float, Device::Cpu);
    let mut model = BiEflstm::new(shape, &seeds, &vec![dropout; seeds.len()], options);
    let mut adam = Adam::new(
        model.parameters(),
        &vec![AdamSettings { learning_rate: 1e-4, ..AdamSettings::default() }; seeds.len()],
    );
    let mut values = vec![0.0; (members * steps * samples * FEATURES) as usize];
    Stream::new(0, Purpose::Shuffle, 0, 0).fill_uniform(1.7, &mut values);
    let features = Tensor::from_slice(&values).view([members, steps * samples, FEATURES]);
    let labels = Tensor::arange(members * samples, (Kind::Int64, Device::Cpu)).remainder(CLASSES);
    let batch = Batch { features, columns, steps, samples, labels: labels.view([members, samples]) };

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
