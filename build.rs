//! Compiles the C++ shim and links libtorch: tests, examples and doc tests find it at run time
//! without `LD_LIBRARY_PATH`, and the linker keeps the CUDA part of libtorch.

use std::{env, fs, path::PathBuf};

/// The folder of the shim's C++ files.
const SHIM: &str = "src/libtorch";

fn main() {
    println!("cargo::rerun-if-changed={SHIM}");
    if env::var_os("CARGO_FEATURE_DOC_ONLY").is_some() {
        return;
    }
    let lib = PathBuf::from(env::var_os("DEP_TCH_LIBTORCH_LIB").expect(
        "torch-sys did not set DEP_TCH_LIBTORCH_LIB, the path of libtorch (on Linux and macOS)",
    ));
    println!("cargo::metadata=libtorch_lib={}", lib.display());

    println!("cargo::rerun-if-env-changed=LIBTORCH_INCLUDE");
    let root = env::var_os("LIBTORCH_INCLUDE")
        .map(PathBuf::from)
        .or_else(|| lib.parent().map(PathBuf::from))
        .expect("libtorch's lib folder has a parent folder with include/");
    let include = root.join("include");
    let shim = fs::read_dir(SHIM).expect("the package has the folder of the shim");
    let mut shim: Vec<PathBuf> = shim.filter_map(|file| Some(file.ok()?.path())).collect();
    shim.retain(|file| file.extension().is_some_and(|extension| extension == "cpp"));
    shim.sort();
    cc::Build::new()
        .cpp(true)
        .std("c++20")
        .warnings(false)
        .include(include.join("torch/csrc/api/include"))
        .include(include)
        .files(shim)
        .compile("g2d_shim");

    println!("cargo::rustc-link-arg=-Wl,-rpath,{}", lib.display());
    if env::var("CARGO_CFG_TARGET_OS").as_deref() == Ok("linux") {
        println!("cargo::rustc-link-arg=-Wl,--no-as-needed");
        println!("cargo::rustc-link-arg=-L{}", lib.display());
        println!("cargo::rustc-link-arg=-ltorch");
    }
}
