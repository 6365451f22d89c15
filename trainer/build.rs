//! Compiles the C interface to libtorch's fused operators, and tells the linker where the built programs find
//! libtorch: beside the checkout's target folder, or where LIBTORCH points.

use std::path::PathBuf;

fn main() {
    println!("cargo:rerun-if-env-changed=LIBTORCH");
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=src/fused/operators.cpp");
    let libtorch = std::env::var_os("LIBTORCH")
        .filter(|path| !path.is_empty())
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../.libtorch"), PathBuf::from);
    cc::Build::new()
        .cpp(true)
        .std("c++17")
        .include(libtorch.join("include"))
        .file("src/fused/operators.cpp")
        // Hide warnings of libtorch's own headers.
        .warnings(false)
        .compile("colearn_operators");

    // Resolve the link: `lib` may point into a Python's torch, and the files beside the real folder are needed too.
    let lib = libtorch.canonicalize().unwrap_or(libtorch).join("lib");
    println!("cargo:rustc-link-arg=-Wl,-rpath,{}", lib.display());
    // For programs that were moved together with a `lib` folder beside them.
    if cfg!(target_os = "macos") {
        println!("cargo:rustc-link-arg=-Wl,-rpath,@executable_path/lib");
    } else {
        println!("cargo:rustc-link-arg=-Wl,-rpath,$ORIGIN/lib");
    }
}
