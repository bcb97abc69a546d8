//! The modules of a crate, the paths that they use, and what these paths name.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use super::parser::{Module, Parsed};
pub use super::parser::{ModulePath, Reference, Visibility};

#[derive(Debug, Default)]
pub struct Crate {
    pub modules: BTreeMap<ModulePath, Module>,
    pub references: Vec<Reference>,
}

/// Where a path ends: a module, or an item of a module.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Target {
    pub module: ModulePath,
    pub item: Option<String>,
}

impl Crate {
    /// Reads the files below `src`.
    pub fn read(src: &Path) -> Self {
        let mut files = Vec::new();
        collect(src, "", &mut files);
        Self::from_files(files.iter().map(|(name, text)| (name.as_str(), text.as_str())))
    }

    /// A crate of files with names relative to `src`.
    pub fn from_files<'a>(files: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let mut parsed = Parsed::default();
        files.into_iter().for_each(|(file, text)| parsed.add(file, module_of(file), text));
        let Parsed { mut modules, mut references, children, tests } = parsed;
        for (module, visibility) in children {
            modules.entry(module).or_default().visibility = Some(visibility);
        }
        let is_test = |module: &[String]| (0..=module.len()).any(|n| tests.contains(&module[..n]));
        modules.retain(|module, _| !is_test(module));
        references.retain(|reference| !is_test(&reference.module));
        Self { modules, references }
    }

    /// The path from the crate root on; `None` for a path of another crate.
    pub fn absolute(&self, module: &[String], path: &[String]) -> Option<ModulePath> {
        match path.first().map(String::as_str)? {
            "crate" => Some(path[1..].to_vec()),
            "self" => Some([module, &path[1..]].concat()),
            "super" => {
                let up = path.iter().take_while(|segment| *segment == "super").count();
                Some([&module[..module.len().checked_sub(up)?], &path[up..]].concat())
            }
            first => {
                let child = [module, &path[..1]].concat();
                if path.len() > 1 && self.modules.contains_key(&child) {
                    return Some([module, path].concat());
                }
                let (_, import) = self.modules.get(module)?.imports.get(first)?;
                if import.first() == path.first() {
                    return None;
                }
                Some([&self.absolute(module, import)?[..], &path[1..]].concat())
            }
        }
    }

    /// The definition that an absolute path names, through all re-exports.
    pub fn resolve(&self, path: &[String]) -> Option<Target> {
        let mut module = ModulePath::new();
        for (i, segment) in path.iter().enumerate() {
            let child = [&module[..], &path[i..=i]].concat();
            let last = i + 1 == path.len();
            let own = &self.modules.get(&module)?;
            let is_module = self.modules.contains_key(&child);
            match own.imports.get(segment) {
                Some((_, import)) if last || !is_module => {
                    let import = self.absolute(&module, import)?;
                    return self.resolve(&[&import[..], &path[i + 1..]].concat());
                }
                None if last && own.items.contains_key(segment) => {}
                _ if is_module => {
                    module = child;
                    continue;
                }
                _ => {}
            }
            return Some(Target { module, item: Some(segment.clone()) });
        }
        Some(Target { module, item: None })
    }

    /// All that another crate can name.
    pub fn public_api(&self) -> BTreeSet<Target> {
        let mut found = BTreeSet::new();
        let mut open = vec![Target { module: ModulePath::new(), item: None }];
        while let Some(target) = open.pop() {
            let path = target.module.clone();
            let is_module = target.item.is_none();
            if !found.insert(target) || !is_module {
                continue;
            }
            let Some(module) = self.modules.get(&path) else { continue };
            let imports = module.imports.iter().map(|(name, (visibility, _))| (name, visibility));
            let names = module.items.iter().chain(imports);
            let public = names.filter(|(_, visibility)| **visibility == Visibility::Public);
            open.extend(public.filter_map(|(name, _)| {
                self.resolve(&[&path[..], std::slice::from_ref(name)].concat())
            }));
            let children = self.modules.iter().filter(|(child, module)| {
                child.split_last().is_some_and(|(_, parent)| parent == path)
                    && module.visibility == Some(Visibility::Public)
            });
            open.extend(children.map(|(child, _)| Target { module: child.clone(), item: None }));
        }
        found
    }
}

fn collect(folder: &Path, prefix: &str, files: &mut Vec<(String, String)>) {
    let mut entries: Vec<_> = fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).collect();
    entries.sort();
    for path in entries {
        let name = format!("{prefix}{}", path.file_name().unwrap().to_str().unwrap());
        if path.is_dir() {
            collect(&path, &format!("{name}/"), files);
        } else if name.ends_with(".rs") {
            files.push((name, fs::read_to_string(path).unwrap()));
        }
    }
}

/// The module of a file: `step/mod.rs` and `step.rs` are `step`.
fn module_of(file: &str) -> ModulePath {
    let path = file.strip_suffix(".rs").unwrap();
    let path = path.strip_suffix("/mod").unwrap_or(path);
    let path = if path == "lib" { "" } else { path };
    path.split('/').filter(|part| !part.is_empty()).map(str::to_owned).collect()
}
