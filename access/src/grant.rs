//! The right that a credential gives: a role, and the name of its holder.

use std::{fmt, str::FromStr};

/// The scheme of the URI in a certificate that says its grant.
const SCHEME: &str = "colearn:";
/// Maximum length of a name, in bytes: a worker's identifier has digits behind it.
const MAX_NAME: usize = 64;

/// The role of a credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// To see everything, and to change nothing.
    Look,
    /// To submit, change and remove sweeps as well.
    Operate,
    /// To be a worker, and nothing else.
    Work,
}

/// The role that a method needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// Any credential.
    Any,
    /// [`Role::Look`] or [`Role::Operate`].
    Look,
    /// [`Role::Operate`].
    Operate,
    /// [`Role::Work`].
    Work,
}

impl Role {
    /// All roles.
    pub const ALL: [Self; 3] = [Self::Look, Self::Operate, Self::Work];

    /// The word for it in certificates and on the command line.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Look => "look",
            Self::Operate => "operate",
            Self::Work => "work",
        }
    }

    /// Whether a holder of this role may call a method.
    #[must_use]
    pub fn satisfies(self, need: Need) -> bool {
        match need {
            Need::Any => true,
            Need::Look => matches!(self, Self::Look | Self::Operate),
            Need::Operate => self == Self::Operate,
            Need::Work => self == Self::Work,
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

impl fmt::Display for Need {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Any => "any",
            Self::Look => "look",
            Self::Operate => "operate",
            Self::Work => "work",
        })
    }
}

impl FromStr for Role {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|role| role.word() == text)
            .ok_or_else(|| format!("`{text}` is not a role: look, operate or work"))
    }
}

/// A role, and the name of whoever has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    role: Role,
    name: Option<String>,
}

impl Grant {
    /// The credential that several workers share: each may have any name that no other credential has.
    pub const SHARED_WORK: Self = Self { role: Role::Work, name: None };

    /// A role for the holder of a name.
    ///
    /// # Errors
    /// If the name is empty, too long, or has other characters than letters, digits, `.`, `_` and `-`.
    pub fn new(role: Role, name: &str) -> Result<Self, String> {
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        let begins = name.starts_with(|c: char| c.is_ascii_alphanumeric());
        if begins && name.len() <= MAX_NAME && name.chars().all(allowed) {
            return Ok(Self { role, name: Some(name.to_owned()) });
        }
        Err(format!(
            "a name has at most {MAX_NAME} letters, digits, `.`, `_` and `-`, and begins with a letter or digit"
        ))
    }

    /// The role.
    #[must_use]
    pub fn role(&self) -> Role {
        self.role
    }

    /// The holder; `None` for a credential that several workers share.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// The holder, for people.
    #[must_use]
    pub fn holder(&self) -> &str {
        self.name.as_deref().unwrap_or("worker")
    }

    /// The URI in its certificate.
    #[must_use]
    pub fn uri(&self) -> String {
        match &self.name {
            Some(name) => format!("{SCHEME}{}/{name}", self.role),
            None => format!("{SCHEME}{}", self.role),
        }
    }

    /// The grant that a URI says; `None` for a URI of another scheme.
    ///
    /// # Errors
    /// If it has the scheme, and no role and name.
    pub fn of_uri(uri: &str) -> Option<Result<Self, String>> {
        let rest = uri.strip_prefix(SCHEME)?;
        Some(match rest.split_once('/') {
            Some((role, name)) => role.parse().and_then(|role| Self::new(role, name)),
            None => match rest.parse() {
                Ok(Role::Work) => Ok(Self::SHARED_WORK),
                Ok(role) => Err(format!("`{SCHEME}{role}` names nobody: {SCHEME}{role}/NAME")),
                Err(error) => Err(error),
            },
        })
    }

    /// Whether a worker with this credential may have this identifier, which is its name with digits behind it.
    /// `taken` are the names of the credentials of other workers.
    ///
    /// # Errors
    /// The reason why not.
    pub fn may_be_worker(&self, worker: &str, taken: impl Fn(&str) -> bool) -> Result<(), String> {
        let called = worker.rsplit_once('-').map_or(worker, |(name, _)| name);
        match &self.name {
            Some(own) if called == own => Ok(()),
            Some(own) => Err(format!(
                "the credential of worker `{own}` is not one of `{worker}`: a worker with it is called `{own}`"
            )),
            None if taken(called) => Err(format!(
                "the name `{called}` belongs to another credential: start this worker with --name, or with the access file of `{called}`"
            )),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Grant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.holder(), self.role)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_larger_role_has_the_rights_of_a_smaller_and_work_is_apart() {
        let allowed = |need| Role::ALL.map(|role| role.satisfies(need));
        // Look, operate, work.
        assert_eq!(allowed(Need::Any), [true, true, true]);
        assert_eq!(allowed(Need::Look), [true, true, false]);
        assert_eq!(allowed(Need::Operate), [false, true, false]);
        assert_eq!(allowed(Need::Work), [false, false, true]);
    }

    #[test]
    fn a_grant_is_read_as_it_was_written() {
        let named = Role::ALL.map(|role| Grant::new(role, "anna-1.x_y").unwrap());
        for grant in named.into_iter().chain([Grant::SHARED_WORK]) {
            assert_eq!(Grant::of_uri(&grant.uri()), Some(Ok(grant)));
        }
        assert_eq!(Grant::of_uri("https://example.org"), None);
        for bad in ["colearn:", "colearn:root/x", "colearn:operate", "colearn:look/", "colearn:work/a b"] {
            assert!(Grant::of_uri(bad).unwrap().is_err(), "{bad}");
        }
        assert!(Grant::new(Role::Look, &"x".repeat(65)).is_err());
        assert!(Grant::new(Role::Look, "../x").is_err());
    }

    #[test]
    fn a_name_belongs_to_its_credential() {
        let own = Grant::new(Role::Work, "gpu-1").unwrap();
        let taken = |name: &str| name == "gpu-1";
        assert_eq!(own.may_be_worker("gpu-1-0123456789ab", taken), Ok(()));
        for other in ["gpu-2-0123456789ab", "gpu-1", "gpu-1-x-0123456789ab", "gpu-1x-0123456789ab"] {
            assert!(own.may_be_worker(other, taken).is_err(), "{other}");
        }
        let shared = Grant::SHARED_WORK;
        assert_eq!(shared.may_be_worker("node7-0123456789ab", taken), Ok(()));
        assert!(shared.may_be_worker("gpu-1-0123456789ab", taken).is_err());
        assert!(shared.may_be_worker("gpu-1-", taken).is_err());
    }
}
