//! A program from its start to its end.

use std::{
    os::fd::AsFd as _,
    time::{Duration, Instant},
};

use colearn_core::{
    failure::{Failure, FailureReason},
    id::TaskId,
    settings::ProgramSettings,
    text::counted_len,
};
use colearn_trainer_protocol::{Event, out_of_memory::OutOfMemoryWatch};
use nix::unistd::read;

use crate::{
    collected::Collected,
    metrics_file::MetricsFile,
    outcome::{GO_ON_LATER, Verdict, crash, described, is_asked_to_end, with_last_lines},
    output::{Output, Source, shown},
    pattern::Pattern,
    place::Place,
    process::{Ended, Program},
    result_file::ResultFile,
    serve::was_signalled,
    session::Session,
};

/// How often the file of metrics is looked at.
const TICK: Duration = Duration::from_millis(100);
/// How often the history is saved while the program runs.
const SAVE: Duration = Duration::from_secs(10);
/// How long a program may take to end after SIGTERM: when nobody wants it any more, and when its time is over.
const GRACE: Duration = Duration::from_secs(1);
const GRACE_AFTER_TIMEOUT: Duration = Duration::from_secs(5);
/// How long after a signal to all processes the agent asks to park, at most.
const AGENT_ASKS_WITHIN: Duration = Duration::from_secs(2);
/// Bytes of output that are read at once, and in all after the end.
const READ: usize = 64 << 10;
const READ_LAST: usize = 16 << 20;

/// Why a program was asked to end.
#[derive(Clone, Debug, PartialEq)]
enum Stop {
    /// The agent asked to park.
    Park,
    /// Its time is over.
    Timeout,
    /// What it has told fails the attempt.
    Fault,
    /// Nobody wants it any more.
    Unwanted,
}

/// A running program, and everything that it has told.
#[derive(Debug)]
pub(crate) struct Run {
    program: Program,
    task: TaskId,
    place: Place,
    metrics: MetricsFile,
    collected: Collected,
    output: Output,
    pattern: Option<Pattern>,
    result_file: Option<ResultFile>,
    memory: OutOfMemoryWatch,
    /// Which outputs are still open.
    open: [bool; 2],
    timeout: Option<Duration>,
    deadline: Option<Instant>,
    stop: Option<Stop>,
    kill_at: Option<Instant>,
    next_tick: Instant,
    next_save: Instant,
}

impl Run {
    #[expect(
        clippy::too_many_arguments,
        reason = "each is a part of the attempt; they come together only here"
    )]
    pub(crate) fn new(
        program: Program,
        task: TaskId,
        place: Place,
        metrics: MetricsFile,
        collected: Collected,
        pattern: Option<Pattern>,
        result_file: Option<ResultFile>,
        timeout: Option<Duration>,
    ) -> Self {
        let now = Instant::now();
        Self {
            program,
            task,
            place,
            metrics,
            collected,
            output: Output::new(now),
            pattern,
            result_file,
            memory: OutOfMemoryWatch::begin(),
            open: [true; 2],
            timeout,
            deadline: timeout.and_then(|timeout| now.checked_add(timeout)),
            stop: None,
            kill_at: None,
            next_tick: now + TICK,
            next_save: now + SAVE,
        }
    }

    /// Follows the program to its end. Then no process of it is left.
    pub(crate) fn follow(&mut self, session: &mut Session) {
        loop {
            let now = Instant::now();
            if self.program.ended().is_some() {
                break;
            }
            if self.kill_at.is_some_and(|at| now >= at) {
                break;
            }
            if now >= self.next_tick {
                self.next_tick = now + TICK;
                self.look_at_metrics(session, now);
            }
            self.stop_if_asked(session, now);
            let deadline = self.deadline.filter(|_| matches!(self.stop, None | Some(Stop::Park)));
            let until = [Some(self.next_tick), self.kill_at, deadline];
            self.wait_and_read(session, until.into_iter().flatten().min());
        }
        self.end_all(session);
        self.wait_for_agent(session);
        self.read_last(session);
        self.metrics.finish(&mut self.collected);
        self.tell(session);
    }

    /// Whoever stops the worker may have signalled all its processes, as Slurm does. The program then ends before the
    /// agent has asked to park its task: the agent may be about to.
    fn wait_for_agent(&mut self, session: &mut Session) {
        let end = self.program.ended();
        let signalled = end.is_some_and(|end| was_signalled() || is_asked_to_end(end));
        if self.stop.is_some() || !signalled || end == Some(Ended::Exited(0)) {
            return;
        }
        let until = Instant::now() + AGENT_ASKS_WITHIN;
        while !session.parks() && !session.is_unwanted() && Instant::now() < until {
            session.wait(&[], Some(until));
        }
        if session.parks() {
            self.stop = Some(Stop::Park);
        }
    }

    fn look_at_metrics(&mut self, session: &mut Session, now: Instant) {
        self.metrics.poll(&mut self.collected);
        self.tell(session);
        if self.collected.is_unsaved && now >= self.next_save && self.place.is_near() {
            self.next_save = now + SAVE;
            self.collected.is_unsaved = false;
            if let Err(error) = self.place.save(&self.collected.history) {
                session.log.warn(&error);
            }
        }
    }

    /// Tells the agent and the log what is new.
    fn tell(&mut self, session: &mut Session) {
        for warning in self.collected.take_warnings() {
            session.log.warn(&warning);
        }
        for record in self.collected.take_epochs() {
            let epochs = self.collected.epochs;
            session.agent.emit(&Event::Epoch { task: self.task, record, epochs });
        }
    }

    /// Asks the program to end if there is a reason. Later reasons can only shorten the time that it has left.
    fn stop_if_asked(&mut self, session: &Session, now: Instant) {
        let reason = if session.is_unwanted() {
            Some((Stop::Unwanted, Some(GRACE)))
        } else if self.collected.fatal.is_some() {
            Some((Stop::Fault, Some(GRACE)))
        } else if self.deadline.is_some_and(|deadline| now >= deadline) {
            Some((Stop::Timeout, Some(GRACE_AFTER_TIMEOUT)))
        } else if session.parks() {
            Some((Stop::Park, None))
        } else {
            None
        };
        let Some((stop, grace)) = reason.filter(|(stop, _)| self.stop.as_ref() != Some(stop)) else { return };
        // The reasons are checked from the strongest, so that this one is stronger than the one before.
        let parked = self.stop == Some(Stop::Park);
        if self.stop.is_none() || (parked && stop == Stop::Timeout) {
            self.program.ask_to_end();
        }
        self.stop = Some(stop);
        let kill_at = grace.map(|grace| now + grace);
        self.kill_at = [self.kill_at, kill_at].into_iter().flatten().min();
    }

    fn wait_and_read(&mut self, session: &mut Session, until: Option<Instant>) {
        let sources = [Source::Stdout, Source::Stderr];
        let open: Vec<Source> = sources.into_iter().filter(|source| self.open[*source as usize]).collect();
        let ready = {
            let fds: Vec<_> = open
                .iter()
                .map(|source| match source {
                    Source::Stdout => self.program.stdout.as_fd(),
                    Source::Stderr => self.program.stderr.as_fd(),
                })
                .collect();
            session.wait(&fds, until)
        };
        if ready.contains(&true) {
            // Standard output is read last and passed on first: so errors come after all that was written before them.
            let errors = self.read_some(Source::Stderr);
            let output = self.read_some(Source::Stdout);
            self.pass_on(Source::Stdout, &output, session);
            self.pass_on(Source::Stderr, &errors, session);
        }
    }

    /// Reads what an output holds, as much as a pipe does.
    fn read_some(&mut self, source: Source) -> Vec<u8> {
        let mut bytes = Vec::new();
        if self.open[source as usize] {
            let from = match source {
                Source::Stdout => &self.program.stdout,
                Source::Stderr => &self.program.stderr,
            };
            bytes.resize(READ, 0);
            let length = match read(from, &mut bytes) {
                Ok(length @ 1..) => length,
                Err(nix::errno::Errno::EINTR | nix::errno::Errno::EAGAIN) => 0,
                Ok(0) | Err(_) => {
                    self.open[source as usize] = false;
                    0
                }
            };
            bytes.truncate(length);
        }
        bytes
    }

    fn pass_on(&mut self, source: Source, bytes: &[u8], session: &mut Session) {
        let (pattern, collected) = (&self.pattern, &mut self.collected);
        let mut seen = |line: &[u8]| {
            if let Some(pattern) = pattern {
                pattern.take(&shown(line), collected);
            }
        };
        self.output.take(source, bytes, Instant::now(), &mut session.log, &mut seen);
    }

    /// Ends the program and what it has left running.
    fn end_all(&mut self, session: &mut Session) {
        let was_running = self.program.ended().is_none();
        let (others, unkillable) = self.program.end_all(&session.waiter);
        if others > 0 && !was_running {
            let left = counted_len(others, "other process");
            session.log.warn(&format!("the program left {left} running, which the runner has killed"));
        }
        if !unkillable.is_empty() {
            let pids: Vec<String> = unkillable.iter().map(ToString::to_string).collect();
            session.log.warn(&format!("processes of the program cannot be killed: {}", pids.join(", ")));
        }
    }

    /// Reads what is left in the pipes. They have no writers any more, unless one could not be killed.
    fn read_last(&mut self, session: &mut Session) {
        for source in [Source::Stdout, Source::Stderr] {
            let mut length = 0;
            while length < READ_LAST {
                let bytes = self.read_some(source);
                if bytes.is_empty() {
                    break;
                }
                length += bytes.len();
                self.pass_on(source, &bytes, session);
            }
        }
        let (pattern, collected) = (&self.pattern, &mut self.collected);
        self.output.finish(Instant::now(), &mut session.log, &mut |line| {
            if let Some(pattern) = pattern {
                pattern.take(&shown(line), collected);
            }
        });
    }

    /// What the end of the program means.
    pub(crate) fn verdict(&mut self, session: &mut Session, settings: &ProgramSettings) -> Verdict {
        let verdict = self.judge(session, settings);
        self.tell(session);
        let left_out = self.collected.warnings_left_out();
        if left_out > 0 {
            session.log.warn(&format!("{left_out} similar warnings were left out"));
        }
        if matches!(verdict, Verdict::Failed(_)) {
            self.output.show_last(&mut session.log);
        }
        verdict
    }

    fn judge(&mut self, session: &mut Session, settings: &ProgramSettings) -> Verdict {
        if let Some(failure) = self.collected.fatal.clone() {
            return Verdict::Failed(failure);
        }
        let last_lines = self.output.last_lines();
        if self.stop == Some(Stop::Timeout) {
            let timeout = self.timeout.unwrap_or_default().as_secs_f64();
            let what = format!("the program was ended because it ran longer than its timeout of {timeout} s");
            return Verdict::Failed(Failure::new(FailureReason::Hang, with_last_lines(&what, &last_lines)));
        }
        let parks = self.stop == Some(Stop::Park);
        let ended = match self.program.ended() {
            Some(ended) => ended,
            None => {
                let why = "the program cannot be ended";
                return Verdict::Failed(Failure::new(FailureReason::Hang, why));
            }
        };
        match ended {
            Ended::Exited(0) => match self.result(settings) {
                Ok(metrics) => Verdict::Finished(metrics),
                // It has ended early, as it was asked to.
                Err(failure) if parks && failure.reason != FailureReason::Diverged => Verdict::Parked,
                Err(failure) => Verdict::Failed(failure),
            },
            ended if parks => {
                if ended != Ended::Exited(GO_ON_LATER) {
                    session.log.line(&format!("the program {} when it was asked to park", described(ended)));
                }
                Verdict::Parked
            }
            Ended::Exited(GO_ON_LATER) => {
                let mut why =
                    format!("the program ended with exit code {GO_ON_LATER}: it asks to go on later");
                if !self.place.is_kept() {
                    why.push_str(", but it starts over then: there is no location for checkpoints");
                }
                Verdict::Failed(Failure::new(FailureReason::Parked, why))
            }
            ended => {
                let by_runner = self.program.was_killed();
                let memory = &mut self.memory;
                Verdict::Failed(crash(ended, &last_lines, || !by_runner && memory.claim()))
            }
        }
    }

    fn result(
        &mut self,
        settings: &ProgramSettings,
    ) -> Result<std::collections::BTreeMap<String, f64>, Failure> {
        if let Some(file) = &self.result_file
            && let Err(why) = file.take(&settings.metrics, &mut self.collected)
        {
            // The file of metrics may have the result too.
            self.collected.first_problem.get_or_insert(why);
        }
        self.collected.result(&settings.metrics)
    }

    /// What remains of the attempt.
    pub(crate) fn into_parts(self) -> (Place, Collected) {
        (self.place, self.collected)
    }
}
