//! What the hosts of workers do, for people.

use colearn_core::text::{bytes, one_line};
use colearn_proto::v1::{GpuUsage, Usage, Worker};

use crate::layout::{Column, Role, fitted};

/// What is said where nothing is known.
const UNKNOWN: &str = "unknown";

/// One line per worker; `None` if there is none. What is not known is never shown as 0.
pub(crate) fn table(workers: &[Worker], width: usize) -> Option<String> {
    if workers.is_empty() {
        return None;
    }
    let headings = ["worker", "processors busy", "by itself", "memory used", "by itself", "GPUs"]
        .into_iter()
        .enumerate();
    let rows: Vec<[String; 6]> = workers.iter().map(row).collect();
    let columns = headings.map(|(at, heading)| {
        let role = match at {
            0 => Role::Key,
            5 => Role::Moves,
            _ => Role::First,
        };
        Column::words(heading, role, rows.iter().map(|row| row[at].clone()).collect())
    });
    Some(fitted(&columns.collect::<Vec<_>>(), &[], width))
}

fn row(worker: &Worker) -> [String; 6] {
    let unknown = || UNKNOWN.to_owned();
    let Some(usage) = &worker.usage else {
        return [
            worker.worker.clone(),
            unknown(),
            String::new(),
            String::new(),
            String::new(),
            String::new(),
        ];
    };
    let gpus = usage.gpus.iter().map(gpu).collect::<Vec<_>>().join("; ");
    [
        worker.worker.clone(),
        processors(usage),
        usage.own_busy.map_or_else(String::new, cores),
        of(usage.used_bytes.map(bytes), usage.memory_bytes.map(bytes)),
        usage.own_bytes.map_or_else(String::new, bytes),
        gpus,
    ]
}

fn processors(usage: &Usage) -> String {
    of(usage.busy.map(cores), usage.processors.map(cores))
}

/// `3 of 4`, with what is known.
fn of(part: Option<String>, whole: Option<String>) -> String {
    match (part, whole) {
        (Some(part), Some(whole)) => format!("{part} of {whole}"),
        (Some(part), None) => part,
        (None, Some(whole)) => format!("{UNKNOWN} of {whole}"),
        (None, None) => UNKNOWN.to_owned(),
    }
}

/// Thousandths of processors with one digit, as whole ones if they are.
fn cores(thousandths: u64) -> String {
    if thousandths.is_multiple_of(1000) {
        (thousandths / 1000).to_string()
    } else {
        format!("{:.1}", thousandths as f64 / 1000.0)
    }
}

/// `NVIDIA H100: 42 %, 3.0 GB of 80.0 GB`.
fn gpu(gpu: &GpuUsage) -> String {
    let name = [&gpu.name, &gpu.uuid].into_iter().find(|name| !name.is_empty()).map_or("GPU", String::as_str);
    let busy = gpu.busy_percent.map_or_else(|| UNKNOWN.to_owned(), |percent| format!("{percent} %"));
    format!("{}: {busy}, {}", one_line(name), of(gpu.used_bytes.map(bytes), gpu.memory_bytes.map(bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_unknown_is_never_zero() {
        let known = Usage {
            processors: Some(4000),
            busy: Some(1250),
            own_busy: Some(0),
            memory_bytes: Some(8_000_000_000),
            used_bytes: Some(3_100_000_000),
            own_bytes: Some(400_000_000),
            gpus: vec![GpuUsage {
                name: "NVIDIA L4".into(),
                busy_percent: Some(42),
                memory_bytes: Some(24_000_000_000),
                used_bytes: Some(3_000_000_000),
                ..GpuUsage::default()
            }],
            ..Usage::default()
        };
        let half = Usage { processors: Some(2500), gpus: vec![GpuUsage::default()], ..Usage::default() };
        let worker = |id: &str, usage| Worker { worker: id.into(), usage, ..Worker::default() };
        let workers = [worker("gpu01-ab", Some(known)), worker("old-cd", None), worker("odd-ef", Some(half))];
        assert_eq!(
            table(&workers, 160).unwrap(),
            "\
worker    processors busy  by itself  memory used       by itself  GPUs
─────────────────────────────────────────────────────────────────────────────────────────────────────
gpu01-ab  1.2 of 4         0          3.1 GB of 8.0 GB  400.0 MB   NVIDIA L4: 42 %, 3.0 GB of 24.0 GB
old-cd    unknown
odd-ef    unknown of 2.5              unknown                      GPU: unknown, unknown"
        );
        let narrow = table(&workers, 80).unwrap();
        assert!(narrow.lines().all(|line| line.chars().count() <= 80), "{narrow}");
        assert!(narrow.contains("NVIDIA L4: 42 %"), "{narrow}");
        assert_eq!(table(&[], 80), None);
    }
}
