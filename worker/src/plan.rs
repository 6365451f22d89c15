//! Divides a host into slots.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
};

use colearn_core::{
    needs::{Offers, TrainerKind},
    text::{bytes, counted, counted_len},
};
use colearn_proto::worker::SlotOffer;
use colearn_trainer_protocol::environment::DEVICE_MODEL;

use super::{gpu::Gpu, launcher::TrainerOptions};

/// The kind of device to train on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Device {
    /// GPUs if there are any, otherwise the cores.
    Auto,
    /// The cores of the CPU.
    Cpu,
    /// The GPUs.
    Cuda,
}

/// The requested options; missing ones are derived from the host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// The kind of device to train on.
    pub device: Device,
    /// Number of slots.
    pub slots: Option<u32>,
    /// Maximum number of slots per GPU; ignored on cores.
    pub slots_per_gpu: Option<u32>,
    /// Intra-op threads of each slot's trainer.
    pub threads: Option<u32>,
    /// Maximum number of tasks in one cohort.
    pub max_cohort: Option<u32>,
    /// Memory of each slot, in bytes.
    pub memory: Option<u64>,
    /// Labels of the worker.
    pub labels: BTreeSet<String>,
    /// The kinds of trainers to run; at least one.
    pub trainers: BTreeSet<TrainerKind>,
}

/// What there is to divide, besides GPUs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Host {
    /// Number of cores.
    pub cores: u32,
    /// Memory in bytes, if it is known.
    pub memory: Option<u64>,
}

/// A planned slot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PlannedSlot {
    /// The slot's description for the coordinator.
    pub offer: SlotOffer,
    /// Options for starting its trainer.
    pub trainer: TrainerOptions,
}

/// The reason why there is no such plan.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// A count is zero.
    #[error("{0} must be at least 1")]
    Zero(&'static str),
    /// GPUs were requested and there is none.
    #[error(
        "--device cuda was requested, but no GPU is visible: check nvidia-smi and CUDA_VISIBLE_DEVICES, or use --device cpu"
    )]
    NoGpu,
    /// More slots were requested than the GPUs have.
    #[error(
        "--slots {slots} was asked for, but there are only {} on {} to use: to train more tasks at once on one GPU raise --max-cohort, or let several trainers share it with --slots-per-gpu",
        counted_len(gpus.saturating_mul(*per_gpu as usize), "slot"), counted_len(*gpus, "visible GPU")
    )]
    TooFewGpus {
        /// Requested slots.
        slots: u32,
        /// Number of GPUs.
        gpus: usize,
        /// Slots per GPU.
        per_gpu: u32,
    },
}

/// The folders of data sets and checkpoints.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Locations {
    /// Folder of the data sets.
    pub data_dir: PathBuf,
    /// Whether data sets outside it may be opened.
    pub allow_data_outside: bool,
    /// Location of checkpoints.
    pub checkpoints: String,
}

/// Default of the maximum number of tasks in one cohort on a GPU.
const GPU_COHORT: u32 = 16;

/// The slots of a host with these `gpus`, and warnings for the operator.
///
/// On cores there is one slot per `threads` cores (default 1): small models gain more from more tasks than from more
/// threads. If only `slots` is given, the slots share the cores. On GPUs there is one slot per GPU, or
/// `slots_per_gpu`; each GPU gets a first slot before any gets a second. Each trainer sees only its own GPU, as
/// `cuda:0`. The slots share the memory evenly.
///
/// # Errors
/// If a count is zero, or there are fewer GPUs than requested.
pub(crate) fn plan(
    wanted: &Wanted,
    host: Host,
    gpus: &[Gpu],
    locations: &Locations,
) -> Result<(Vec<PlannedSlot>, Vec<String>), PlanError> {
    if wanted.memory == Some(0) {
        return Err(PlanError::Zero("--memory"));
    }
    let counts = [
        ("--slots", wanted.slots),
        ("--slots-per-gpu", wanted.slots_per_gpu),
        ("--threads", wanted.threads),
        ("--max-cohort", wanted.max_cohort),
    ];
    for (name, count) in counts {
        if count == Some(0) {
            return Err(PlanError::Zero(name));
        }
    }
    let cores = host.cores.max(1);
    let on_gpus = match wanted.device {
        Device::Cpu => false,
        Device::Auto => !gpus.is_empty(),
        Device::Cuda if gpus.is_empty() => return Err(PlanError::NoGpu),
        Device::Cuda => true,
    };
    let (slots, threads) = if on_gpus {
        let per_gpu = wanted.slots_per_gpu.unwrap_or(1);
        let all = u32::try_from(gpus.len()).unwrap_or(u32::MAX).saturating_mul(per_gpu);
        let slots = wanted.slots.unwrap_or(all);
        if slots > all {
            return Err(PlanError::TooFewGpus { slots, gpus: gpus.len(), per_gpu });
        }
        (slots, wanted.threads.unwrap_or_else(|| (cores / slots).max(1)))
    } else {
        match (wanted.slots, wanted.threads) {
            (Some(slots), Some(threads)) => (slots, threads),
            (Some(slots), None) => (slots, (cores / slots).max(1)),
            (None, threads) => {
                let threads = threads.unwrap_or(1);
                ((cores / threads).max(1), threads)
            }
        }
    };
    let mut warnings = Vec::new();
    if slots.saturating_mul(threads) > cores {
        warnings.push(format!(
            "{} of {} need more than the {} of this host: they will slow each other down",
            counted(slots.into(), "slot"),
            counted(threads.into(), "thread"),
            counted(cores.into(), "core"),
        ));
    }
    if let (Some(each), Some(all)) = (wanted.memory, host.memory)
        && each.saturating_mul(slots.into()) > all
    {
        warnings.push(format!(
            "{} of {} need more than the {} of memory that this worker may use",
            counted(slots.into(), "slot"),
            bytes(each),
            bytes(all)
        ));
    }
    let offers = Offers {
        trainers: wanted.trainers.clone(),
        gpu: on_gpus,
        memory: wanted.memory.or_else(|| host.memory.map(|all| all / u64::from(slots))),
        threads: Some(threads),
        labels: wanted.labels.clone(),
    };
    // Programs run alone.
    let alone = !on_gpus || !wanted.trainers.contains(&TrainerKind::Networks);
    let max_cohort = wanted.max_cohort.unwrap_or(if alone { 1 } else { GPU_COHORT });
    let planned = |index: u32| {
        // Slots are assigned to GPUs in turn: two slots on two GPUs are one on each, however many slots a GPU may
        // have.
        let number = index as usize % gpus.len().max(1);
        let gpu = if on_gpus { gpus.get(number) } else { None };
        let mut environment = BTreeMap::from([
            ("OMP_NUM_THREADS".to_owned(), threads.to_string()),
            ("MKL_NUM_THREADS".to_owned(), threads.to_string()),
        ]);
        let device = match gpu {
            Some(gpu) => {
                environment.insert("CUDA_VISIBLE_DEVICES".to_owned(), gpu.uuid.clone());
                environment.insert(DEVICE_MODEL.to_owned(), gpu.name.clone());
                format!("cuda:{number} {}", gpu.name)
            }
            None => format!("cpu x{threads}"),
        };
        PlannedSlot {
            offer: SlotOffer { index, device, max_cohort, offers: offers.clone() },
            trainer: TrainerOptions {
                data_dir: locations.data_dir.clone(),
                allow_data_outside: locations.allow_data_outside,
                checkpoints: Some(locations.checkpoints.clone()),
                device: if on_gpus { "cuda:0" } else { "cpu" }.to_owned(),
                threads,
                environment,
            },
        }
    };
    Ok(((0..slots).map(planned).collect(), warnings))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted() -> Wanted {
        Wanted {
            device: Device::Auto,
            slots: None,
            slots_per_gpu: None,
            threads: None,
            max_cohort: None,
            memory: None,
            labels: BTreeSet::new(),
            trainers: [TrainerKind::Networks].into(),
        }
    }

    fn host(cores: u32) -> Host {
        Host { cores, memory: Some(16_000_000_000) }
    }

    fn gpus(count: usize) -> Vec<Gpu> {
        (0..count).map(|i| Gpu { name: "NVIDIA H100".to_owned(), uuid: format!("GPU-{i}") }).collect()
    }

    fn locations() -> Locations {
        Locations { data_dir: "data".into(), allow_data_outside: true, checkpoints: "checkpoints".to_owned() }
    }

    /// Slots, threads and cohort of a plan.
    fn shape(wanted: &Wanted, cores: u32, gpu_count: usize) -> (usize, u32, u32) {
        let (slots, _) = plan(wanted, host(cores), &gpus(gpu_count), &locations()).unwrap();
        (slots.len(), slots[0].trainer.threads, slots[0].offer.max_cohort)
    }

    #[test]
    fn a_host_without_gpus_has_a_slot_a_core() {
        assert_eq!(shape(&wanted(), 8, 0), (8, 1, 1));
        assert_eq!(shape(&Wanted { threads: Some(3), ..wanted() }, 8, 0), (2, 3, 1));
        assert_eq!(shape(&Wanted { threads: Some(16), ..wanted() }, 8, 0), (1, 16, 1));
    }

    #[test]
    fn slots_alone_share_the_cores() {
        assert_eq!(shape(&Wanted { slots: Some(2), ..wanted() }, 8, 0), (2, 4, 1));
        assert_eq!(shape(&Wanted { slots: Some(16), ..wanted() }, 8, 0), (16, 1, 1));
    }

    #[test]
    fn a_host_with_gpus_has_a_slot_a_gpu_that_sees_no_other() {
        let (slots, _) = plan(&wanted(), host(16), &gpus(2), &locations()).unwrap();
        assert_eq!(slots.len(), 2);
        assert_eq!(
            slots[1].offer,
            SlotOffer {
                index: 1,
                device: "cuda:1 NVIDIA H100".to_owned(),
                max_cohort: 16,
                offers: slots[1].offer.offers.clone()
            }
        );
        assert_eq!(slots[1].trainer.device, "cuda:0");
        assert!(slots[1].trainer.allow_data_outside);
        assert_eq!(slots[1].trainer.environment["CUDA_VISIBLE_DEVICES"], "GPU-1");
        assert_eq!(slots[1].trainer.environment["OMP_NUM_THREADS"], "8");
        assert_eq!(slots[1].trainer.environment[DEVICE_MODEL], "NVIDIA H100");
        assert_eq!(shape(&Wanted { device: Device::Cpu, ..wanted() }, 4, 2), (4, 1, 1));
    }

    #[test]
    fn several_slots_can_share_a_gpu() {
        let planned = |wanted: Wanted, gpu_count| {
            plan(&wanted, host(16), &gpus(gpu_count), &locations()).map(|(slots, _)| slots)
        };
        let share = Wanted { slots_per_gpu: Some(2), ..wanted() };
        let slots = planned(share.clone(), 2).unwrap();
        let of = |slot: &PlannedSlot| slot.trainer.environment["CUDA_VISIBLE_DEVICES"].clone();
        assert_eq!(slots.iter().map(of).collect::<Vec<_>>(), ["GPU-0", "GPU-1", "GPU-0", "GPU-1"]);
        let numbers: Vec<u32> = slots.iter().map(|slot| slot.offer.index).collect();
        assert_eq!(numbers, [0, 1, 2, 3]);
        assert_eq!(slots[2].offer.device, "cuda:0 NVIDIA H100");
        assert_eq!(slots[2].trainer.device, "cuda:0");
        assert_eq!(slots[2].trainer.threads, 4, "they share the cores");

        let two = planned(Wanted { slots: Some(2), ..share.clone() }, 2).unwrap();
        assert_eq!(two.iter().map(of).collect::<Vec<_>>(), ["GPU-0", "GPU-1"]);
        let error = planned(Wanted { slots: Some(3), ..share.clone() }, 1).unwrap_err().to_string();
        assert!(
            error.contains("only 2 slots on 1 visible GPU to use") && error.contains("--slots-per-gpu"),
            "{error}"
        );
        // On cores the option is ignored.
        assert_eq!(shape(&share, 8, 0), (8, 1, 1));
    }

    #[test]
    fn slots_offer_their_share_of_the_host() {
        let offers = |wanted: &Wanted, host, gpu_count| {
            let (slots, warnings) = plan(wanted, host, &gpus(gpu_count), &locations()).unwrap();
            (slots[0].offer.offers.clone(), slots[0].offer.max_cohort, warnings)
        };
        let both = Wanted {
            trainers: [TrainerKind::Networks, TrainerKind::Programs].into(),
            labels: ["big".to_owned()].into(),
            ..wanted()
        };
        let share = Offers {
            trainers: both.trainers.clone(),
            gpu: false,
            memory: Some(4_000_000_000),
            threads: Some(1),
            labels: both.labels.clone(),
        };
        assert_eq!(offers(&both, host(4), 0), (share.clone(), 1, vec![]));
        let of_gpu = Offers { gpu: true, memory: Some(8_000_000_000), threads: Some(2), ..share };
        assert_eq!(offers(&both, host(4), 2), (of_gpu.clone(), 16, vec![]));
        // A program runs alone, also on a GPU.
        let programs = Wanted { trainers: [TrainerKind::Programs].into(), ..both };
        let of_programs = Offers { trainers: programs.trainers.clone(), ..of_gpu };
        assert_eq!(offers(&programs, host(4), 2), (of_programs, 1, vec![]));

        assert_eq!(offers(&wanted(), Host { memory: None, ..host(4) }, 0).0.memory, None);
        let (large, _, warnings) = offers(&Wanted { memory: Some(5_000_000_000), ..wanted() }, host(4), 0);
        assert_eq!(large.memory, Some(5_000_000_000));
        let warning = "4 slots of 5.0 GB need more than the 16.0 GB of memory that this worker may use";
        assert_eq!(warnings, [warning]);
    }

    #[test]
    fn crowding_is_allowed_with_a_warning() {
        let crowd = Wanted { slots: Some(3), ..wanted() };
        let (_, warnings) = plan(&crowd, host(2), &[], &locations()).unwrap();
        assert!(
            warnings[0].contains("3 slots of 1 thread need more than the 2 cores of this host"),
            "{warnings:?}"
        );
        assert!(plan(&wanted(), host(2), &[], &locations()).unwrap().1.is_empty());
    }

    #[test]
    fn what_can_not_be_is_an_error() {
        let error = |wanted: Wanted, gpu_count| {
            plan(&wanted, host(2), &gpus(gpu_count), &locations()).unwrap_err().to_string()
        };
        assert_eq!(error(Wanted { slots: Some(0), ..wanted() }, 0), "--slots must be at least 1");
        let none = Wanted { slots_per_gpu: Some(0), ..wanted() };
        assert_eq!(error(none, 1), "--slots-per-gpu must be at least 1");
        assert_eq!(error(Wanted { memory: Some(0), ..wanted() }, 0), "--memory must be at least 1");
        assert!(error(Wanted { device: Device::Cuda, ..wanted() }, 0).contains("no GPU is visible"));
        assert!(error(Wanted { slots: Some(3), ..wanted() }, 2).contains("raise --max-cohort"));
    }
}
