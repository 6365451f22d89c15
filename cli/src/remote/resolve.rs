//! Finds the tasks and workers that users name.

use colearn_core::names::Criteria;
use colearn_proto::v1;

use super::{
    Client, pages,
    request::{answered, listed, others},
};
use crate::{
    args::TaskReference,
    exit::{Exit, Failure},
};

/// The result of looking up an id by its beginning.
#[derive(Debug, PartialEq, Eq)]
enum Picked<'i> {
    One(&'i String),
    Nobody,
    Several(Vec<&'i String>),
}

/// Finds an id by its beginning. A complete id is always unique, even if another id begins with it.
fn pick<'i>(wanted: &str, ids: &'i [String]) -> Picked<'i> {
    if let Some(id) = ids.iter().find(|id| *id == wanted) {
        return Picked::One(id);
    }
    match ids.iter().filter(|id| id.starts_with(wanted)).collect::<Vec<_>>()[..] {
        [] => Picked::Nobody,
        [id] => Picked::One(id),
        ref several => Picked::Several(several.to_vec()),
    }
}

/// The configuration of the sweep `name` that a person names.
///
/// # Errors
/// If there is no such sweep, or if no or several configurations may be meant.
pub(super) async fn configuration(
    client: &mut Client,
    name: &str,
    wanted: &Criteria,
) -> Result<v1::FindConfigurationResponse, Failure> {
    let wanted = wanted.as_str().to_owned();
    let request = v1::FindConfigurationRequest { name: name.to_owned(), wanted };
    let answer = client.find_configuration(request).await;
    answered(client, name, answer).await
}

/// The tasks of the sweep `name` that the references name.
///
/// # Errors
/// As [`configuration`].
pub(super) async fn tasks(
    client: &mut Client,
    name: &str,
    wanted: &[TaskReference],
) -> Result<Vec<v1::TaskReference>, Failure> {
    let mut tasks = Vec::new();
    for task in wanted {
        let configuration = configuration(client, name, &task.configuration).await?.configuration;
        tasks.push(v1::TaskReference { configuration, seed: task.seed });
    }
    Ok(tasks)
}

/// The tasks that the references name, as configuration and seed.
///
/// # Errors
/// As [`configuration`].
pub(crate) async fn pairs(
    client: &mut Client,
    name: &str,
    wanted: &[TaskReference],
) -> Result<Vec<(String, u64)>, Failure> {
    let tasks = tasks(client, name, wanted).await?;
    Ok(tasks.into_iter().map(|task| (task.configuration, task.seed)).collect())
}

/// The id of the worker that `wanted` names, among those that the coordinator knows.
///
/// # Errors
/// If no worker or several workers have an id with this beginning.
pub(super) async fn worker(client: &mut Client, wanted: &str) -> Result<String, Failure> {
    let ids: Vec<String> = pages::workers(client).await?.into_iter().map(|worker| worker.worker).collect();
    worker_of(wanted, &ids)
}

fn worker_of(wanted: &str, ids: &[String]) -> Result<String, Failure> {
    let message = match pick(wanted, ids) {
        Picked::One(id) => return Ok(id.clone()),
        Picked::Nobody if ids.is_empty() => {
            format!("there is no worker `{wanted}`; none is connected")
        }
        Picked::Nobody => format!("there is no worker `{wanted}`; {}", others(wanted, ids, "worker")),
        Picked::Several(several) => {
            format!("several workers begin with `{wanted}`: {}; give more of the id", listed(&several))
        }
    };
    Err(Failure::new(Exit::NotFound, message))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(ids: &[&str]) -> Vec<String> {
        ids.iter().map(|&id| id.to_owned()).collect()
    }

    #[test]
    fn the_beginning_of_an_id_is_enough_if_it_is_one() {
        let known = ids(&["gpu1", "gpu1-ab", "gpu2-cd"]);
        assert_eq!(pick("gpu2", &known), Picked::One(&known[2]));
        assert_eq!(pick("gpu1", &known), Picked::One(&known[0]), "the whole id is that one");
        assert_eq!(pick("gpu", &known), Picked::Several(known.iter().collect()));
        assert_eq!(pick("cpu", &known), Picked::Nobody);
    }

    #[test]
    fn a_worker_that_is_unknown_lists_the_known_ones() {
        let message = worker_of("gpu3", &ids(&["gpu1-ab", "cpu-cd"])).unwrap_err().message;
        assert!(message.contains("the workers are gpu1-ab, cpu-cd"), "{message}");
        assert!(worker_of("gpu3", &[]).unwrap_err().message.contains("none is connected"));
    }
}
