//! The modules of a crate and the paths that they use, read from its source.
//!
//! Comments, literals and test code (`#[cfg(test)]`) are left out. A name inside a macro invocation at
//! module level counts as a public item of the module, since the macro may define it.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use proc_macro2::{Span, TokenStream, TokenTree};
use syn::{Attribute, Ident, Item, UseTree, spanned::Spanned as _, visit::Visit};

/// Names from the crate root on: `schedule`, `Plan`.
pub type ModulePath = Vec<String>;

#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Visibility {
    Private,
    Crate,
    Public,
}

/// A path in a `use` declaration or in code.
#[derive(Debug, Clone)]
pub struct Reference {
    /// The file, relative to `src`.
    pub file: String,
    pub line: usize,
    /// The module that contains the path.
    pub module: ModulePath,
    /// The path as written, without `crate`, `self` and `super`.
    pub path: ModulePath,
    /// Whether it is a `use` with a visibility.
    pub reexport: bool,
}

impl Reference {
    /// `file:line`, for messages.
    pub fn place(&self) -> String {
        format!("src/{}:{}", self.file, self.line)
    }
}

#[derive(Debug, Default)]
pub struct Module {
    pub file: String,
    pub visibility: Option<Visibility>,
    pub items: BTreeMap<String, Visibility>,
    /// The names that `use` declarations introduce, with the paths as written.
    pub imports: BTreeMap<String, (Visibility, ModulePath)>,
}

#[derive(Debug, Default)]
pub struct Crate {
    pub modules: BTreeMap<ModulePath, Module>,
    pub references: Vec<Reference>,
}

/// Where a path ends: a module, or an item of a module.
#[derive(Debug, Clone, PartialEq)]
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
        let mut found = Self::default();
        let (mut tests, mut children) = (BTreeSet::new(), Vec::new());
        for (file, text) in files {
            let module = module_of(file);
            found.modules.entry(module.clone()).or_default().file = file.to_owned();
            let parsed = syn::parse_file(text).unwrap_or_else(|e| panic!("src/{file}: {e}"));
            let (tests, children) = (&mut tests, &mut children);
            Reader { file, module, found: &mut found, tests, children }.items(&parsed.items);
        }
        let is_test = |module: &[String]| (0..=module.len()).any(|n| tests.contains(&module[..n]));
        for (module, visibility) in children {
            found.modules.entry(module).or_default().visibility = Some(visibility);
        }
        found.modules.retain(|module, _| !is_test(module));
        found.references.retain(|reference| !is_test(&reference.module));
        let local: Vec<_> = std::mem::take(&mut found.references);
        found.references = local.into_iter().filter(|r| found.is_local(r)).collect();
        found
    }

    /// Returns whether a reference is a path of this crate and not one of another crate.
    fn is_local(&self, reference: &Reference) -> bool {
        self.absolute(&reference.module, &reference.path).is_some()
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

    /// Returns whether another crate can name what an absolute path names.
    pub fn is_public(&self, path: &[String]) -> bool {
        let target = self.resolve(path);
        let names_it = |(module, own): (&ModulePath, &Module)| {
            self.is_public_path(module)
                && own.imports.iter().any(|(name, (visibility, _))| {
                    let path = [&module[..], std::slice::from_ref(name)].concat();
                    *visibility == Visibility::Public && self.resolve(&path) == target
                })
        };
        self.modules.iter().any(names_it) || self.is_public_path(path)
    }

    fn is_public_path(&self, path: &[String]) -> bool {
        let mut module = ModulePath::new();
        for (i, segment) in path.iter().enumerate() {
            let own = &self.modules[&module];
            let child = [&module[..], &path[i..=i]].concat();
            let last = i + 1 == path.len();
            if let Some((visibility, _)) = own.imports.get(segment)
                && (last || !self.modules.contains_key(&child))
            {
                return *visibility == Visibility::Public;
            }
            if let Some(visibility) = own.items.get(segment)
                && (last || !self.modules.contains_key(&child))
            {
                return *visibility == Visibility::Public;
            }
            match self.modules.get(&child) {
                Some(next) if next.visibility == Some(Visibility::Public) => module = child,
                _ => return false,
            }
        }
        true
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

/// Reads one file, with the modules inside it.
struct Reader<'a> {
    file: &'a str,
    module: ModulePath,
    found: &'a mut Crate,
    /// The modules of test code.
    tests: &'a mut BTreeSet<ModulePath>,
    /// The visibility with which modules are declared.
    children: &'a mut Vec<(ModulePath, Visibility)>,
}

impl Reader<'_> {
    /// Reads the items of a module: their names, then the paths in them.
    fn items(&mut self, items: &[Item]) {
        for item in items {
            if let Some((name, visibility)) = named(item) {
                self.own().items.insert(name, visibility);
            }
            if let Item::Macro(call) = item
                && call.ident.is_none()
            {
                let names = names(&call.mac.tokens);
                let own = self.own();
                for (name, _) in names {
                    own.items.entry(name).or_insert(Visibility::Public);
                }
            }
            self.visit_item(item);
        }
    }

    fn own(&mut self) -> &mut Module {
        self.found.modules.entry(self.module.clone()).or_default()
    }

    fn record(&mut self, path: ModulePath, span: Span, reexport: bool) {
        let (file, module, line) = (self.file.to_owned(), self.module.clone(), span.start().line);
        self.found.references.push(Reference { file, line, module, path, reexport });
    }

    /// Records the leaves of a `use` tree below `prefix`.
    fn use_tree(&mut self, prefix: &[String], tree: &UseTree, visibility: Visibility) {
        let extended = |name: &Ident| [prefix, &[name.to_string()]].concat();
        let (path, name, span) = match tree {
            UseTree::Path(path) => {
                return self.use_tree(&extended(&path.ident), &path.tree, visibility);
            }
            UseTree::Group(group) => {
                return group.items.iter().for_each(|t| self.use_tree(prefix, t, visibility));
            }
            UseTree::Name(name) if name.ident == "self" => {
                (prefix.to_vec(), prefix.last().cloned(), name.ident.span())
            }
            UseTree::Name(name) => {
                (extended(&name.ident), Some(name.ident.to_string()), name.ident.span())
            }
            UseTree::Rename(rename) => {
                let path =
                    if rename.ident == "self" { prefix.to_vec() } else { extended(&rename.ident) };
                let name = Some(rename.rename.to_string()).filter(|name| name != "_");
                (path, name, rename.ident.span())
            }
            UseTree::Glob(glob) => (prefix.to_vec(), None, glob.star_token.span()),
        };
        if let Some(name) = name {
            self.own().imports.insert(name, (visibility, path.clone()));
        }
        self.record(path, span, visibility != Visibility::Private);
    }
}

impl<'ast> Visit<'ast> for Reader<'_> {
    fn visit_item(&mut self, item: &'ast Item) {
        match item {
            Item::Mod(item) => {
                let child = [&self.module[..], &[item.ident.to_string()]].concat();
                if is_test(&item.attrs) {
                    self.tests.insert(child.clone());
                }
                self.children.push((child.clone(), visibility(&item.vis)));
                if let Some((_, items)) = &item.content {
                    let outer = std::mem::replace(&mut self.module, child);
                    self.own().file = self.file.to_owned();
                    self.items(items);
                    self.module = outer;
                }
            }
            Item::Use(item) if !is_test(&item.attrs) => {
                self.use_tree(&[], &item.tree, visibility(&item.vis));
            }
            Item::Fn(item) if is_test(&item.attrs) => {}
            Item::Impl(item) if is_test(&item.attrs) => {}
            _ => syn::visit::visit_item(self, item),
        }
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let names: ModulePath = path.segments.iter().map(|s| s.ident.to_string()).collect();
        if names.len() > 1 && path.leading_colon.is_none() {
            self.record(names, path.span(), false);
        }
        syn::visit::visit_path(self, path);
    }

    /// The arguments of a macro are tokens: every `a::b` in them counts as a path.
    fn visit_macro(&mut self, call: &'ast syn::Macro) {
        self.visit_path(&call.path);
        let names = names(&call.tokens);
        for path in names.chunk_by(|_, (_, continues)| *continues) {
            if path.len() > 1 {
                let names = path.iter().map(|(name, _)| name.clone()).collect();
                self.record(names, call.path.span(), false);
            }
        }
    }
}

/// The names among tokens in their order, each with whether it continues a path after `::`.
fn names(tokens: &TokenStream) -> Vec<(String, bool)> {
    let (mut found, mut colons) = (Vec::new(), 0);
    for token in tokens.clone() {
        match token {
            TokenTree::Ident(name) => found.push((name.to_string(), colons == 2)),
            TokenTree::Group(group) => found.extend(names(&group.stream())),
            TokenTree::Punct(punct) if punct.as_char() == ':' => {
                colons += 1;
                continue;
            }
            _ => {}
        }
        colons = 0;
    }
    found
}

fn is_test(attributes: &[Attribute]) -> bool {
    let mut words = attributes.iter().filter(|a| a.path().is_ident("cfg"));
    words.any(|a| a.parse_args::<Ident>().is_ok_and(|name| name == "test"))
}

fn visibility(visibility: &syn::Visibility) -> Visibility {
    match visibility {
        syn::Visibility::Public(_) => Visibility::Public,
        syn::Visibility::Restricted(_) => Visibility::Crate,
        syn::Visibility::Inherited => Visibility::Private,
    }
}

/// The name and visibility of an item outside test code; `None` for one without.
fn named(item: &Item) -> Option<(String, Visibility)> {
    let (name, vis, attributes) = match item {
        Item::Const(i) => (&i.ident, &i.vis, &i.attrs),
        Item::Enum(i) => (&i.ident, &i.vis, &i.attrs),
        Item::Fn(i) => (&i.sig.ident, &i.vis, &i.attrs),
        Item::Static(i) => (&i.ident, &i.vis, &i.attrs),
        Item::Struct(i) => (&i.ident, &i.vis, &i.attrs),
        Item::Trait(i) => (&i.ident, &i.vis, &i.attrs),
        Item::Type(i) => (&i.ident, &i.vis, &i.attrs),
        Item::Macro(i) => return Some((i.ident.as_ref()?.to_string(), Visibility::Crate)),
        _ => return None,
    };
    (!is_test(attributes)).then(|| (name.to_string(), visibility(vis)))
}
