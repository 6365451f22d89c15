//! What the hosts of workers do.

use std::sync::atomic::AtomicU64;

use prometheus_client::{
    metrics::{family::Family, gauge::Gauge},
    registry::Registry,
};

use super::{
    registry::{Gauges, Named},
    seen::WorkerLine,
};

type Ratios<const N: usize> = Family<Named<N>, Gauge<f64, AtomicU64>>;

/// Registers the series of the workers that say it: an unknown value has no series.
pub(super) fn register(into: &mut Registry, lines: &[WorkerLine]) {
    let (processors, busy) = (Ratios::<1>::default(), Ratios::<2>::default());
    let (memory, used) = (Gauges::<1>::default(), Gauges::<2>::default());
    let (gpu_busy, gpu_memory, gpu_used) =
        (Ratios::<2>::default(), Gauges::<2>::default(), Gauges::<2>::default());
    for line in lines {
        let Some(usage) = &line.usage else { continue };
        let worker = [("worker", line.id.clone())];
        let by = |by: &str| [("worker", line.id.clone()), ("by", by.to_owned())];
        let cores = |thousandths: u64| thousandths as f64 / 1000.0;
        if let Some(all) = usage.processors {
            processors.get_or_create(&worker).set(cores(all));
        }
        for (who, busy_with, bytes) in
            [("all", usage.busy, usage.used_bytes), ("worker", usage.own_busy, usage.own_bytes)]
        {
            if let Some(busy_with) = busy_with {
                busy.get_or_create(&by(who)).set(cores(busy_with));
            }
            if let Some(bytes) = bytes {
                used.get_or_create(&by(who)).set(bytes);
            }
        }
        if let Some(bytes) = usage.memory_bytes {
            memory.get_or_create(&worker).set(bytes);
        }
        for gpu in &usage.gpus {
            let labels = [("worker", line.id.clone()), ("gpu", gpu.uuid.clone())];
            if let Some(percent) = gpu.busy_percent {
                gpu_busy.get_or_create(&labels).set(f64::from(percent) / 100.0);
            }
            if let Some(bytes) = gpu.memory_bytes {
                gpu_memory.get_or_create(&labels).set(bytes);
            }
            if let Some(bytes) = gpu.used_bytes {
                gpu_used.get_or_create(&labels).set(bytes);
            }
        }
    }
    into.register("colearn_worker_processors", "Processors that a worker may use", processors);
    into.register(
        "colearn_worker_processors_busy",
        "How many of them are busy, with all and with the worker",
        busy,
    );
    into.register("colearn_worker_memory_bytes", "Memory that a worker may use", memory);
    into.register(
        "colearn_worker_memory_used_bytes",
        "How much of it is used, by all and by the worker",
        used,
    );
    into.register(
        "colearn_worker_gpu_busy_ratio",
        "Share of the time in which a GPU of a worker computed",
        gpu_busy,
    );
    into.register("colearn_worker_gpu_memory_bytes", "Memory of a GPU of a worker", gpu_memory);
    into.register("colearn_worker_gpu_memory_used_bytes", "How much of it is used", gpu_used);
}
