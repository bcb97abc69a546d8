fn main() {
    let lib = std::env::var("DEP_G2D_LIBTORCH_LIB").unwrap();
    println!("cargo::rustc-link-arg=-Wl,-rpath,{lib},--no-as-needed,-L{lib},-ltorch");
}
