//! `docs/template`: a downstream crate that depends on `g2d` and `tch` alone, and the README's code.

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

/// The target folder that this test was built in: torch-sys is taken from there, where building it
/// again costs more than a minute.
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

/// Copied out of the checkout, built with what this checkout has fetched and built already, and
/// started with an empty environment.
#[test]
fn a_downstream_crate_builds_and_its_binary_starts_by_itself() {
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

    // The settings that `[profile.dev]` has here: with others torch-sys would be another.
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["build", "--offline", "--quiet"]);
    cargo.args(["--config", "profile.dev.opt-level=2"]);
    cargo.args(["--config", "profile.dev.debug='line-tables-only'"]);
    cargo.args(["--config", "profile.dev.package.torch-sys.opt-level=0"]);
    cargo.env("CARGO_TARGET_DIR", target()).env_remove("LD_LIBRARY_PATH");
    output(cargo.current_dir(folder.path()));

    let binary = target().join("debug").join("my-training");
    let said = output(Command::new(&binary).env_clear());
    let said = String::from_utf8(said.stdout).unwrap();
    let accuracy = said.strip_prefix("accuracy on unseen samples: ").expect(&said);
    let accuracy: f64 = accuracy.trim_end().strip_suffix(" %").expect(&said).parse().unwrap();
    assert!(accuracy > 60.0, "four classes, {accuracy} % right: the template has learned nothing");
}

/// What a reader sees of the README's blocks in `language`.
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
fn bare(code: &str) -> String {
    let code: String = code.split_whitespace().collect();
    code.replace(",}", "}")
}

#[test]
fn the_readme_shows_the_template() {
    let main = bare(&read("docs/template/src/main.rs"));
    let [build] = blocks("rust,ignore").try_into().expect("one build.rs in the README");
    assert_eq!(build.trim_end(), read("docs/template/build.rs").trim_end());

    let code = [blocks("rust"), blocks("rust,no_run")].concat();
    assert!(code.iter().any(|block| block.contains("impl Student for Model")), "{code:?}");
    assert!(code.iter().any(|block| block.contains("trainer.step(model")), "{code:?}");
    for block in &code {
        let body: Vec<&str> = block.lines().filter(|line| !line.starts_with("use ")).collect();
        assert!(main.contains(&bare(&body.join("\n"))), "not in the template:\n{block}");
    }

    let tch = |manifest: &str| {
        let line = manifest.lines().find(|line| line.starts_with("tch = ")).unwrap();
        line.split('"').nth(1).unwrap().to_owned()
    };
    let versions = [&blocks("toml")[0], &read("docs/template/Cargo.toml")].map(|text| tch(text));
    assert_eq!(versions, [tch(&read("Cargo.toml")), tch(&read("Cargo.toml"))]);
}
