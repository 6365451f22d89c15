//! Tests of the format through its public interface. They are one program, so that linking happens once.
#![expect(clippy::unwrap_used, reason = "in a test, a step that fails is a test that fails")]

mod errors;
mod files;
mod inspect;
mod mutation;
mod round_trip;
mod support;
