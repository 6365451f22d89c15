//! Runs the agent: passes inputs to the state machine and performs its actions.

use std::{io::BufRead as _, path::PathBuf, time::Duration};

use colearn_access::{AccessFile, Moment, Way};
use colearn_core::{needs::TrainerKind, text::counted_len, time::Timestamp};
use colearn_data_format::DataFolder;
use colearn_proto::worker::{SlotOffer, ToWorker};
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::{mpsc, oneshot},
    time::Instant,
};
use tracing::{debug, error, info, warn};

use super::{
    connection::{Connection, ConnectionEvent, Dial},
    cuda, data_folder,
    exit::AgentError,
    gpu::{self, Gpu},
    identity,
    input::{Action, AgentOutcome, Input, LogLevel},
    launcher::Launchers,
    log_queue::{AGENT_TARGET, LogQueue},
    memory,
    no_op::{self, NoOpTrainers},
    options::AgentOptions,
    plan::{self, Device, Host, Locations, PlannedSlot, Wanted},
    state::Agent,
    trainer_process::{TrainerProcesses, Trainers},
    usage,
};

/// Maximum number of waiting inputs from trainers. Trainers with more events have to wait.
const INPUTS: usize = 256;
/// How long an exiting worker waits for the coordinator to end its side of the stream.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(2);
/// Signals within this time count as one request to stop: Slurm's preemption sends SIGTERM twice, 28 ms apart.
const SAME_REQUEST: Duration = Duration::from_secs(2);

/// How a worker left that was not prevented from working.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Left {
    /// Nothing is left to do here.
    Done,
    /// Tasks were returned unfinished because the worker was stopped or out of time.
    Parked,
}

/// Runs a worker on this host until it is stopped or drained. Call it on the main thread of a single-threaded
/// runtime: trainers are killed with the thread that started them. Without launchers its trainers train nothing and
/// answer at once. The contents of `logs`, for example from a [`super::log_queue::LogLayer`], are sent to the
/// coordinator.
///
/// # Errors
/// If options do not fit the host, the coordinator was never reached or refused the worker, or no slot is usable.
pub async fn run(
    options: AgentOptions,
    launchers: Option<Launchers>,
    logs: LogQueue,
) -> Result<Left, AgentError> {
    let (slots, mut warnings) = slots(&options, launchers.as_ref()).await?;
    for warning in access_warnings(&options.coordinator) {
        warn!("{warning}");
        warnings.push(warning);
    }
    let host = identity::host();
    let name = options.name.as_deref().unwrap_or(&host);
    let worker = identity::worker_id(name).map_err(|error| AgentError::System {
        what: "name the worker",
        cause: std::io::Error::other(error),
    })?;
    let devices: Vec<&str> = slots.iter().map(|slot| slot.offer.device.as_str()).collect();
    info!("worker {worker}: {}: {}", counted_len(slots.len(), "slot"), devices.join(", "));

    let offers: Vec<SlotOffer> = slots.iter().map(|slot| slot.offer.clone()).collect();
    let agent = Agent::new(worker.clone(), host, offers.clone(), options.limits.clone(), Timestamp(0));
    // Programs open their data by themselves.
    let networks = launchers.as_ref().and_then(|launchers| launchers.of(TrainerKind::Networks));
    let data = networks.map(|_| data_folder(&options.locations));
    let listing = data.as_ref().and_then(|(folder, root)| data_folder::list(folder, root, &None));
    let agent = agent.with_warnings(warnings).with_data_folder(listing.clone());
    let dial = Dial::to(options.coordinator.clone());
    let mut connection = Connection::new(dial, worker).with_logs(logs.clone());
    let (tell, told) = oneshot::channel();
    if options.connect_when_told {
        connection = connection.held_until(told);
    }
    let stops = stops(options.until_stdin_closes.then_some(tell))
        .map_err(|cause| AgentError::System { what: "listen for signals", cause })?;
    let place = CoordinatorAddress {
        url: options.coordinator.url(),
        connect_timeout: options.limits.connect_timeout.unwrap_or_default(),
    };
    match launchers {
        Some(launchers) => {
            let (inputs, said) = mpsc::channel(INPUTS);
            if let Some((folder, root)) = data {
                tokio::spawn(data_folder::watch(folder, root, listing, inputs.clone()));
            }
            let gpus = slots.iter().filter_map(|slot| slot.trainer.environment.get("CUDA_VISIBLE_DEVICES"));
            let gpus = usage::of_this_host(gpus.cloned().collect());
            tokio::spawn(usage::watch(gpus, inputs.clone()));
            let options = slots.into_iter().map(|slot| (slot.offer.index, slot.trainer));
            let mut trainers = TrainerProcesses::new(launchers, options, inputs, logs);
            let ended = serve(agent, connection, &mut trainers, said, stops, &place).await;
            trainers.shut_down().await;
            ended
        }
        None => {
            let (mut trainers, said) = NoOpTrainers::new(&offers);
            serve(agent, connection, &mut trainers, said, stops, &place).await
        }
    }
}

/// What the operator should know of the connection.
fn access_warnings(coordinator: &Way) -> Vec<String> {
    let ends = coordinator.access().and_then(|path| {
        let file = AccessFile::read(path).ok()?;
        file.identity().until.warning(&format!("the access file {}", path.display()), Moment::now())
    });
    coordinator.warning().into_iter().chain(ends).collect()
}

/// The folder with the data sets, as trainers open them, and its path.
fn data_folder(locations: &Locations) -> (DataFolder, PathBuf) {
    let root = locations.data_dir.clone();
    let folder = if locations.allow_data_outside {
        DataFolder::unconfined(root.clone())
    } else {
        DataFolder::confined(root.clone())
    };
    (folder, root)
}

/// The slots of this host, and warnings for its operator.
async fn slots(
    options: &AgentOptions,
    launchers: Option<&Launchers>,
) -> Result<(Vec<PlannedSlot>, Vec<String>), AgentError> {
    let cores =
        std::thread::available_parallelism().map_or(1, |cores| u32::try_from(cores.get()).unwrap_or(1));
    let host = Host { cores, memory: memory::limit() };
    let plan = |wanted: &Wanted, gpus: &[Gpu]| plan::plan(wanted, host, gpus, &options.locations);
    let Some(launchers) = launchers else {
        // These trainers use neither GPUs nor cores, so any number of them is fine.
        let (mut slots, _) = plan(&Wanted { device: Device::Cpu, ..options.wanted.clone() }, &[])?;
        for slot in &mut slots {
            slot.offer.device = no_op::DEVICE.to_owned();
        }
        return Ok((slots, Vec::new()));
    };
    let usable = match options.wanted.device {
        Device::Cpu => Ok(Vec::new()),
        Device::Auto | Device::Cuda => match launchers.of(TrainerKind::Networks) {
            Some(launcher) => cuda::usable_gpus(launcher).await,
            // Whether programs can use the GPUs is known to nobody but them.
            None => gpu::inventory().await,
        },
    };
    let (gpus, trouble) = match usable {
        Ok(gpus) => (gpus, None),
        Err(trouble) if options.wanted.device == Device::Cuda => return Err(AgentError::Gpu(trouble)),
        Err(trouble) => {
            let both = options.wanted.trainers.len() > 1;
            let remedy = if both { "; --programs-only lets programs use the GPUs all the same" } else { "" };
            (Vec::new(), Some(format!("{trouble}; training on the cores{remedy}")))
        }
    };
    let (slots, odd) = plan(&options.wanted, &gpus)?;
    let warnings: Vec<String> = trouble.into_iter().chain(odd).collect();
    for warning in &warnings {
        warn!("{warning}");
    }
    Ok((slots, warnings))
}

/// The coordinator's address and the time limit for reaching it, for error messages.
#[derive(Clone, Debug)]
pub struct CoordinatorAddress {
    /// Its URL.
    pub url: String,
    /// Time limit for reaching it.
    pub connect_timeout: Duration,
}

/// Takes inputs from all sources, one at a time, and performs the resulting actions, until the agent exits.
///
/// `stops` has one item per signal: the first asks the agent to exit; one that comes more than two seconds later ends
/// it at once.
///
/// # Errors
/// If the agent exits for another reason than a drain or a stop.
pub async fn serve(
    mut agent: Agent,
    mut connection: Connection,
    trainers: &mut impl Trainers,
    mut said: mpsc::Receiver<Input>,
    mut stops: mpsc::Receiver<()>,
    place: &CoordinatorAddress,
) -> Result<Left, AgentError> {
    let began = Instant::now();
    let now = || Timestamp(0).after(began.elapsed());
    let mut stopping: Option<Instant> = None;
    let mut cause = "no answer".to_owned();
    let mut input = Input::Started;
    loop {
        for action in agent.apply(now(), input) {
            match action {
                Action::Send(message) => connection.send(message),
                Action::StartTrainer { slot, kind } => trainers.start(slot, kind),
                Action::Command { slot, command } => {
                    if let Some(about) = agent.trained_on(slot) {
                        trainers.log_about(slot, about);
                    }
                    trainers.command(slot, command);
                }
                Action::KillTrainer { slot } => trainers.kill(slot),
                Action::RemoveCheckpoints { task } => trainers.remove_checkpoints(task),
                Action::Log(level, about, text) => {
                    log(level, &text);
                    connection.log(level, about, &text);
                }
                Action::Leave(outcome) => {
                    drop(said);
                    // The last lines of their logs are still to be read. Trainers that do not end are no reason not to
                    // tell the coordinator.
                    let _ = tokio::time::timeout(SHUTDOWN_TIMEOUT, trainers.shut_down()).await;
                    connection.close(SHUTDOWN_TIMEOUT).await;
                    return outcome_of(outcome, place, cause);
                }
            }
        }
        if agent.is_leaving() {
            connection.hurry();
        }
        let deadline = agent.next_deadline().map(|at| began + at.since(Timestamp(0)));
        input = tokio::select! {
            biased;
            Some(()) = stops.recv() => match stopping {
                Some(first) if first.elapsed() < SAME_REQUEST => continue_with_nothing(),
                Some(_) => return Err(AgentError::Interrupted),
                None => {
                    stopping = Some(Instant::now());
                    info!("stopping: trainers finish their epochs, then leases are returned; a second signal, after {} s, ends the worker at once", SAME_REQUEST.as_secs());
                    Input::Stop
                }
            },
            event = connection.next() => match event {
                ConnectionEvent::Due => {
                    connection.open(agent.hello());
                    continue_with_nothing()
                }
                ConnectionEvent::Said(message) => {
                    if matches!(message, ToWorker::Welcome(_)) {
                        info!("connected to the coordinator at {}", place.url);
                    }
                    Input::Received(message)
                }
                ConnectionEvent::Lost(error) => {
                    warn!("no connection to the coordinator at {}: {error}; trying again", place.url);
                    cause = error.to_string();
                    match error.is_refusal() {
                        true if error.is_denial() => Input::Refused { why: cause.clone() },
                        true => {
                            Input::Refused { why: format!("{cause}; check that both are of the same version") }
                        }
                        false => Input::Disconnected,
                    }
                }
            },
            Some(input) = said.recv() => input,
            () = wait_until(deadline) => Input::Tick,
        };
    }
}

/// An early tick does nothing.
fn continue_with_nothing() -> Input {
    Input::Tick
}

async fn wait_until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

fn log(level: LogLevel, text: &str) {
    match level {
        LogLevel::Debug => debug!(target: AGENT_TARGET, "{text}"),
        LogLevel::Info => info!(target: AGENT_TARGET, "{text}"),
        LogLevel::Warn => warn!(target: AGENT_TARGET, "{text}"),
        LogLevel::Error => error!(target: AGENT_TARGET, "{text}"),
    }
}

fn outcome_of(outcome: AgentOutcome, place: &CoordinatorAddress, cause: String) -> Result<Left, AgentError> {
    let url = place.url.clone();
    match outcome {
        AgentOutcome::Drained | AgentOutcome::Stopped => Ok(Left::Done),
        AgentOutcome::Parked => Ok(Left::Parked),
        AgentOutcome::Unreachable => {
            Err(AgentError::Unreachable { url, seconds: place.connect_timeout.as_secs(), cause })
        }
        AgentOutcome::Refused { why } => Err(AgentError::Refused { url, why }),
        AgentOutcome::NoUsableSlot { kind, why } => Err(AgentError::NoUsableSlot { kind, why }),
    }
}

/// One item for each SIGINT or SIGTERM, and one for the end of standard input if it is read: then `tell` is told of
/// the first line.
fn stops(tell: Option<oneshot::Sender<()>>) -> std::io::Result<mpsc::Receiver<()>> {
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let (sender, receiver) = mpsc::channel(2);
    if let Some(tell) = tell {
        let sender = sender.clone();
        // In a separate thread: a read that blocks forever would keep the runtime from ending.
        std::thread::spawn(move || {
            let mut input = std::io::stdin().lock();
            if matches!(input.read_until(b'\n', &mut Vec::new()), Ok(1..)) {
                // Without a listener, the worker has connected without waiting.
                let _ = tell.send(());
            }
            let _ = std::io::copy(&mut input, &mut std::io::sink());
            let _ = sender.blocking_send(());
        });
    }
    tokio::spawn(async move {
        loop {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            if sender.send(()).await.is_err() {
                return;
            }
        }
    });
    Ok(receiver)
}
