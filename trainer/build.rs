//! Tells the linker where the built binaries find libtorch: beside the checkout's target folder, or where
//! LIBTORCH points.

use std::path::PathBuf;

fn main() {
    println!("cargo:rerun-if-env-changed=LIBTORCH");
    println!("cargo:rerun-if-changed=build.rs");
    let libtorch = std::env::var_os("LIBTORCH")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../.libtorch"), PathBuf::from);
    let lib = libtorch.join("lib");
    let lib = lib.canonicalize().unwrap_or(lib);
    println!("cargo:rustc-link-arg=-Wl,-rpath,{}", lib.display());
    // Binaries that were moved together with a `lib` folder beside them.
    if cfg!(target_os = "macos") {
        println!("cargo:rustc-link-arg=-Wl,-rpath,@executable_path/lib");
    } else {
        println!("cargo:rustc-link-arg=-Wl,-rpath,$ORIGIN/lib");
    }
}
