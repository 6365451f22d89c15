//! Common parts of all requests: reading an answer, and suggestions for an unknown name.

use colearn_core::sweep::did_you_mean;
use colearn_proto::v1::{self, SweepSummary};
use tonic::{Code, Response, Status};

use super::Client;
use crate::exit::{Exit, Failure};

/// Maximum number of names in an error.
const MAX_LISTED: usize = 10;

/// The answer to a request about the sweep `name`. If there is no such sweep, the failure lists similar or existing
/// names.
pub(super) async fn answered<T>(
    client: &mut Client,
    name: &str,
    answer: Result<Response<T>, Status>,
) -> Result<T, Failure> {
    let status = match answer {
        Ok(response) => return Ok(response.into_inner()),
        Err(status) => status,
    };
    let mut failure = client.failure(&status);
    if status.code() == Code::NotFound
        && let Ok(listed) = client.list_sweeps(v1::ListSweepsRequest {}).await
    {
        let names: Vec<String> = listed.into_inner().sweeps.into_iter().map(|sweep| sweep.name).collect();
        // Otherwise something else was not found.
        if !names.iter().any(|known| known == name) {
            failure.message += &format!("; {}", others(name, &names, "sweep"));
        }
    }
    Err(failure)
}

/// Suggestions for `name`.
pub(super) fn others(name: &str, known: &[String], noun: &str) -> String {
    if known.is_empty() {
        return format!("there is no {noun} yet");
    }
    let names = known.iter().map(String::as_str);
    did_you_mean(name, names).unwrap_or_else(|| format!("the {noun}s are {}", listed(known)))
}

/// Names, of which the first are written out.
pub(super) fn listed(names: &[impl AsRef<str>]) -> String {
    let shown: Vec<&str> = names.iter().take(MAX_LISTED).map(AsRef::as_ref).collect();
    let more = match names.len().saturating_sub(shown.len()) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    shown.join(", ") + &more
}

/// The sweep in an answer; it is always present.
pub(super) fn summary_of(sweep: Option<SweepSummary>) -> Result<SweepSummary, Failure> {
    sweep.ok_or_else(|| {
        Failure::new(Exit::Failure, "the coordinator's answer has no sweep; are both of one version?")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_lists_are_cut() {
        let many: Vec<String> = (0..12).map(|index| format!("s{index}")).collect();
        assert_eq!(
            others("demo", &many, "sweep"),
            "the sweeps are s0, s1, s2, s3, s4, s5, s6, s7, s8, s9 and 2 more"
        );
        assert_eq!(others("demo", &[], "sweep"), "there is no sweep yet");
        assert_eq!(others("dmeo", &["other".to_owned(), "demo".to_owned()], "sweep"), "did you mean `demo`?");
    }
}
