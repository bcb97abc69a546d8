//! The example `adopt`: a large application in a hundred lines.

use std::{fs, path::Path, process::Command};

use g2d::record::Run;

use crate::support::skipped;

#[test]
fn the_example_adopt_has_at_most_100_lines_of_g2d() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/adopt/main.rs");
    let source = fs::read_to_string(&path).unwrap();
    let is_code = |line: &&str| !line.is_empty() && !line.starts_with("//");
    let count = source.lines().map(str::trim).filter(is_code).count();
    assert!((60..=100).contains(&count), "{count} lines; expected at most 100");
    for plain in ["arguments.rs", "model.rs"] {
        let source = fs::read_to_string(path.with_file_name(plain)).unwrap();
        assert!(!source.contains("g2d::"), "{plain} uses g2d");
    }
}

#[test]
fn the_example_adopt_trains_resumes_and_exports() {
    let test = std::env::current_exe().unwrap();
    let examples = test.parent().unwrap().parent().unwrap().join("examples");
    let example = examples.join("adopt").with_extension(std::env::consts::EXE_EXTENSION);
    if !example.exists() {
        return skipped("the example adopt was not built");
    }
    let out = tempfile::tempdir().unwrap();
    for epochs in [1, 2] {
        let mut command = Command::new(&example);
        let output = command.args(["--epochs", &epochs.to_string()]).arg("--out").arg(out.path());
        let output = output.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let lines = String::from_utf8(output.stdout).unwrap();
        assert_eq!(lines.lines().count(), 1, "one new epoch: {lines}");
        let run = Run::read(out.path().join("run")).unwrap();
        assert_eq!(run.epochs.len(), epochs);
        assert!(run.outcome.is_some() && run.notes.is_empty(), "{:?}", run.notes);
    }
    assert!(tch::CModule::load(out.path().join("student.pt")).is_ok());
}
