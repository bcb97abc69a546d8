//! Passes the linker the folder of libtorch; with `doc-only` there is none.

fn main() {
    if let Ok(lib) = std::env::var("DEP_G2D_LIBTORCH_LIB") {
        println!("cargo::rustc-link-arg=-Wl,-rpath,{lib},--no-as-needed,-L{lib},-ltorch");
    }
}
