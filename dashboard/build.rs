//! Finds uPlot, which `make uplot` fetches: beside the checkout's target folder, or where COLEARN_UPLOT points.

use std::{env, path::PathBuf};

const FILES: [&str; 3] = ["uPlot.iife.min.js", "uPlot.min.css", "LICENSE"];

fn main() {
    println!("cargo::rerun-if-env-changed=COLEARN_UPLOT");
    println!("cargo::rerun-if-changed=build.rs");
    let own = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default()).join("../.uplot");
    let folder = env::var_os("COLEARN_UPLOT").map_or(own, PathBuf::from);
    for name in FILES {
        let path = folder.join(name);
        if !path.is_file() {
            // A path that is missing makes cargo run this again, so that the build succeeds after `make uplot`.
            println!("cargo::rerun-if-changed={}", path.display());
            println!("cargo::error=uPlot is missing in {}: run `make uplot` once", folder.display());
            return;
        }
        println!("cargo::rerun-if-changed={}", path.display());
    }
    println!("cargo::rustc-env=COLEARN_UPLOT_FOLDER={}", folder.display());
}
