//! `colearn workers`, `colearn drain WORKER` and `colearn undrain WORKER`.

use colearn_core::{
    names::as_argument,
    text::{bytes, counted},
};
use colearn_proto::v1::{self, RunningTask, Worker, WorkerSlot};
use serde_json::json;

use super::{
    json,
    labels::{ago, epoch_of, last_seen, now, one_line, trainer_word, worker_state_for_people},
    pages, resolve, set_aside, usage,
};
use crate::{
    args::{DrainArgs, UndrainArgs, WorkersArgs},
    connect::Connection,
    exit::{Exit, Failure, Outcome},
    layout::{Column, Role, fitted, width},
};

/// Maximum number of tasks of a cohort that are listed for people.
const MAX_TASKS: usize = 4;

/// `colearn workers`.
pub(crate) async fn workers(arguments: &WorkersArgs) -> Outcome {
    let WorkersArgs { target, json, usage } = arguments;
    let mut connection = Connection::open_to_look(target).await?;
    let workers = pages::workers(&mut connection.sweeps).await?;
    let embedded = connection.is_embedded();
    connection.close().await;
    if *json {
        let rows: Vec<_> = workers.iter().map(json::worker).collect();
        outln!("{:#}", json!({ "workers": rows }));
    } else if *usage {
        if let Some(table) = usage::table(&workers, width()) {
            outln!("{table}");
        }
    } else if !workers.is_empty() {
        outln!("{}", table(&workers, now(), width()));
        for pause in workers.iter().flat_map(|worker| &worker.set_aside) {
            outln!("{}", set_aside::explained(pause, now(), &target.typed()));
        }
        for worker in &workers {
            for warning in &worker.warnings {
                noteln!("warning: {}: {warning}", worker.worker);
            }
        }
    }
    if embedded {
        noteln!(
            "no coordinator uses the state folder `{}`, so that no worker can be connected",
            target.state.display()
        );
    } else if workers.is_empty() {
        noteln!("no worker is connected; start one with: colearn-worker --coordinator URL");
    }
    Ok(Exit::Success)
}

/// One line per slot; for a cohort, one line per task. Cells equal to those of the previous line are left empty.
pub(crate) fn table(workers: &[Worker], now: i64, width: usize) -> String {
    let mut rows: Vec<[String; 8]> = Vec::new();
    for worker in workers {
        let mut who = [
            worker.worker.clone(),
            if worker.host.is_empty() { "-".to_owned() } else { worker.host.clone() },
            worker_state_for_people(worker).to_owned(),
            last_seen(worker).map_or_else(|| "not since the restart".to_owned(), |seen| ago(seen, now)),
        ];
        if worker.slots.is_empty() {
            let [id, host, state, seen] = std::mem::take(&mut who);
            rows.push([id, String::new(), host, state, seen, String::new(), String::new(), String::new()]);
        }
        for slot in &worker.slots {
            let mut place = [slot.index.to_string(), slot.device.clone(), offers(slot, &worker.labels)];
            for what in trains(&slot.tasks) {
                let [id, host, state, seen] = std::mem::take(&mut who);
                let [index, device, offers] = std::mem::take(&mut place);
                rows.push([id, index, host, state, seen, device, offers, what]);
            }
        }
    }
    let headings = [
        ("worker", Role::Key),
        ("slot", Role::Repeated),
        ("host", Role::First),
        ("state", Role::First),
        ("last seen", Role::First),
        ("device", Role::First),
        ("offers", Role::Moves),
        ("trains", Role::Moves),
    ];
    let columns = headings.into_iter().enumerate().map(|(at, (heading, role))| {
        let cells = rows.iter().map(|row| row[at].clone()).collect();
        match heading {
            "slot" | "last seen" => Column::numbers(heading, role, cells),
            _ => Column::words(heading, role, cells),
        }
    });
    fitted(&columns.collect::<Vec<_>>(), &[], width)
}

/// What a slot offers to tasks, such as `networks+programs, 2 threads, 4.0 GB, GPU, big`.
fn offers(slot: &WorkerSlot, labels: &[String]) -> String {
    let Some(offers) = &slot.offers else { return String::new() };
    let kinds: Vec<&str> = offers.trainers().filter_map(trainer_word).collect();
    let kinds = Some(kinds.join("+")).filter(|kinds| !kinds.is_empty());
    let threads = offers.threads.map(|threads| counted(threads.into(), "thread"));
    let gpu = offers.gpu.then(|| "GPU".to_owned());
    let words = kinds.into_iter().chain(threads).chain(offers.memory_bytes.map(bytes)).chain(gpu);
    words.chain(labels.iter().cloned()).collect::<Vec<_>>().join(", ")
}

/// The tasks of a slot, as lines.
fn trains(tasks: &[RunningTask]) -> Vec<String> {
    if tasks.is_empty() {
        return vec!["idle".to_owned()];
    }
    let line = |task: &RunningTask| {
        let id = task.task.clone().unwrap_or_default();
        format!(
            "{}/{}/{}, attempt {}, epoch {}",
            task.sweep,
            if task.name.is_empty() { id.configuration } else { as_argument(&one_line(&task.name)) },
            id.seed,
            task.attempt,
            epoch_of(task.epoch, task.epochs)
        )
    };
    let mut lines: Vec<String> = tasks.iter().take(MAX_TASKS).map(line).collect();
    if tasks.len() > MAX_TASKS {
        lines.push(format!("and {} more", tasks.len() - MAX_TASKS));
    }
    lines
}

/// `colearn drain WORKER`.
pub(crate) async fn drain(arguments: &DrainArgs) -> Outcome {
    let DrainArgs { worker, target, now } = arguments;
    let mut connection = Connection::open_served(target).await?;
    let client = &mut connection.sweeps;
    let worker = resolve::worker(client, worker).await?;
    let answer = client.drain_worker(v1::DrainWorkerRequest { worker, now: *now }).await;
    let response = answer.map_err(|status| client.failure(&status))?.into_inner();
    connection.close().await;
    let worker = response.worker.ok_or_else(|| {
        Failure::new(Exit::Failure, "the coordinator's answer has no worker; are both of one version?")
    })?;
    // A coordinator of an older version does not count them.
    let running = worker.running.max(worker.slots.iter().map(|slot| slot.tasks.len() as u64).sum());
    let tasks = counted(running, "task");
    let id = &worker.worker;
    match (running, *now) {
        (0, _) => outln!("{id}: is idle, and exits"),
        (_, true) => outln!("{id}: writes checkpoints, returns {tasks}, and exits"),
        (_, false) => outln!("{id}: takes no new tasks, and exits when its {tasks} have ended"),
    }
    Ok(Exit::Success)
}

/// `colearn undrain WORKER`.
pub(crate) async fn undrain(arguments: &UndrainArgs) -> Outcome {
    let UndrainArgs { worker, target } = arguments;
    let mut connection = Connection::open_served(target).await?;
    let client = &mut connection.sweeps;
    let worker = resolve::worker(client, worker).await?;
    let answer = client.undrain_worker(v1::UndrainWorkerRequest { worker: worker.clone() }).await;
    answer.map_err(|status| client.failure(&status))?;
    connection.close().await;
    outln!("{worker}: gets tasks again");
    Ok(Exit::Success)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_that_has_not_come_back_was_not_seen_in_1970() {
        let away = Worker { worker: "gpu01-ab".into(), ..Worker::default() };
        let told = table(std::slice::from_ref(&away), 4000, 80);
        assert!(told.contains("gpu01-ab        -     away   not since the restart"), "{told}");
        let object = json::worker(&away);
        for field in ["last_seen", "host", "version"] {
            assert_eq!(object[field], serde_json::Value::Null, "{field}");
        }
        let seen = json::worker(&Worker { last_seen: 1000, host: "h".into(), ..away });
        assert_eq!(
            (seen["last_seen"].as_str(), seen["host"].as_str()),
            (Some("1970-01-01T00:00:01.000Z"), Some("h"))
        );
    }

    #[test]
    fn workers_are_told_with_what_they_train() {
        let running = |seed| RunningTask {
            sweep: "small".into(),
            task: Some(v1::TaskId { sweep: 1, configuration: "0123456789abcdef".into(), seed }),
            attempt: 1,
            epoch: 3,
            epochs: 40,
            name: "audio=0.8 video=0.8".into(),
        };
        let offers = v1::Offers {
            trainers: vec![v1::TrainerKind::Networks.into(), v1::TrainerKind::Programs.into(), 9],
            gpu: true,
            memory_bytes: Some(4_000_000_000),
            threads: Some(1),
        };
        let slot = |index, tasks| WorkerSlot {
            index,
            device: "cpu x1".into(),
            max_cohort: 8,
            tasks,
            offers: Some(offers.clone()),
        };
        let workers = [
            Worker {
                worker: "gpu01-ab".into(),
                host: "gpu01".into(),
                connected: true,
                last_seen: 1000,
                slots: vec![
                    slot(0, (0..6).map(running).collect()),
                    WorkerSlot { offers: Some(v1::Offers::default()), ..slot(1, vec![]) },
                ],
                labels: vec!["big".into()],
                ..Worker::default()
            },
            Worker {
                worker: "gpu02-cd".into(),
                host: "gpu02".into(),
                draining: true,
                last_seen: 2000,
                ..Worker::default()
            },
        ];
        assert_eq!(
            table(&workers, 4000, 160),
            "\
worker    slot  host   state      last seen  device  offers                                         trains
──────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────
gpu01-ab     0  gpu01  connected    3 s ago  cpu x1  networks+programs, 1 thread, 4.0 GB, GPU, big  small/audio=0.8,video=0.8/0, attempt 1, epoch 3/40
                                                                                                    small/audio=0.8,video=0.8/1, attempt 1, epoch 3/40
                                                                                                    small/audio=0.8,video=0.8/2, attempt 1, epoch 3/40
                                                                                                    small/audio=0.8,video=0.8/3, attempt 1, epoch 3/40
                                                                                                    and 2 more
             1                               cpu x1  big                                            idle
gpu02-cd        gpu02  away         2 s ago"
        );
        let narrow = table(&workers, 4000, 80);
        assert!(narrow.lines().all(|line| line.chars().count() <= 80), "{narrow}");
        assert_eq!(narrow.matches("attempt 1, epoch 3/40").count(), 4, "{narrow}");
        let object = json::worker(&workers[0]);
        assert_eq!(object["labels"], json!(["big"]));
        let slot = &object["slots"][0];
        assert_eq!(slot["trainers"], json!(["networks", "programs"]));
        assert_eq!((&slot["memory"], &slot["threads"]), (&json!(4_000_000_000_u64), &json!(1)));
        assert_eq!((&slot["gpu"], &object["slots"][1]["memory"]), (&json!(true), &json!(null)));
    }
}
