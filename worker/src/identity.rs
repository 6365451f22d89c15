//! The identity of this worker.

use colearn_core::id::{IdError, WorkerId};
use uuid::Uuid;

/// The name of this host, or `unknown-host`.
#[must_use]
pub(crate) fn host() -> String {
    nix::unistd::gethostname()
        .ok()
        .and_then(|name| name.into_string().ok())
        .filter(|name| !name.is_empty())
        .unwrap_or_else(|| "unknown-host".to_owned())
}

/// An identifier that no other run of a worker has: the allowed characters of `name`, and a few random digits.
///
/// # Errors
/// If no character of the name is allowed; never for a name with a letter.
pub(crate) fn worker_id(name: &str) -> Result<WorkerId, IdError> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    let name: String = name.chars().map(|c| if allowed(c) { c } else { '-' }).take(100).collect();
    let mut digits = Uuid::new_v4().simple().to_string();
    digits.truncate(12);
    WorkerId::new(format!("{name}-{digits}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_runs_have_the_same_identifier() {
        let (one, two) = (worker_id("host.example").unwrap(), worker_id("host.example").unwrap());
        assert_ne!(one, two);
        assert!(one.as_str().starts_with("host.example-"));
    }

    #[test]
    fn any_name_makes_an_identifier() {
        for name in ["", "Jörg's Rechner", &"x".repeat(300)] {
            assert!(worker_id(name).is_ok(), "{name}");
        }
    }
}
