//! Finds sweeps, configurations and workers by the names that users give: with typing errors, or only the beginning
//! of an id.

use colearn_proto::v1;

use super::{
    Client, pages,
    request::{listed, others},
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

/// The tasks of the sweep `name` that the references name.
///
/// # Errors
/// If there is no such sweep, or if no or several configurations have an id with this beginning.
pub(super) async fn tasks(
    client: &mut Client,
    name: &str,
    wanted: &[TaskReference],
) -> Result<Vec<v1::TaskReference>, Failure> {
    if wanted.is_empty() {
        return Ok(Vec::new());
    }
    let configurations = pages::sweep(client, name, None).await?.configurations;
    let ids: Vec<String> = configurations.into_iter().map(|row| row.configuration).collect();
    let found = |task: &TaskReference| {
        let configuration = configuration(name, task.configuration.as_str(), &ids)?;
        Ok(v1::TaskReference { configuration, seed: task.seed })
    };
    wanted.iter().map(found).collect()
}

fn configuration(name: &str, wanted: &str, ids: &[String]) -> Result<String, Failure> {
    let message = match pick(wanted, ids) {
        Picked::One(id) => return Ok(id.clone()),
        Picked::Nobody => {
            format!("{name} has no configuration `{wanted}`; {}", others(wanted, ids, "configuration"))
        }
        Picked::Several(several) => {
            format!(
                "{name} has several configurations that begin with `{wanted}`: {}; give more digits",
                listed(&several)
            )
        }
    };
    Err(Failure::new(Exit::NotFound, message))
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
    fn an_id_that_is_unknown_or_ambiguous_lists_what_could_be_meant() {
        let known = ids(&["0123456789abcdef", "0123ffffffffffff", "aaaa000000000000"]);
        let told = |wanted| {
            let failure = configuration("small", wanted, &known).unwrap_err();
            assert_eq!(failure.exit, Exit::NotFound);
            failure.message
        };
        let message = told("0123");
        assert!(message.contains("0123456789abcdef, 0123ffffffffffff; give more digits"), "{message}");
        let message = told("bbbb");
        assert!(message.contains("small has no configuration `bbbb`"), "{message}");
        assert!(message.contains("0123456789abcdef, 0123ffffffffffff, aaaa000000000000"), "{message}");
        let message = told("aaaa000000000001");
        assert!(message.contains("did you mean `aaaa000000000000`?"), "{message}");

        let message = worker_of("gpu3", &ids(&["gpu1-ab", "cpu-cd"])).unwrap_err().message;
        assert!(message.contains("the workers are gpu1-ab, cpu-cd"), "{message}");
        assert!(worker_of("gpu3", &[]).unwrap_err().message.contains("none is connected"));
    }
}
