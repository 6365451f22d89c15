//! Measures the milliseconds of a training step: forward, backward and Adam, on one thread. Measures also, before and
//! after the steps, the rate of a large matrix product in the same libtorch, and the time of the products that are
//! named by `--products ROWSxINNERxCOLUMNSxTIMES,...`, which are those of the step.
//!
//! `cargo bench -p colearn-trainer --bench step -- [--model NAME] [--members K] [--samples B] [--steps T]
//! [--columns FIRST:COUNT,...] [--products ...] [--rounds N]`; NAME is that of a sweep file, such as `utd-mhad` or
//! `mosi-mfn`, whose sizes the network has. The last line of output is the result as JSON. `benches/compare.py` runs
//! this bench and PyTorch in turns.

#[path = "common/subject.rs"]
mod subject;

use std::{
    error::Error,
    time::{Duration, Instant},
};

use colearn_trainer::{
    model::{Batch, Columns, Draws, Kernels, Objective},
    optimizer::{Adam, AdamSettings},
    random::{Purpose, Stream},
};
use nix::time::{ClockId, clock_gettime};
use subject::{CLASSES, Subject};
use tch::{Device, Kind, Tensor};

/// Rows and columns of the matrices whose product is the limit that steps are compared with.
const LARGE: i64 = 1024;
/// Number of rounds of products before the steps, and again after them.
const PRODUCTS: usize = 8;

/// Times of equal pieces of work.
#[derive(Default)]
struct Times {
    wall: Vec<f64>,
    processor: Vec<f64>,
}

impl Times {
    /// Does a piece of work, and adds its milliseconds if it is one that counts.
    fn add(&mut self, counts: bool, work: impl FnOnce()) -> Result<(), Box<dyn Error>> {
        let clock = || clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID).map(Duration::from);
        let (start, before) = (Instant::now(), clock()?);
        work();
        if counts {
            self.processor.push((clock()? - before).as_secs_f64() * 1e3);
            self.wall.push(start.elapsed().as_secs_f64() * 1e3);
        }
        Ok(())
    }
}

/// A matrix product, and the times that it is computed.
struct Product {
    left: Tensor,
    right: Tensor,
    out: Tensor,
    times: i64,
}

impl Product {
    /// `text` is `ROWSxINNERxCOLUMNSxTIMES`.
    fn new(text: &str) -> Result<Self, String> {
        let numbers: Vec<i64> = text.split('x').filter_map(|number| number.parse().ok()).collect();
        let &[rows, inner, columns, times] = &numbers[..] else {
            return Err(format!("--products {text}: it is written ROWSxINNERxCOLUMNSxTIMES"));
        };
        let matrix = |size: [i64; 2]| Tensor::ones(size, (Kind::Float, Device::Cpu));
        let [left, right, out] = [[rows, inner], [inner, columns], [rows, columns]].map(matrix);
        Ok(Self { left, right, out, times })
    }

    fn compute(&self) {
        for _ in 0..self.times {
            let _ = self.left.mm_out(&self.out, &self.right);
        }
    }
}

fn median(times: &mut [f64]) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

/// Adds the times of some products, one after the other.
fn multiply(products: &[Product], times: &mut Times) -> Result<(), Box<dyn Error>> {
    for round in 0..=PRODUCTS {
        // The first round touches the memory.
        times.add(round > 0, || products.iter().for_each(Product::compute))?;
    }
    Ok(())
}

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
    let network = option("--model", "iemocap-bi-eflstm".to_owned())?;
    let Subject { mut model, objective, features: width, columns: mut present, samples, steps } =
        Subject::of(&network, &seeds, (Kind::Float, Device::Cpu), Kernels::InMemory)
            .ok_or_else(|| format!("--model {network} is none that is measured"))?;
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
    let columns = Columns::alike(members, &present);
    let batch = Batch { features, columns, steps, samples, labels: labels.view([members, samples]) };
    let epochs = vec![1; seeds.len()];

    let large = [Product::new(&format!("{LARGE}x{LARGE}x{LARGE}x1"))?];
    let listed = option("--products", String::new())?;
    let own =
        listed.split(',').filter(|part| !part.is_empty()).map(Product::new).collect::<Result<Vec<_>, _>>()?;
    let [mut times, mut large_times, mut own_times] = [(); 3].map(|()| Times::default());
    multiply(&large, &mut large_times)?;
    multiply(&own, &mut own_times)?;
    for step in 0..rounds + 5 {
        // The first steps warm up caches and allocate memory.
        times.add(step >= 5, || {
            let loss = model.train(&batch, &Draws { seeds: &seeds, epochs: &epochs, step });
            adam.step(model.parameters(), model.gradients());
            assert!(loss.double_value(&[0]).is_finite(), "the loss is finite");
        })?;
    }
    multiply(&large, &mut large_times)?;
    multiply(&own, &mut own_times)?;
    let operations = 2.0 * (LARGE as f64).powi(3);
    let rate = operations / median(&mut large_times.processor) / 1e6;
    println!(
        "{{\"implementation\": \"colearn\", \"model\": \"{network}\", \"members\": {members}, \
         \"parameters\": {}, \"samples\": {samples}, \"steps\": {steps}, \"wall_ms\": {:.3}, \
         \"processor_ms\": {:.3}, \"gemm_gflops\": {rate:.1}, \"products_ms\": {:.3}}}",
        model.layout().total(),
        median(&mut times.wall),
        median(&mut times.processor),
        median(&mut own_times.processor)
    );
    Ok(())
}
