//! Writes `proto/src/generated` from `proto/colearn/v1/*.proto`, with protox instead of a system protoc: `make proto`.
//!
//! The generated files are kept in the repository. Generating them in every build would need 22 more crates.

use std::{error::Error, fs, path::Path, process::ExitCode};

const FILES: [&str; 4] = [
    "colearn/v1/types.proto",
    "colearn/v1/sweep_service.proto",
    "colearn/v1/worker_service.proto",
    "colearn/v1/pool_service.proto",
];
const GENERATED: [&str; 2] = ["colearn.v1.rs", "descriptors.bin"];

fn main() -> ExitCode {
    let proto = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    match generate(&proto, &proto.join("src/generated")) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Writes the files that [`GENERATED`] names into the folder `out`.
fn generate(proto: &Path, out: &Path) -> Result<(), Box<dyn Error>> {
    let descriptors = protox::compile(FILES, [proto])?;
    let [_, for_reflection] = GENERATED;
    fs::write(out.join(for_reflection), prost::Message::encode_to_vec(&descriptors))?;
    tonic_prost_build::configure().out_dir(out).compile_fds(descriptors)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_generated_files_are_those_of_the_proto_files() {
        let folder = tempfile::tempdir().unwrap();
        let proto = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        generate(&proto, folder.path()).unwrap();
        for name in GENERATED {
            let [new, kept] =
                [folder.path(), &proto.join("src/generated")].map(|at| fs::read(at.join(name)).unwrap());
            assert!(new == kept, "{name} is not up to date: run `make proto`");
        }
    }
}
