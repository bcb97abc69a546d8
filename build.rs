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
        .include(PathBuf::from(SHIM).join("stubs"))
        .include(include.join("torch/csrc/api/include"))
        .include(include)
        .files(units)
        .compile("g2d_shim");

    println!("cargo::rustc-link-arg=-Wl,-rpath,{}", lib.display());
    if env::var("CARGO_CFG_TARGET_OS").as_deref() == Ok("linux") {
        println!("cargo::rustc-link-arg=-Wl,--no-as-needed");
        println!("cargo::rustc-link-arg=-L{}", lib.display());
        println!("cargo::rustc-link-arg=-ltorch");
        if env::var_os("CARGO_FEATURE_DISTRIBUTED").is_some() {
            println!("cargo::rustc-link-arg=-ldl"); // `dlsym`, before glibc 2.34
        }
    }
}

/// Writes a file for each set of libtorch's headers, which includes the files of the shim that need it.
/// The headers take most of the time to compile. Process groups are left out without their feature.
fn translation_units() -> io::Result<Vec<PathBuf>> {
    let mut shim: Vec<PathBuf> =
        fs::read_dir(SHIM)?.map(|file| Ok(file?.path())).collect::<io::Result<_>>()?;
    shim.retain(|file| file.extension().is_some_and(|extension| extension == "cpp"));
    shim.sort();
    let [mut tensors, mut scripts, mut groups] = [String::new(), String::new(), String::new()];
    for file in shim {
        let text = fs::read_to_string(&file)?;
        let unit = if text.contains("\"c10d.h\"") {
            &mut groups
        } else if text.contains("<torch/csrc/jit/") {
            &mut scripts
        } else {
            &mut tensors
        };
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        unit.push_str(&format!("#include \"{name}\"\n"));
    }
    let mut units = vec![("tensors.cpp", tensors), ("scripts.cpp", scripts)];
    if env::var_os("CARGO_FEATURE_DISTRIBUTED").is_some() {
        units.push(("groups.cpp", groups));
    }
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    let write = |(name, text): (&str, String)| {
        let file = out.join(name);
        fs::write(&file, text).map(|()| file)
    };
    units.into_iter().map(write).collect()
}
