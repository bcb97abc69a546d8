//! Compiles the C++ shim and links libtorch: tests, examples and doc tests find it at run time
//! without `LD_LIBRARY_PATH`, and the linker keeps the CUDA part of libtorch.

use std::{env, fs, io, path::PathBuf};

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
    let units = translation_units().expect("the shim is read and its units are written");
    cc::Build::new()
        .cpp(true)
        .std("c++20")
        .warnings(false)
        // It calls libtorch and does nothing that an optimisation could speed up.
        .opt_level(0)
        .debug(false)
        .include(SHIM)
        .include(include.join("torch/csrc/api/include"))
        .include(include)
        .files(units)
        .compile("g2d_shim");

    println!("cargo::rustc-link-arg=-Wl,-rpath,{}", lib.display());
    if env::var("CARGO_CFG_TARGET_OS").as_deref() == Ok("linux") {
        println!("cargo::rustc-link-arg=-Wl,--no-as-needed");
        println!("cargo::rustc-link-arg=-L{}", lib.display());
        println!("cargo::rustc-link-arg=-ltorch");
    }
}

/// Writes a file for each set of libtorch's headers, which includes the files of the shim that need it.
/// The headers take most of the time to compile.
fn translation_units() -> io::Result<[PathBuf; 2]> {
    let mut shim: Vec<PathBuf> =
        fs::read_dir(SHIM)?.map(|file| Ok(file?.path())).collect::<io::Result<_>>()?;
    shim.retain(|file| file.extension().is_some_and(|extension| extension == "cpp"));
    shim.sort();
    let [mut tensors, mut scripts] = [String::new(), String::new()];
    for file in shim {
        let needs_jit = fs::read_to_string(&file)?.contains("<torch/csrc/jit/");
        let unit = if needs_jit { &mut scripts } else { &mut tensors };
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        unit.push_str(&format!("#include \"{name}\"\n"));
    }
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    let units = [out.join("tensors.cpp"), out.join("scripts.cpp")];
    fs::write(&units[0], tensors)?;
    fs::write(&units[1], scripts)?;
    Ok(units)
}
