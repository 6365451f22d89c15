//! Measures the milliseconds of a training step: forward, backward and Adam, on one thread.
//!
//! `cargo bench -p colearn-trainer --bench step -- [--model bi-eflstm|mfn] [--members K] [--samples B] [--steps T]
//! [--columns FIRST:COUNT,...] [--rounds N]`; the last line of output is the result as JSON. The sizes are those of
//! the paper's experiments. `benches/compare.py` runs this bench and PyTorch in turns.

#[path = "common/subject.rs"]
mod subject;

use std::{error::Error, time::Instant};

use colearn_trainer::{
    model::{Batch, Draws, Kernels, Objective},
    optimizer::{Adam, AdamSettings},
    random::{Purpose, Stream},
};
use subject::{CLASSES, Subject};
use tch::{Device, Kind, Tensor};

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
    let (members, rounds) = (option("--members", 1_i64)?, option("--rounds", 40_u32)?);
    let seeds: Vec<u64> = (0..members as u64).collect();
    let network = option("--model", "bi-eflstm".to_owned())?;
    let Subject { mut model, objective, features: width, columns: mut present, samples, steps } =
        Subject::of(&network, &seeds, (Kind::Float, Device::Cpu), Kernels::InPlace)
            .ok_or_else(|| format!("--model {network} is not bi-eflstm or mfn"))?;
    let (samples, steps) = (option("--samples", samples)?, option("--steps", steps)?);
    let columns = option("--columns", String::new())?;
    if !columns.is_empty() {
        present.clear();
    }
    for part in columns.split(',').filter(|part| !part.is_empty()) {
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
        // The first steps warm up caches and allocate memory.
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
