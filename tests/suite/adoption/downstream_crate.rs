//! `docs/template`: a downstream crate that depends on `g2d` and `tch` alone; the README shows its
//! code.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

fn read(path: &str) -> String {
    fs::read_to_string(checkout().join(path)).unwrap()
}

fn checkout() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The target folder that this test was built in. torch-sys is taken from there, since building it
/// again takes more than a minute.
fn target() -> PathBuf {
    // target/debug/deps/suite-…
    std::env::current_exe().unwrap().ancestors().nth(3).unwrap().to_owned()
}

fn output(command: &mut Command) -> Output {
    let output = command.output().unwrap();
    let (out, err) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{command:?} failed:\n{out}\n{err}");
    output
}

/// The crate is copied out of the checkout, built offline into the same target folder, and started
/// with an empty environment.
#[test]
fn a_downstream_crate_builds_and_its_binary_starts_without_environment() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("src")).unwrap();
    for file in ["build.rs", "src/main.rs"] {
        fs::write(folder.path().join(file), read(&format!("docs/template/{file}"))).unwrap();
    }
    fs::write(folder.path().join("Cargo.lock"), read("Cargo.lock")).unwrap();
    let manifest = read("docs/template/Cargo.toml");
    assert!(manifest.contains(r#"path = "../..""#), "the template's path to g2d");
    let here = manifest.replace(r#""../..""#, &format!("{:?}", checkout()));
    fs::write(folder.path().join("Cargo.toml"), here).unwrap();

    // The settings of `[profile.dev]` here; with others cargo would build torch-sys again.
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["build", "--offline", "--quiet"]);
    cargo.args(["--config", "profile.dev.opt-level=2"]);
    cargo.args(["--config", "profile.dev.debug='line-tables-only'"]);
    cargo.args(["--config", "profile.dev.package.torch-sys.opt-level=0"]);
    cargo.args(["--config", "profile.dev.package.g2d.opt-level=0"]);
    cargo.env("CARGO_TARGET_DIR", target()).env_remove("LD_LIBRARY_PATH");
    output(cargo.current_dir(folder.path()));

    let binary = target().join("debug").join("my-training");
    let text = output(Command::new(&binary).env_clear());
    let text = String::from_utf8(text.stdout).unwrap();
    let accuracy = text.strip_prefix("accuracy on unseen samples: ").expect(&text);
    let accuracy: f64 = accuracy.trim_end().strip_suffix(" %").expect(&text).parse().unwrap();
    assert!(accuracy > 60.0, "four classes, {accuracy} % right: the template has learned nothing");
}

/// The README's code blocks in `language`, without lines that rustdoc hides.
fn blocks(language: &str) -> Vec<String> {
    let readme = read("README.md");
    let fence = format!("```{language}\n");
    let bodies = readme.split(&fence).skip(1).map(|rest| rest.split("```").next().unwrap());
    let visible = |body: &str| {
        let lines = body.lines().filter(|line| !line.starts_with("# ") && *line != "#");
        lines.collect::<Vec<_>>().join("\n")
    };
    bodies.map(visible).collect()
}

/// The code without its layout.
fn without_layout(code: &str) -> String {
    let code: String = code.split_whitespace().collect();
    code.replace(",}", "}")
}

#[test]
fn the_code_in_the_readme_is_that_of_the_template() {
    let main = without_layout(&read("docs/template/src/main.rs"));
    let [build] = blocks("rust,ignore").try_into().expect("one build.rs in the README");
    assert_eq!(build.trim_end(), read("docs/template/build.rs").trim_end());

    let code = [blocks("rust"), blocks("rust,no_run")].concat();
    assert!(code.iter().any(|block| block.contains("impl Student for Model")), "{code:?}");
    assert!(code.iter().any(|block| block.contains("trainer.step(model")), "{code:?}");
    for block in &code {
        let body: Vec<&str> = block.lines().filter(|line| !line.starts_with("use ")).collect();
        assert!(main.contains(&without_layout(&body.join("\n"))), "not in the template:\n{block}");
    }

    let tch = |manifest: &str| {
        let line = manifest.lines().find(|line| line.starts_with("tch = ")).unwrap();
        line.split('"').nth(1).unwrap().to_owned()
    };
    let versions = [&blocks("toml")[0], &read("docs/template/Cargo.toml")].map(|text| tch(text));
    assert_eq!(versions, [tch(&read("Cargo.toml")), tch(&read("Cargo.toml"))]);
}
