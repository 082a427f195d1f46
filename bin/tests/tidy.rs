//! Keeps the house rules that no compiler knows: sizes, imports of the core, places of names.
//! Judges the text of this repository only; it runs nothing.

use std::fs;
use std::path::{Path, PathBuf};

use syn::spanned::Spanned;
use syn::visit::{self, Visit};

/// The most lines of a file.
const MAX_FILE_LINES: usize = 600;

/// The most lines of a function, from its signature to its end.
const MAX_FUNCTION_LINES: usize = 70;

/// The most lines of the main file of a program in `bin/src`.
const MAX_MAIN_LINES: usize = 60;

/// What the core may not use, as beginnings of paths: whatever does IO or reads a clock.
const FORBIDDEN_IN_CORE: &[&str] = &[
    "actix",
    "actix_web",
    "reqwest",
    "std::env",
    "std::fs",
    "std::io::stdin",
    "std::net::TcpListener",
    "std::net::TcpStream",
    "std::net::UdpSocket",
    "std::process",
    "std::thread",
    "std::time::Instant",
    "std::time::SystemTime",
    "tokio",
];

/// With what the names of metrics begin, before the first slash.
const METRIC_FAMILIES: &[&str] = &[
    "allocator",
    "containerizer",
    "frameworks",
    "gc",
    "master",
    "registrar",
    "slave",
    "system",
];

/// With what the names of Marathon's metrics end.
const METRIC_KINDS: &[&str] = &[
    ".counter",
    ".counter.bytes",
    ".gauge",
    ".gauge.bytes",
    ".gauge.seconds",
    ".rate.meter",
    ".timer.seconds",
];

/// Where the names of metrics stand.
const METRIC_DIR: &str = "actors/src/metrics/";

/// Directories that are not ours.
const SKIPPED_DIRS: &[&str] = &[".git", "dist", "node_modules", "target"];

/// The root of the repository.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("a parent")
        .to_owned()
}

/// All files below a directory whose names end in one of `endings`, as (path from the root, text).
fn files(endings: &[&str]) -> Vec<(String, String)> {
    let root = root();
    let mut found = Vec::new();
    let mut dirs = vec![root.clone()];
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(&dir).expect("a readable directory") {
            let path = entry.expect("a readable entry").path();
            let name = path
                .file_name()
                .expect("a name")
                .to_string_lossy()
                .into_owned();
            if path.is_dir() {
                if !SKIPPED_DIRS.contains(&name.as_str()) {
                    dirs.push(path);
                }
            } else if endings.iter().any(|ending| name.ends_with(ending)) {
                let text = fs::read_to_string(&path).expect("a file in UTF-8");
                let shown = path.strip_prefix(&root).expect("below the root");
                found.push((shown.to_string_lossy().into_owned(), text));
            }
        }
    }
    found.sort();
    assert!(
        found.len() > 3,
        "the source must be found below {}",
        root.display()
    );
    found
}

/// Whether a file holds only test code.
fn is_test_file(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    let in_dir = |dir: &str| path.contains(&format!("/{dir}/"));
    matches!(name, "tests.rs" | "testing.rs") || in_dir("tests") || in_dir("benches")
}

/// Everything the tests below want to know of one file.
#[derive(Default)]
struct Findings {
    /// Name, first line, number of lines.
    functions: Vec<(String, usize, usize)>,
    /// Full paths of imports and of names used with a path.
    paths: Vec<(String, usize)>,
    /// Texts, outside of tests.
    texts: Vec<(String, usize)>,
    /// Macros called, by their last name.
    macros: Vec<(String, usize)>,
    /// Attributes, by name.
    attributes: Vec<(String, usize)>,
    /// Inside how many items that exist in tests alone.
    in_tests: usize,
}

fn is_for_tests(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        let cfg_test = attribute.path().is_ident("cfg")
            && attribute
                .parse_args::<syn::Path>()
                .is_ok_and(|path| path.is_ident("test"));
        cfg_test
            || attribute
                .path()
                .segments
                .last()
                .is_some_and(|last| last.ident == "test")
    })
}

fn joined(path: &syn::Path) -> String {
    let names: Vec<String> = path
        .segments
        .iter()
        .map(|part| part.ident.to_string())
        .collect();
    names.join("::")
}

impl Findings {
    fn function(&mut self, signature: &syn::Signature, whole: proc_macro2::Span) {
        if self.in_tests == 0 {
            let first = signature.span().start().line;
            let lines = whole.end().line - first + 1;
            self.functions
                .push((signature.ident.to_string(), first, lines));
        }
    }

    fn imports(&mut self, prefix: &str, tree: &syn::UseTree) {
        let with = |name: &dyn std::fmt::Display| match prefix {
            "" => name.to_string(),
            prefix => format!("{prefix}::{name}"),
        };
        let line = tree.span().start().line;
        match tree {
            syn::UseTree::Path(path) => self.imports(&with(&path.ident), &path.tree),
            syn::UseTree::Name(name) => self.paths.push((with(&name.ident), line)),
            syn::UseTree::Rename(name) => self.paths.push((with(&name.ident), line)),
            syn::UseTree::Glob(_) => self.paths.push((prefix.to_owned(), line)),
            syn::UseTree::Group(group) => {
                for tree in &group.items {
                    self.imports(prefix, tree);
                }
            }
        }
    }
}

impl<'ast> Visit<'ast> for Findings {
    fn visit_item(&mut self, item: &'ast syn::Item) {
        let attributes = match item {
            syn::Item::Fn(item) => &item.attrs[..],
            syn::Item::Mod(item) => &item.attrs[..],
            syn::Item::Impl(item) => &item.attrs[..],
            syn::Item::Use(item) => &item.attrs[..],
            _ => &[],
        };
        let for_tests = usize::from(is_for_tests(attributes));
        self.in_tests += for_tests;
        visit::visit_item(self, item);
        self.in_tests -= for_tests;
    }

    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        self.function(&item.sig, item.span());
        visit::visit_item_fn(self, item);
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        self.function(&item.sig, item.span());
        visit::visit_impl_item_fn(self, item);
    }

    fn visit_trait_item_fn(&mut self, item: &'ast syn::TraitItemFn) {
        self.function(&item.sig, item.span());
        visit::visit_trait_item_fn(self, item);
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        self.imports("", &item.tree);
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        self.paths.push((joined(path), path.span().start().line));
        visit::visit_path(self, path);
    }

    fn visit_lit_str(&mut self, text: &'ast syn::LitStr) {
        if self.in_tests == 0 {
            self.texts.push((text.value(), text.span().start().line));
        }
    }

    fn visit_macro(&mut self, call: &'ast syn::Macro) {
        let line = call.span().start().line;
        let name = call.path.segments.last().map(|last| last.ident.to_string());
        self.macros.push((name.unwrap_or_default(), line));
        // Arguments of macros are no syntax tree; the texts among them still count.
        self.tokens(call.tokens.clone());
        visit::visit_macro(self, call);
    }

    fn visit_attribute(&mut self, attribute: &'ast syn::Attribute) {
        let line = attribute.span().start().line;
        self.attributes.push((joined(attribute.path()), line));
    }
}

impl Findings {
    fn tokens(&mut self, tokens: proc_macro2::TokenStream) {
        for token in tokens {
            match token {
                proc_macro2::TokenTree::Group(group) => self.tokens(group.stream()),
                proc_macro2::TokenTree::Literal(literal) => {
                    let line = literal.span().start().line;
                    if let Ok(text) = syn::parse_str::<syn::LitStr>(&literal.to_string())
                        && self.in_tests == 0
                    {
                        self.texts.push((text.value(), line));
                    }
                }
                _ => {}
            }
        }
    }
}

fn findings(text: &str) -> Findings {
    let file = syn::parse_file(text).expect("Rust source");
    let mut findings = Findings::default();
    findings.visit_file(&file);
    findings
}

/// Fails with all violations at once.
fn report(rule: &str, violations: &[String]) {
    assert!(
        violations.is_empty(),
        "{rule}:\n  {}",
        violations.join("\n  ")
    );
}

#[test]
fn files_are_short() {
    let mut long = Vec::new();
    for (path, text) in files(&[".rs"]) {
        let lines = text.lines().count();
        let is_main = path.starts_with("bin/src/") && path.matches('/').count() == 2;
        let most = if is_main {
            MAX_MAIN_LINES
        } else {
            MAX_FILE_LINES
        };
        if lines > most {
            long.push(format!("{path}: {lines} lines, at most {most}"));
        }
    }
    report("split these files by duty", &long);
}

#[test]
fn functions_fit_on_a_screen() {
    let mut long = Vec::new();
    for (path, text) in files(&[".rs"])
        .iter()
        .filter(|(path, _)| !is_test_file(path))
    {
        for (name, line, lines) in findings(text).functions {
            if lines > MAX_FUNCTION_LINES {
                long.push(format!("{path}:{line}: {name} has {lines} lines"));
            }
        }
    }
    report("split these functions; the most is 70 lines", &long);
}

#[test]
fn the_core_does_no_io_and_reads_no_clock() {
    let core = files(&[".rs"])
        .into_iter()
        .filter(|(path, _)| path.starts_with("actors/core/src/") && !is_test_file(path));
    let mut seen = 0;
    let mut bad = Vec::new();
    for (path, text) in core {
        seen += 1;
        for (used, line) in findings(&text).paths {
            let forbidden = FORBIDDEN_IN_CORE.iter().any(|forbidden| {
                used.strip_prefix(forbidden)
                    .is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
            });
            if forbidden {
                bad.push(format!("{path}:{line}: {used}"));
            }
        }
    }
    assert!(seen > 5, "the core's source must be found");
    report(
        "the core takes the time and gives effects; move these to a skin",
        &bad,
    );
}

#[test]
fn names_of_metrics_stand_in_one_place() {
    let mut bad = Vec::new();
    for (path, text) in files(&[".rs"]) {
        // Load tests read metrics as users do: by their names.
        let is_user = path.starts_with("loadtest/") || is_test_file(&path);
        if path.starts_with(METRIC_DIR) || is_user {
            continue;
        }
        for (text, line) in findings(&text).texts {
            if is_metric_name(&text) {
                bad.push(format!("{path}:{line}: \"{text}\""));
            }
        }
    }
    report("names of metrics belong into actors/src/metrics", &bad);
}

fn is_metric_name(text: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '/' | '{' | '}' | '*');
    let is_of_mesos = text.split_once('/').is_some_and(|(family, rest)| {
        METRIC_FAMILIES.contains(&family) && !rest.is_empty() && rest.chars().all(allowed)
    });
    is_of_mesos || METRIC_KINDS.iter().any(|kind| text.ends_with(kind))
}

#[test]
fn nothing_is_left_for_later() {
    let marks = [
        concat!("FIX", "ME"),
        concat!("TO", "DO"),
        concat!("XX", "X"),
    ];
    let mut bad = Vec::new();
    for (path, text) in files(&[".rs", ".toml", ".md", ".proto"]) {
        for (index, line) in text.lines().enumerate() {
            let words = || line.split(|c: char| !c.is_alphanumeric());
            if let Some(mark) = marks.iter().find(|mark| words().any(|word| word == **mark)) {
                bad.push(format!("{path}:{}: {mark}", index + 1));
            }
        }
        if !path.ends_with(".rs") {
            continue;
        }
        let found = findings(&text);
        for (name, line) in found.macros {
            if matches!(name.as_str(), "todo" | "unimplemented" | "dbg") {
                bad.push(format!("{path}:{line}: {name}!"));
            }
        }
        for (name, line) in found.attributes {
            if name == "ignore" {
                bad.push(format!("{path}:{line}: a test that is skipped"));
            }
        }
    }
    report("finish these", &bad);
}

#[test]
fn no_path_of_a_developers_machine_is_named() {
    let mut roots = vec![
        concat!("/ho", "me/").to_owned(),
        concat!("/Us", "ers/").to_owned(),
    ];
    // The place of this very checkout, unless it is so short that it could be any path.
    if root().components().count() > 2 {
        roots.push(format!("{}/", root().display()));
    }
    let mut bad = Vec::new();
    for (path, text) in files(&[
        ".rs", ".toml", ".md", ".proto", ".json", ".yml", ".sh", "Makefile", "run",
    ]) {
        for (index, line) in text.lines().enumerate() {
            for root in roots.iter().filter(|root| begins_a_path(line, root)) {
                bad.push(format!("{path}:{}: {root}", index + 1));
            }
        }
    }
    report("these paths do not exist elsewhere", &bad);
}

/// Whether `root` stands in the line as the beginning of a path, not within a longer one.
fn begins_a_path(line: &str, root: &str) -> bool {
    line.match_indices(root).any(|(at, _)| {
        let before = line.get(..at).and_then(|text| text.chars().next_back());
        before
            .is_none_or(|c| !c.is_alphanumeric() && !matches!(c, '_' | '-' | '.' | '>' | '}' | ')'))
    })
}

#[test]
fn modules_say_what_they_do() {
    let mut bad = Vec::new();
    for (path, text) in files(&[".rs"])
        .into_iter()
        .filter(|(path, _)| !is_test_file(path))
    {
        let mut lines = text.lines().skip_while(|line| line.starts_with("#!"));
        let is_doc = |line: Option<&str>| line.is_some_and(|line| line.starts_with("//! "));
        if !is_doc(lines.next()) || !is_doc(lines.next()) {
            bad.push(path);
        }
    }
    report(
        "begin these files with `//!`: what the module does, and what it does not",
        &bad,
    );
}

#[test]
fn the_rules_find_what_they_forbid() {
    let text = "
        use std::{fs, time::{Duration, Instant}};
        fn long() {
            let _ = tokio::spawn(async {});
            println!(\"{}\", \"master/uptime_secs\");
        }
        #[cfg(test)]
        mod tests { fn in_test() { let _ = \"master/elected\"; } }
    ";
    let found = findings(text);
    let paths: Vec<&str> = found.paths.iter().map(|(path, _)| path.as_str()).collect();
    for path in ["std::fs", "std::time::Instant", "tokio::spawn"] {
        assert!(paths.contains(&path), "{path} is missing in {paths:?}");
    }
    let names: Vec<&str> = found
        .functions
        .iter()
        .map(|(name, ..)| name.as_str())
        .collect();
    assert_eq!(names, ["long"]);
    assert_eq!(found.functions[0].2, 4);
    let texts: Vec<&str> = found.texts.iter().map(|(text, _)| text.as_str()).collect();
    assert!(texts.contains(&"master/uptime_secs") && !texts.contains(&"master/elected"));
    assert!(is_metric_name("master/frameworks_active") && !is_metric_name("/master/state"));
    assert!(is_metric_name("apps.active.gauge") && !is_metric_name("a gauge"));
    assert!(begins_a_path("x = \"/srv/a\"", "/srv/") && !begins_a_path("../srv/a", "/srv/"));
}
