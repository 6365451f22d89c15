//! The wire format of colearn and its conversions to and from core types.
//!
//! The generated types are used only at the edges of coordinator, agent and command: everything inside uses
//! `colearn_core`, and [`worker`] for the messages between workers and coordinator. [`convert`] and [`worker`] are the
//! only places that convert wire types.

pub mod convert;
pub mod versions;
pub mod worker;

/// The generated types and services of `colearn.v1`. `make proto` writes them anew.
#[expect(
    missing_docs,
    clippy::allow_attributes,
    clippy::allow_attributes_without_reason,
    clippy::large_enum_variant,
    reason = "generated; the documentation is in the .proto files"
)]
pub mod v1 {
    include!("generated/colearn.v1.rs");
}

/// The encoded `FileDescriptorSet` of `colearn.v1`, for gRPC reflection.
pub const DESCRIPTORS: &[u8] = include_bytes!("generated/descriptors.bin");

/// Maximum size of a message that either side accepts, in bytes. It also limits the decompressed size.
pub const MAX_MESSAGE_BYTES: usize = 4 << 20;
