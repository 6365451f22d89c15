//! Who may do what at a coordinator.
//!
//! A coordinator that others can reach speaks TLS 1.3, and lets in only clients with a certificate of its authority
//! ([`Authority`]), which says a role and a holder ([`Grant`]). A client has all that it needs in one file
//! ([`AccessFile`]). [`AccessFolder`] keeps what a coordinator gave and took back, [`ServerAccess`] decides at its
//! door, and [`connect`] is the other side. What a role may do there, the coordinator's services decide.

mod address;
mod authority;
mod client;
mod door;
mod error;
mod file;
mod folder;
mod grant;
mod identity;
mod moment;
mod parts;
mod pem;
pub mod place;
mod secret;
mod server;
mod stream;
mod visits;

pub use address::{AddressError, Way};
pub use authority::Authority;
pub use client::{Denied, connect, denied};
pub use door::{LetIn, Refused, let_in};
pub use error::AccessError;
pub use file::AccessFile;
pub use folder::{AccessFolder, Given, Standing, VALID_FOR};
pub use grant::{Grant, Need, Role};
pub use identity::{Identity, NoIdentity};
pub use moment::{DAY, IN_GOOD_TIME, Moment};
pub use parts::{PartFiles, Parts, read_secret};
pub use server::{Ended, ServerAccess, Source};
pub use visits::Visit;
