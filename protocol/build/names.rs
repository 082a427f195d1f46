//! Names of the Rust items that prost-build makes out of protobuf names.
//! Makes no items itself.

use heck::{ToSnakeCase, ToUpperCamelCase};

/// Words that prost-build writes as raw identifiers.
const KEYWORDS: &[&str] = &[
    "abstract", "as", "async", "await", "become", "box", "break", "const", "continue", "do", "dyn",
    "else", "enum", "false", "final", "fn", "for", "gen", "if", "impl", "in", "let", "loop",
    "macro", "match", "mod", "move", "mut", "override", "priv", "pub", "ref", "return", "static",
    "struct", "trait", "true", "try", "type", "typeof", "unsafe", "unsized", "use", "virtual",
    "where", "while", "yield",
];

/// Name of a field or module.
pub fn snake(name: &str) -> String {
    let snake = name.to_snake_case();
    if KEYWORDS.contains(&snake.as_str()) {
        format!("r#{snake}")
    } else {
        snake
    }
}

/// Path below `crate::generated` of a message, given its package, its parents and its own name.
pub fn type_path(package: &str, parents: &[String], name: &str) -> String {
    let modules = package.split('.').map(snake);
    let parents = parents.iter().map(|parent| snake(parent));
    let mut path: Vec<String> = modules.chain(parents).collect();
    path.push(name.to_upper_camel_case());
    format!("crate::generated::{}", path.join("::"))
}

/// Name of the static table of a message or enum, given its full protobuf name.
pub fn table(full_name: &str) -> String {
    full_name
        .trim_start_matches('.')
        .replace('.', "__")
        .to_uppercase()
}
