//! The direction of imports between the modules of g2d, whose tests would build a parser of Rust for it.
//!
//! `source.rs` reads the source. Test code in `src` is not checked.

mod source;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use source::{Crate, ModulePath, Reference, Visibility};

/// The modules of the crate in layers from low to high, as in docs/architecture.md. A module imports
/// from lower layers only.
const LAYERS: &[&[&str]] = &[
    &["error"],
    &["libtorch", "modality", "number"],
    &["allocator", "ranks", "state", "transfer", "unwind"],
    &["batch", "distributed", "file", "mean", "metrics"],
    &["parameters", "torchscript"],
    &["schedule", "student", "teacher"],
    &["heads", "loss"],
    &["step"],
    &["data", "diagnosis", "modulation", "optim", "probe", "weights"],
    &["trainer"],
    &["algorithm"],
    &["calibration", "checkpoint", "record"],
    &["export", "paper", "report"],
];

/// The modules that use the public API alone.
const ON_PUBLIC_API: [&str; 2] = ["paper", "report"];

/// The largest number of names at the root.
const ROOT_NAMES: usize = 20;

fn this_crate() -> Crate {
    Crate::read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../src"))
}

#[track_caller]
fn assert_none(violations: &[String]) {
    assert!(violations.is_empty(), "\n{}\n", violations.join("\n"));
}

fn layer(module: &str) -> Option<usize> {
    LAYERS.iter().position(|layer| layer.contains(&module))
}

/// The references to another module at the top level, with their absolute paths. References of lib.rs
/// are left out.
fn between_modules(found: &Crate) -> impl Iterator<Item = (&Reference, ModulePath)> {
    let absolute = |r: &Reference| found.absolute(&r.module, &r.path);
    let all = found.references.iter().filter_map(move |r| Some((r, absolute(r)?)));
    all.filter(|(r, path)| r.file != "lib.rs" && r.module.first() != path.first())
}

/// Imports through the crate root, and through a module that re-exports an item of another one.
fn imports_past_the_owner(found: &Crate) -> Vec<String> {
    let mut violations = Vec::new();
    for (reference, path) in between_modules(found) {
        let (place, written) = (reference.place(), path.join("::"));
        let Some(first) = path.first() else {
            violations.push(format!("{place}: imports the crate root"));
            continue;
        };
        if !found.modules.contains_key(&path[..1]) {
            violations
                .push(format!("{place}: crate::{written} is imported through the crate root"));
            continue;
        }
        let owner = found.resolve(&path).and_then(|target| target.module.first().cloned());
        if let Some(owner) = owner.filter(|owner| owner != first) {
            violations.push(format!("{place}: crate::{written} is owned by crate::{owner}"));
        }
    }
    violations
}

#[test]
fn imports_name_the_owning_module() {
    assert_none(&imports_past_the_owner(&this_crate()));
}

fn upward_imports(found: &Crate) -> Vec<String> {
    let mut violations = Vec::new();
    for (reference, path) in between_modules(found) {
        let Some((from, to)) = reference.module.first().zip(path.first()) else { continue };
        match (layer(from), layer(to)) {
            (Some(own), Some(other)) if other < own => {}
            (Some(_), Some(_)) => violations.push(format!(
                "{}: {from} imports crate::{}, but {to} is not in a lower layer",
                reference.place(),
                path.join("::")
            )),
            (None, _) => violations.push(format!("{}: {from} has no layer", reference.place())),
            (_, None) if found.modules.contains_key(&path[..1]) => {
                violations.push(format!("{}: {to} has no layer", reference.place()));
            }
            _ => {} // an import past the owner
        }
    }
    violations
}

#[test]
fn imports_come_from_lower_layers() {
    let found = this_crate();
    assert_none(&upward_imports(&found));
    let files = found.modules.iter().filter(|(path, module)| {
        path.len() == 1 && module.file != "lib.rs" && !module.file.is_empty()
    });
    let modules: BTreeSet<&str> = files.map(|(path, _)| path[0].as_str()).collect();
    let listed: BTreeSet<&str> = LAYERS.iter().copied().flatten().copied().collect();
    assert_eq!(modules, listed, "every module has a layer, and every layer has modules");
}

/// Its table has the number of a layer in the first row of the layer, and files or folders as code.
#[test]
fn the_architecture_page_has_the_same_layers() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/architecture.md");
    let page = std::fs::read_to_string(page).unwrap();
    let section = page.split("\n## Layers\n").nth(1).unwrap().split("\n## ").next().unwrap();
    let (mut found, mut layer) = (vec![BTreeSet::new(); LAYERS.len()], None);
    for row in section.lines().filter(|line| line.starts_with('|')) {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        layer = cells[1].parse::<usize>().ok().or(layer);
        let modules = cells[2].split('`').skip(1).step_by(2);
        let modules = modules.map(|module| module.trim_end_matches('/').trim_end_matches(".rs"));
        found[layer.map_or(0, |layer| layer - 1)].extend(modules);
    }
    let layer = |layer: &&[&'static str]| layer.iter().copied().collect();
    let expected: Vec<BTreeSet<&str>> = LAYERS.iter().map(layer).collect();
    assert_eq!(found, expected);
}

/// The folder in which two files first differ, and their entries in it.
fn entries<'a>(a: &'a str, b: &'a str) -> (String, &'a str, &'a str) {
    let (a, b): (Vec<_>, Vec<_>) = (a.split('/').collect(), b.split('/').collect());
    let common = a.iter().zip(&b).take_while(|(a, b)| a == b).count();
    (a[..common].join("/"), a[common], b[common])
}

/// Imports between entries of one folder, files or folders, that lead in a circle. The layers exclude
/// circles in `src` itself.
fn circles(found: &Crate) -> Vec<String> {
    type Edges = BTreeMap<(String, String), Vec<String>>;
    let mut folders: BTreeMap<String, Edges> = BTreeMap::new();
    for reference in found.references.iter().filter(|r| !r.reexport) {
        let path = found.absolute(&reference.module, &reference.path);
        let Some(target) = path.and_then(|path| found.resolve(&path)) else { continue };
        let Some(module) = found.modules.get(&target.module) else { continue };
        if module.file == reference.file || module.file.is_empty() {
            continue;
        }
        let (folder, from, to) = entries(&reference.file, &module.file);
        if !folder.is_empty() {
            let edges = folders.entry(folder).or_default();
            let edge = edges.entry((from.to_owned(), to.to_owned())).or_default();
            edge.push(format!("{}: {from} imports {to}", reference.place()));
        }
    }
    let mut violations = Vec::new();
    for edges in folders.values() {
        let reaches = |from: &str, to: &str| {
            let (mut seen, mut open) = (BTreeSet::new(), vec![from.to_owned()]);
            while let Some(entry) = open.pop() {
                let next = edges.keys().filter(|(from, _)| *from == entry).map(|(_, to)| to);
                open.extend(next.filter(|to| seen.insert((*to).clone())).cloned());
            }
            seen.contains(to)
        };
        let in_circle = edges.iter().filter(|((from, to), _)| reaches(to, from));
        violations.extend(in_circle.flat_map(|(_, places)| places.iter().take(1).cloned()));
    }
    violations
}

#[test]
fn files_of_a_folder_do_not_import_each_other_in_a_circle() {
    assert_none(&circles(&this_crate()));
}

/// References of `paper` and `report` to what another crate cannot name.
fn private_references(found: &Crate) -> Vec<String> {
    let own = between_modules(found)
        .filter(|(reference, _)| ON_PUBLIC_API.iter().any(|m| reference.module[0] == *m));
    let private = own.filter(|(_, path)| !found.is_public(path));
    let message = |(reference, path): (&Reference, ModulePath)| {
        format!("{}: crate::{} is not public API", reference.place(), path.join("::"))
    };
    private.map(message).collect()
}

#[test]
fn paper_and_report_use_the_public_api_alone() {
    assert_none(&private_references(&this_crate()));
}

/// The names that lib.rs re-exports.
fn root_names(found: &Crate) -> Vec<&str> {
    let imports = found.modules[&ModulePath::new()].imports.iter();
    let public = imports.filter(|(_, (visibility, _))| *visibility == Visibility::Public);
    public.map(|(name, _)| name.as_str()).collect()
}

#[test]
fn the_root_has_at_most_twenty_names() {
    let found = this_crate();
    let names = root_names(&found);
    assert!(names.len() <= ROOT_NAMES, "src/lib.rs: {} names: {names:?}", names.len());
}

/// A crate without violations, in which some files are replaced or added.
fn example(changes: &[(&'static str, &'static str)]) -> Crate {
    let step = "//! [`crate::Modality`]
        mod a;
        mod b;
        pub use a::A;
        pub(crate) use b::B;
        const QUOTE: char = '\"'; // crate::Modality \"
        const TEXT: &str = r#\"\"crate::Modality\"#;";
    let mut files = BTreeMap::from([
        ("lib.rs", "pub mod error; mod modality; pub mod step; pub use modality::Modality;"),
        ("error.rs", "pub struct Error;\npub(crate) fn internal() {}"),
        ("modality.rs", "use crate::error::Error;\npub struct Modality(Error); pub fn check() {}"),
        ("step/mod.rs", step),
        ("step/a.rs", "use super::B;\npub struct A(B, crate::modality::Modality);"),
        ("step/b.rs", "pub struct B;\n#[cfg(test)]\nmod tests { use super::super::A; }"),
        ("paper.rs", "use crate::{error::{self, Error}, modality::Modality, step::A};"),
    ]);
    files.extend(changes.iter().copied());
    Crate::from_files(files)
}

#[test]
fn a_crate_without_violations_passes_all_checks() {
    let found = example(&[("record.rs", "use crate::{error::Error, step::A};")]);
    assert_none(&imports_past_the_owner(&found));
    assert_none(&upward_imports(&found));
    assert_none(&circles(&found));
    assert_none(&private_references(&found));
    assert_eq!(root_names(&found), ["Modality"]);
}

#[test]
fn an_import_past_the_owner_is_found() {
    let found = example(&[("step/b.rs", "\npub struct B(crate::Modality);")]);
    let expected = "src/step/b.rs:2: crate::Modality is imported through the crate root";
    assert_eq!(imports_past_the_owner(&found), [expected]);
    let found = example(&[
        ("step/mod.rs", "mod a; mod b; pub use a::A; use b::B; pub use crate::error::Error;"),
        ("paper.rs", "use crate::{\n    step::{A, Error},\n};"),
    ]);
    let expected = "src/paper.rs:2: crate::step::Error is owned by crate::error";
    assert_eq!(imports_past_the_owner(&found), [expected]);
}

#[test]
fn an_upward_import_is_found() {
    let found = example(&[("error.rs", "pub struct Error;\nfn f() {\n    crate::step::A;\n}")]);
    let expected = "src/error.rs:3: error imports crate::step::A, but step is not in a lower layer";
    assert_eq!(upward_imports(&found), [expected]);
    let found = example(&[("extra.rs", "use crate::error::Error;")]);
    assert_eq!(upward_imports(&found), ["src/extra.rs:1: extra has no layer"]);
}

#[test]
fn a_circle_of_files_is_found() {
    let found = example(&[("step/b.rs", "pub struct B;\nuse super::A;")]);
    let expected = ["src/step/a.rs:1: a.rs imports b.rs", "src/step/b.rs:2: b.rs imports a.rs"];
    assert_eq!(circles(&found), expected);
    let found = example(&[("step/b.rs", "pub struct B;\nuse super::QUOTE;")]);
    assert_none(&circles(&found)); // step/mod.rs re-exports b.rs and does not use it
    let found = example(&[
        ("step/mod.rs", "mod a; mod b; pub use a::A; use b::B; pub struct C(B);"),
        ("step/b.rs", "pub struct B(super::C);"),
    ]);
    assert_eq!(circles(&found).len(), 2, "mod.rs and b.rs use each other");
}

#[test]
fn a_reference_to_a_private_item_is_found() {
    for (text, path) in [
        ("use crate::step::B;", "step::B"),
        ("use crate::error;\nfn f() { error::internal() }", "error::internal"),
        ("use crate::modality;", "modality"),
        ("use crate::{error::Error, modality::{Modality, check as c}};", "modality::check"),
    ] {
        let found = private_references(&example(&[("paper.rs", text)]));
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].ends_with(&format!("crate::{path} is not public API")), "{found:?}");
    }
    let public =
        [("lib.rs", "pub mod step; mod error; pub mod a { pub use crate::error::Error; }")];
    let found = private_references(&example(&public));
    let expected =
        ["crate::error is not public API", "crate::modality::Modality is not public API"];
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(found.iter().zip(expected).all(|(found, text)| found.ends_with(text)), "{found:?}");
}

#[test]
fn names_at_the_root_are_counted_in_groups_and_with_new_names() {
    let lib = "pub mod error;\npub use error::{self as e, Error};\nuse x::Y;";
    assert_eq!(root_names(&example(&[("lib.rs", lib)])), ["Error", "e"]);
}
