//! Modules, items, imports and paths of Rust source.
//!
//! Comments, literals and test code (`#[cfg(test)]`) are left out. A name inside a macro invocation at
//! module level counts as a public item of the module, since the macro may define it.

use std::collections::{BTreeMap, BTreeSet};

use super::tokens::{Token, tokens};

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
    /// The path as written, of this crate or another one.
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

/// What the files of a crate contain.
#[derive(Debug, Default)]
pub struct Parsed {
    pub modules: BTreeMap<ModulePath, Module>,
    pub references: Vec<Reference>,
    /// The declarations of modules.
    pub children: Vec<(ModulePath, Visibility)>,
    /// The modules of test code.
    pub tests: BTreeSet<ModulePath>,
}

impl Parsed {
    /// Adds the content of the file of a module.
    pub fn add(&mut self, file: &str, module: ModulePath, text: &str) {
        self.modules.entry(module.clone()).or_default().file = file.to_owned();
        Parser { file, tokens: tokens(text), at: 0, module, parsed: self }.module_body();
    }
}

/// Reads one file, with the modules inside it.
struct Parser<'a> {
    file: &'a str,
    tokens: Vec<Token>,
    at: usize,
    module: ModulePath,
    parsed: &'a mut Parsed,
}

const ITEMS: [&str; 9] =
    ["fn", "struct", "enum", "trait", "type", "const", "static", "union", "macro_rules"];

impl Parser<'_> {
    fn text(&self, offset: usize) -> &str {
        self.tokens.get(self.at + offset).map_or("", |token| &token.text)
    }

    fn own(&mut self) -> &mut Module {
        self.parsed.modules.entry(self.module.clone()).or_default()
    }

    /// Reads items up to the end of the file or of an inline module.
    fn module_body(&mut self) {
        while self.at < self.tokens.len() && self.text(0) != "}" {
            self.item();
        }
        self.at += 1;
    }

    fn item(&mut self) {
        let mut test = false;
        while self.text(0) == "#" {
            let start = self.at;
            self.at += if self.text(1) == "!" { 2 } else { 1 };
            self.group(false);
            let attribute = self.tokens[start..self.at].iter().map(|t| t.text.as_str());
            test |= attribute.collect::<String>().starts_with("#[cfg(test)");
        }
        let visibility = self.visibility();
        match self.text(0) {
            "use" => self.use_item(visibility, test),
            "mod" => self.module_item(visibility, test),
            _ => {
                if let Some(name) = self.item_name().filter(|_| !test) {
                    self.own().items.insert(name, visibility);
                }
                let is_macro = self.text(1) == "!" && self.text(0) != "macro_rules";
                self.rest_of_item(test, is_macro);
            }
        }
    }

    /// The name that the next item defines.
    fn item_name(&self) -> Option<String> {
        let mut i = 0;
        while matches!(self.text(i), "unsafe" | "async" | "extern")
            || (self.text(i) == "const" && self.text(i + 1) == "fn")
        {
            i += 1;
        }
        let is_item = ITEMS.contains(&self.text(i));
        let name = (i + 1..i + 3).map(|i| self.text(i)).find(|t| !matches!(*t, "!" | "mut"));
        name.filter(|_| is_item).map(str::to_owned)
    }

    fn visibility(&mut self) -> Visibility {
        if self.text(0) != "pub" {
            return Visibility::Private;
        }
        self.at += 1;
        if self.text(0) != "(" {
            return Visibility::Public;
        }
        self.group(false);
        Visibility::Crate
    }

    fn module_item(&mut self, visibility: Visibility, test: bool) {
        let child = [&self.module[..], &[self.text(1).to_owned()]].concat();
        if test {
            self.parsed.tests.insert(child.clone());
        }
        self.parsed.children.push((child.clone(), visibility));
        let inline = self.text(2) == "{";
        self.at += 3;
        if inline {
            let file = self.file.to_owned();
            let outer = std::mem::replace(&mut self.module, child);
            self.own().file = file;
            self.module_body();
            self.module = outer;
        }
    }

    /// Reads to the end of an item: a `;` or the first block, outside of parentheses.
    fn rest_of_item(&mut self, test: bool, is_macro: bool) {
        while self.at < self.tokens.len() {
            match self.text(0) {
                ";" => {
                    self.at += 1;
                    return;
                }
                "{" => {
                    let start = self.at;
                    self.group(!test);
                    if is_macro {
                        let tokens = &self.tokens[start..self.at];
                        let names: Vec<_> = tokens.iter().map(|t| t.text.clone()).collect();
                        for name in names {
                            self.own().items.entry(name).or_insert(Visibility::Public);
                        }
                    }
                    // A block may be a part of the value of a constant.
                    if !matches!(self.text(0), ";" | "." | "?") {
                        return;
                    }
                }
                "(" | "[" => self.group(!test),
                _ => self.path_or_token(!test),
            }
        }
    }

    /// Reads a group in brackets; records its paths if `record`.
    fn group(&mut self, record: bool) {
        let mut depth = 0;
        while self.at < self.tokens.len() {
            match self.text(0) {
                "(" | "[" | "{" => depth += 1,
                ")" | "]" | "}" => depth -= 1,
                "use" if self.text(1) != "<" && record => {
                    self.use_item(Visibility::Private, false);
                    continue;
                }
                _ => {
                    self.path_or_token(record);
                    continue;
                }
            }
            self.at += 1;
            if depth == 0 {
                return;
            }
        }
    }

    /// Reads a path of at least two names, or one token.
    fn path_or_token(&mut self, record: bool) {
        let before = self.at.checked_sub(1).map_or("", |i| &self.tokens[i].text);
        let is_name = |text: &str| text.starts_with(|c: char| c.is_alphabetic() || c == '_');
        let starts = is_name(self.text(0)) && self.text(1) == "::";
        if !starts || matches!(before, "." | "::") {
            self.at += 1;
            return;
        }
        let line = self.tokens[self.at].line;
        let mut path = vec![self.text(0).to_owned()];
        self.at += 1;
        while self.text(0) == "::" && is_name(self.text(1)) {
            path.push(self.text(1).to_owned());
            self.at += 2;
        }
        if record {
            self.record(path, line, false);
        }
    }

    fn record(&mut self, path: ModulePath, line: usize, reexport: bool) {
        let (file, module) = (self.file.to_owned(), self.module.clone());
        self.parsed.references.push(Reference { file, line, module, path, reexport });
    }

    fn use_item(&mut self, visibility: Visibility, test: bool) {
        self.at += 1;
        let mut leaves = Vec::new();
        self.use_tree(&[], &mut leaves);
        self.at += 1;
        for (path, name, line) in leaves.into_iter().filter(|_| !test) {
            if name != "_" && name != "*" {
                self.own().imports.insert(name, (visibility, path.clone()));
            }
            self.record(path, line, visibility != Visibility::Private);
        }
    }

    /// Reads a tree of a `use` declaration into (path, name, line).
    fn use_tree(&mut self, prefix: &[String], leaves: &mut Vec<(ModulePath, String, usize)>) {
        let mut path = prefix.to_vec();
        let mut line = self.tokens[self.at].line;
        loop {
            match self.text(0) {
                "::" => self.at += 1,
                "{" => {
                    self.at += 1;
                    while self.text(0) != "}" {
                        self.use_tree(&path, leaves);
                        if self.text(0) == "," {
                            self.at += 1;
                        }
                    }
                    self.at += 1;
                    return;
                }
                "as" => {
                    let name = self.text(1).to_owned();
                    self.at += 2;
                    leaves.push((path, name, line));
                    return;
                }
                "," | "}" | ";" => {
                    let name = path.last().cloned().unwrap_or_default();
                    leaves.push((path, name, line));
                    return;
                }
                "*" => {
                    self.at += 1;
                    leaves.push((path, "*".to_owned(), line));
                    return;
                }
                "self" if !path.is_empty() => self.at += 1,
                name => {
                    path.push(name.to_owned());
                    line = self.tokens[self.at].line;
                    self.at += 1;
                }
            }
        }
    }
}
