//! Rules for role names and their hierarchy.
//! Does not know which roles are in use.

/// Checks a role name; the error texts are Mesos's.
pub fn validate_role(role: &str) -> Result<(), String> {
    if role == "*" {
        return Ok(());
    }
    if role.starts_with('/') {
        return Err(format!("Role '{role}' cannot start with a slash"));
    }
    if role.ends_with('/') {
        return Err(format!("Role '{role}' cannot end with a slash"));
    }
    if role.contains("//") {
        return Err(format!("Role '{role}' cannot contain two adjacent slashes"));
    }
    if role.is_empty() {
        return Err("Role names cannot be the empty string".to_owned());
    }
    role.split('/')
        .try_for_each(|component| validate_component(role, component))
}

/// Whether `ancestor` is a proper ancestor of `role`, e.g. `eng` of `eng/web`.
pub fn is_ancestor(ancestor: &str, role: &str) -> bool {
    role.strip_prefix(ancestor)
        .is_some_and(|rest| rest.starts_with('/'))
}

/// Whether `role` is `root` or lies below it.
pub fn is_in_subtree(root: &str, role: &str) -> bool {
    root == role || is_ancestor(root, role)
}

/// The proper ancestors of a role, the nearest first: `a/b/c` gives `a/b`, `a`.
pub fn ancestors(role: &str) -> impl Iterator<Item = &str> {
    role.rmatch_indices('/').map(|(at, _)| &role[..at])
}

fn validate_component(role: &str, component: &str) -> Result<(), String> {
    if matches!(component, "." | ".." | "*") {
        return Err(format!(
            "Role '{role}' cannot include '{component}' as a component"
        ));
    }
    if component.starts_with('-') {
        return Err(format!(
            "Role component '{component}' is invalid because it starts with a dash"
        ));
    }
    let invalid = ['\t', '\n', '\x0b', '\x0c', '\r', ' ', '\x7f'];
    if component.contains(invalid) {
        return Err(format!(
            "Role component '{component}' is invalid because it contains backspace or whitespace"
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_ordinary_and_hierarchical_names() {
        for role in ["*", "web", "eng/web", "a.b", "a-b", "...", "a/b/c", "*a"] {
            assert_eq!(validate_role(role), Ok(()), "{role}");
        }
    }

    #[test]
    fn refuses_with_the_texts_of_mesos() {
        let cases = [
            ("", "Role names cannot be the empty string"),
            ("/", "Role '/' cannot start with a slash"),
            ("/a", "Role '/a' cannot start with a slash"),
            ("a/", "Role 'a/' cannot end with a slash"),
            ("a//b", "Role 'a//b' cannot contain two adjacent slashes"),
            (".", "Role '.' cannot include '.' as a component"),
            ("a/..", "Role 'a/..' cannot include '..' as a component"),
            ("a/*", "Role 'a/*' cannot include '*' as a component"),
            (
                "a/-b",
                "Role component '-b' is invalid because it starts with a dash",
            ),
            (
                "a b",
                "Role component 'a b' is invalid because it contains backspace or whitespace",
            ),
            (
                "x/a\x7f",
                "Role component 'a\x7f' is invalid because it contains backspace or whitespace",
            ),
        ];
        for (role, text) in cases {
            assert_eq!(validate_role(role), Err(text.to_owned()), "{role}");
        }
    }

    #[test]
    fn ancestors_are_whole_components() {
        assert!(is_ancestor("eng", "eng/web"));
        assert!(is_ancestor("eng", "eng/web/x"));
        assert!(!is_ancestor("eng", "engine/web"));
        assert!(!is_ancestor("eng", "eng"));
        assert!(!is_ancestor("eng/web", "eng"));
        assert!(is_in_subtree("eng", "eng"));
        assert_eq!(ancestors("a/b/c").collect::<Vec<_>>(), ["a/b", "a"]);
        assert_eq!(ancestors("a").count(), 0);
    }
}
