//! The agent at work: takes what happens to the state machine and does what it says.

use std::time::Duration;

use colearn_core::{text::counted_len, time::Timestamp};
use colearn_proto::worker::{SlotOffer, ToWorker};
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::mpsc,
    time::Instant,
};
use tonic::transport::Uri;
use tracing::{debug, error, info, warn};

use super::{
    connection::{Connection, ConnectionEvent, Dial},
    cuda, data_folder,
    exit::AgentError,
    gpu::Gpu,
    identity,
    input::{Action, AgentOutcome, Input, LogLevel},
    launcher::Launcher,
    log_queue::{AGENT_TARGET, LogQueue},
    no_op::{self, NoOpTrainers},
    options::AgentOptions,
    plan::{self, Device, PlannedSlot, Wanted},
    state::Agent,
    trainer_process::{TrainerProcesses, Trainers},
};

/// Inputs of trainers that wait to be handled. Trainers that say more have to wait.
const INPUTS: usize = 256;
/// How long a leaving worker waits for the coordinator to end its side of the stream.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(2);
/// Signals within this time are one request to stop: Slurm's preemption sends SIGTERM twice, 28 ms apart.
const SAME_REQUEST: Duration = Duration::from_secs(2);

/// Runs a worker on this host until it is stopped or drained. Call it on the main thread of a
/// single-threaded runtime: trainers die with the thread that started them. Without a launcher its trainers
/// train nothing and answer at once.
/// What is put into `logs`, by a [`super::log_queue::LogLayer`] for example, goes to the coordinator.
///
/// # Errors
/// When options do not fit the host, the coordinator was never reached or turned the worker away, or no
/// slot is usable.
pub async fn run(
    options: AgentOptions,
    launcher: Option<Launcher>,
    logs: LogQueue,
) -> Result<(), AgentError> {
    let (slots, warnings) = slots(&options, launcher.as_ref()).await?;
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
    let data_dir = launcher.is_some().then(|| options.locations.data_dir.clone());
    let listing = data_dir.as_deref().and_then(data_folder::list);
    let agent = agent.with_warnings(warnings).with_data_folder(listing.clone());
    let dial = Dial::tcp(options.coordinator.clone());
    let connection = Connection::new(dial, worker).with_logs(logs.clone());
    let stops = stops(options.until_stdin_closes)
        .map_err(|cause| AgentError::System { what: "listen for signals", cause })?;
    let place = CoordinatorAddress {
        url: options.coordinator,
        connect_timeout: options.limits.connect_timeout.unwrap_or_default(),
    };
    match launcher {
        Some(launcher) => {
            let (inputs, said) = mpsc::channel(INPUTS);
            if let Some(data_dir) = data_dir {
                tokio::spawn(data_folder::watch(data_dir, listing, inputs.clone()));
            }
            let options = slots.into_iter().map(|slot| (slot.offer.index, slot.trainer));
            let mut trainers = TrainerProcesses::new(launcher, options, inputs, logs);
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

/// The slots of this host, and what its operator should know.
async fn slots(
    options: &AgentOptions,
    launcher: Option<&Launcher>,
) -> Result<(Vec<PlannedSlot>, Vec<String>), AgentError> {
    let cores =
        std::thread::available_parallelism().map_or(1, |cores| u32::try_from(cores.get()).unwrap_or(1));
    let plan = |wanted: &Wanted, gpus: &[Gpu]| plan::plan(wanted, cores, gpus, &options.locations);
    let Some(launcher) = launcher else {
        // They use neither GPUs nor cores, so that any number of them is as good as another.
        let (mut slots, _) = plan(&Wanted { device: Device::Cpu, ..options.wanted.clone() }, &[])?;
        for slot in &mut slots {
            slot.offer.device = no_op::DEVICE.to_owned();
        }
        return Ok((slots, Vec::new()));
    };
    let usable = match options.wanted.device {
        Device::Cpu => Ok(Vec::new()),
        Device::Auto | Device::Cuda => cuda::usable_gpus(launcher).await,
    };
    let (gpus, trouble) = match usable {
        Ok(gpus) => (gpus, None),
        Err(trouble) if options.wanted.device == Device::Cuda => return Err(AgentError::Gpu(trouble)),
        Err(trouble) => (Vec::new(), Some(format!("{trouble}; training on the cores"))),
    };
    let (slots, odd) = plan(&options.wanted, &gpus)?;
    let warnings: Vec<String> = trouble.into_iter().chain(odd).collect();
    for warning in &warnings {
        warn!("{warning}");
    }
    Ok((slots, warnings))
}

/// Where the coordinator was looked for, and for how long: for error messages.
#[derive(Clone, Debug)]
pub struct CoordinatorAddress {
    /// Its URL.
    pub url: Uri,
    /// How long it was looked for.
    pub connect_timeout: Duration,
}

/// Takes inputs from everywhere, one at a time, and performs what follows, until the agent leaves.
///
/// `stops` carries one item a signal: the first asks the agent to leave, one that comes more than two seconds later
/// ends it at once.
///
/// # Errors
/// When the agent leaves in any other way than drained or stopped.
pub async fn serve(
    mut agent: Agent,
    mut connection: Connection,
    trainers: &mut impl Trainers,
    mut said: mpsc::Receiver<Input>,
    mut stops: mpsc::Receiver<()>,
    place: &CoordinatorAddress,
) -> Result<(), AgentError> {
    let began = Instant::now();
    let now = || Timestamp(0).after(began.elapsed());
    let mut stopping: Option<Instant> = None;
    let mut cause = "no answer".to_owned();
    let mut input = Input::Started;
    loop {
        for action in agent.apply(now(), input) {
            match action {
                Action::Send(message) => connection.send(message),
                Action::StartTrainer { slot } => trainers.start(slot),
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
                    info!("stopping: trainers finish their epochs, then leases are given back; a second signal, after {} s, ends the worker at once", SAME_REQUEST.as_secs());
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
                    if error.is_refusal() { Input::Refused { why: cause.clone() } } else { Input::Disconnected }
                }
            },
            Some(input) = said.recv() => input,
            () = wait_until(deadline) => Input::Tick,
        };
    }
}

/// A tick that is early does nothing.
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

fn outcome_of(outcome: AgentOutcome, place: &CoordinatorAddress, cause: String) -> Result<(), AgentError> {
    let url = place.url.to_string();
    match outcome {
        AgentOutcome::Drained | AgentOutcome::Stopped => Ok(()),
        AgentOutcome::Unreachable => {
            Err(AgentError::Unreachable { url, seconds: place.connect_timeout.as_secs(), cause })
        }
        AgentOutcome::Refused { why } => Err(AgentError::Refused { url, why }),
        AgentOutcome::NoUsableSlot { why } => Err(AgentError::NoUsableSlot { why }),
    }
}

/// One item for each SIGINT or SIGTERM, and one for the end of standard input where that matters.
fn stops(until_stdin_closes: bool) -> std::io::Result<mpsc::Receiver<()>> {
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let (sender, receiver) = mpsc::channel(2);
    if until_stdin_closes {
        let sender = sender.clone();
        // A thread of its own: a read that blocks for ever would keep the runtime from ending.
        std::thread::spawn(move || {
            let _ = std::io::copy(&mut std::io::stdin().lock(), &mut std::io::sink());
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
