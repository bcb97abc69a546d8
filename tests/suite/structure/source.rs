//! The modules of a crate and the paths that they use, read from its source.
//!
//! Comments, literals and test code (`#[cfg(test)]`) are left out. A name inside a macro invocation at
//! module level counts as a public item of the module, since the macro may define it.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

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
            let mut parser = Parser {
                file,
                tokens: tokens(text),
                at: 0,
                module,
                found: &mut found,
                tests: &mut tests,
                children: &mut children,
            };
            parser.module_body();
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
        let at_root = self.modules[&ModulePath::new()].imports.iter().any(|(name, (public, _))| {
            *public == Visibility::Public && self.resolve(&[name.clone()]) == target
        });
        at_root || self.is_public_path(path)
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

struct Token {
    text: String,
    line: usize,
}

/// Names, `::` and single characters, without comments and literals.
fn tokens(source: &str) -> Vec<Token> {
    let source: Vec<char> = source.chars().collect();
    let (mut found, mut i, mut line) = (Vec::new(), 0, 1);
    let is_name = |c: char| c.is_alphanumeric() || c == '_';
    while i < source.len() {
        let rest = &source[i..];
        let is = |text: &str| text.chars().eq(rest.iter().copied().take(text.len()));
        let length = match rest[0] {
            '/' if is("//") => rest.iter().position(|c| *c == '\n').unwrap_or(rest.len()),
            '/' if is("/*") => block_comment(rest),
            '"' => string(rest),
            '\'' => character(rest),
            'r' | 'b' if raw_string(rest).is_some() => raw_string(rest).unwrap(),
            c if is_name(c) => {
                let length = rest.iter().position(|c| !is_name(*c)).unwrap_or(rest.len());
                found.push(Token { text: rest[..length].iter().collect(), line });
                length
            }
            c if c.is_whitespace() => 1,
            c => {
                let text = if is("::") { "::".to_owned() } else { c.to_string() };
                let length = text.len();
                found.push(Token { text, line });
                length
            }
        };
        line += rest[..length].iter().filter(|c| **c == '\n').count();
        i += length;
    }
    found
}

fn block_comment(text: &[char]) -> usize {
    let (mut depth, mut i) = (0, 0);
    while i < text.len() {
        match text[i..] {
            ['/', '*', ..] => (depth, i) = (depth + 1, i + 2),
            ['*', '/', ..] => (depth, i) = (depth - 1, i + 2),
            _ => i += 1,
        }
        if depth == 0 {
            break;
        }
    }
    i
}

fn string(text: &[char]) -> usize {
    let mut i = 1;
    while i < text.len() && text[i] != '"' {
        i += if text[i] == '\\' { 2 } else { 1 };
    }
    i + 1
}

/// The length of a raw string literal such as `r#"…"#` or `br"…"`, if the text begins with one.
fn raw_string(text: &[char]) -> Option<usize> {
    let prefix = text.iter().take_while(|c| matches!(c, 'b' | 'r')).count();
    let hashes = text[prefix..].iter().take_while(|c| **c == '#').count();
    let start = prefix + hashes;
    if !text[..prefix].contains(&'r') || prefix > 2 || text.get(start) != Some(&'"') {
        return None;
    }
    let closes = |at: usize| {
        text[at] == '"' && text[at + 1..].iter().take_while(|c| **c == '#').count() >= hashes
    };
    (start + 1..text.len()).find(|&at| closes(at)).map(|at| at + 1 + hashes)
}

/// The length of a character literal, or 1 for the mark of a lifetime.
fn character(text: &[char]) -> usize {
    match text {
        [_, '\\', _, rest @ ..] => 4 + rest.iter().position(|c| *c == '\'').unwrap_or(0),
        [_, _, '\'', ..] => 3,
        _ => 1,
    }
}

/// Reads one file, with the modules inside it.
struct Parser<'a> {
    file: &'a str,
    tokens: Vec<Token>,
    at: usize,
    module: ModulePath,
    found: &'a mut Crate,
    /// Modules of test code.
    tests: &'a mut BTreeSet<ModulePath>,
    /// Declared modules.
    children: &'a mut Vec<(ModulePath, Visibility)>,
}

const ITEMS: [&str; 9] =
    ["fn", "struct", "enum", "trait", "type", "const", "static", "union", "macro_rules"];

impl Parser<'_> {
    fn text(&self, offset: usize) -> &str {
        self.tokens.get(self.at + offset).map_or("", |token| &token.text)
    }

    fn own(&mut self) -> &mut Module {
        self.found.modules.entry(self.module.clone()).or_default()
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
                let mut words = (0..).map(|i| self.text(i)).take_while(|t| !t.is_empty());
                let qualifiers = ["unsafe", "async", "extern", "default"];
                let mut word = words.next().unwrap_or("");
                while qualifiers.contains(&word) || (word == "const" && self.text(1) == "fn") {
                    word = words.next().unwrap_or("");
                    if word == "fn" {
                        break;
                    }
                }
                let is_macro = self.text(1) == "!" && word != "macro_rules";
                if ITEMS.contains(&word) && !test {
                    let name = words.find(|t| *t != "!" && *t != "mut").unwrap_or("").to_owned();
                    self.own().items.insert(name, visibility);
                }
                self.rest_of_item(test, is_macro);
            }
        }
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
            self.tests.insert(child.clone());
        }
        self.children.push((child.clone(), visibility));
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
                        let named = names.into_iter().map(|name| (name, Visibility::Public));
                        let own = self.own();
                        named.for_each(|(name, public)| {
                            drop(own.items.entry(name).or_insert(public))
                        });
                    }
                    // A macro or `const X: T = T { … };` goes on.
                    if self.text(0) != ";" && !matches!(self.text(0), "." | "?" | ")") {
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
        self.found.references.push(Reference { file, line, module, path, reexport });
    }

    fn use_item(&mut self, visibility: Visibility, test: bool) {
        self.at += 1;
        let mut leaves = Vec::new();
        self.use_tree(&[], &mut leaves);
        self.at += 1;
        for (path, name, line) in leaves {
            if test {
                continue;
            }
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
