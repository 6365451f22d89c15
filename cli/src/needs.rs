//! What a sweep needs, and what the worker of `colearn run` offers.

use colearn_core::{
    needs::{Lack, Needs, TrainerKind},
    sweep::Sweep,
};
use colearn_proto::{convert, v1::Worker};

use crate::exit::{Exit, Failure};

/// The arguments for a worker that is to run a sweep. The number of threads is passed only if nothing else decides on
/// the slots; slots with more threads than there are `cores` would not be what the sweep asks for.
pub(crate) fn worker_arguments(needs: &Needs, slots_are_given: bool, cores: u32) -> Vec<String> {
    let mut arguments = Vec::new();
    if needs.trainer == TrainerKind::Programs {
        arguments.push("--programs-only".to_owned());
    }
    if needs.threads > 0 && !slots_are_given {
        arguments.extend(["--threads".to_owned(), needs.threads.min(cores).max(1).to_string()]);
    }
    arguments
}

/// Checks whether a slot of the only worker meets the needs of a sweep. Otherwise its tasks would wait for ever.
///
/// # Errors
/// Names what is missing, and the remedy.
pub(crate) fn check(sweep: &Sweep, worker: &Worker) -> Result<(), Failure> {
    let lacks = |slot: &colearn_proto::v1::WorkerSlot| {
        sweep.needs.missing_in(&convert::offers(slot.offers.as_ref(), &worker.labels))
    };
    let Some(least) = worker.slots.iter().map(lacks).min_by_key(Vec::len).filter(|lacks| !lacks.is_empty())
    else {
        return Ok(());
    };
    let said: Vec<String> = least.iter().map(ToString::to_string).collect();
    let mut remedies: Vec<String> =
        least.iter().filter_map(|lack| remedy(lack, &sweep.needs, worker.slots.len())).collect();
    remedies.dedup();
    let remedies = match &remedies[..] {
        [] => String::new(),
        some => format!("; to change that: {}", some.join(", ")),
    };
    let sweep = &sweep.name;
    Err(Failure::new(
        Exit::Workers,
        format!(
            "no slot of this machine can run the tasks of sweep {sweep}: a slot {}{remedies}",
            said.join(", and ")
        ),
    ))
}

fn remedy(lack: &Lack, needs: &Needs, slots: usize) -> Option<String> {
    match lack {
        Lack::Memory { needed, offered: Some(offered) } => {
            let fewer = offered.saturating_mul(slots as u64) / needed;
            (fewer > 0).then(|| format!("fewer slots (--slots {fewer})"))
        }
        Lack::Threads { needed, .. } => Some(format!("--threads {needed}")),
        Lack::Label(_) => {
            let labels: Vec<&str> = needs.labels.iter().map(String::as_str).collect();
            Some(format!("the variable COLEARN_LABELS={}", labels.join(",")))
        }
        Lack::Trainer(_) | Lack::Gpu | Lack::Memory { .. } => None,
    }
}

#[cfg(test)]
mod tests {
    use colearn_core::needs::Offers;
    use colearn_proto::v1::WorkerSlot;

    use super::*;

    fn sweep(needs: Needs) -> Sweep {
        let source =
            "name: x\nprogram: {command: [\"true\"], directory: /}\nseeds: [0]\nreport: {metrics: [m]}\n";
        Sweep { needs, ..Sweep::parse(source, "x.yaml").unwrap().sweep }
    }

    fn worker(slots: usize, offers: &Offers) -> Worker {
        let slot = WorkerSlot { offers: Some(offers.clone().into()), ..WorkerSlot::default() };
        Worker { slots: vec![slot; slots], ..Worker::default() }
    }

    #[test]
    fn what_this_machine_lacks_is_said_with_what_to_do() {
        let offers = Offers {
            trainers: [TrainerKind::Programs].into(),
            memory: Some(4_000_000_000),
            threads: Some(1),
            ..Offers::default()
        };
        let programs = || Needs { trainer: TrainerKind::Programs, ..Needs::default() };
        let said = |needs: Needs| check(&sweep(needs), &worker(4, &offers)).map_err(|f| f.to_string());
        assert_eq!(said(programs()), Ok(()));
        let large = said(Needs { memory: 7_000_000_000, ..programs() }).unwrap_err();
        assert_eq!(
            large,
            "no slot of this machine can run the tasks of sweep x: a slot has 4.0 GB of memory, not 7.0 GB; to change \
             that: fewer slots (--slots 2)"
        );
        let all = said(Needs {
            gpu: true,
            memory: 64_000_000_000,
            threads: 4,
            labels: ["big".to_owned(), "near".to_owned()].into(),
            ..programs()
        });
        let all = all.unwrap_err();
        let (lacks, remedies) = all.split_once("; to change that: ").unwrap();
        assert!(lacks.ends_with("has no GPU, and has 4.0 GB of memory, not 64.0 GB, and has 1 thread, not 4, and has no label `big`, and has no label `near`"), "{lacks}");
        assert_eq!(remedies, "--threads 4, the variable COLEARN_LABELS=big,near");
    }

    #[test]
    fn the_worker_is_started_for_what_the_sweep_needs() {
        let networks = Needs::default();
        let none: [&str; 0] = [];
        assert_eq!(worker_arguments(&networks, false, 2), none);
        let programs = Needs { trainer: TrainerKind::Programs, threads: 2, ..Needs::default() };
        assert_eq!(worker_arguments(&programs, false, 8), ["--programs-only", "--threads", "2"]);
        assert_eq!(worker_arguments(&programs, false, 1), ["--programs-only", "--threads", "1"]);
        assert_eq!(worker_arguments(&programs, true, 8), ["--programs-only"]);
    }
}
