//! Which servers are meant when the command line does not name them: the user's settings, else this machine.
//! Asks no server.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::trouble::Trouble;

/// The master when nothing names another.
pub(super) const DEFAULT_MASTER: &str = "127.0.0.1:5050";

/// The app manager when nothing names another.
const DEFAULT_MARATHON: &str = "http://127.0.0.1:8080";

/// The largest file of settings that is read.
const MAX_FILE_BYTES: u64 = 1 << 20;

/// The settings of a user.
#[derive(Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    master: Option<String>,
    marathon: Option<String>,
}

/// The master: the one given by option or environment, else that of the settings.
pub(super) fn master(given: Option<&str>) -> Result<String, Trouble> {
    first(given, |config| config.master, DEFAULT_MASTER)
}

/// The app manager: the one given by option or environment, else that of the settings.
pub(super) fn marathon(given: Option<&str>) -> Result<String, Trouble> {
    first(given, |config| config.marathon, DEFAULT_MARATHON)
}

fn first(
    given: Option<&str>,
    set: impl FnOnce(Config) -> Option<String>,
    default: &str,
) -> Result<String, Trouble> {
    // A setting that is wrong hurts nobody who does not need it.
    if let Some(given) = given.filter(|given| !given.is_empty()) {
        return Ok(given.to_owned());
    }
    let path = path(
        std::env::var_os("XDG_CONFIG_HOME"),
        std::env::var_os("HOME"),
    );
    let config = path.map_or_else(|| Ok(Config::default()), |path| read(&path))?;
    Ok(set(config).unwrap_or_else(|| default.to_owned()))
}

/// Where the settings are.
fn path(xdg_config_home: Option<OsString>, home: Option<OsString>) -> Option<PathBuf> {
    // The XDG specification wants relative paths to be passed over.
    let absolute = |path: OsString| Some(PathBuf::from(path)).filter(|path| path.is_absolute());
    let dir = xdg_config_home.and_then(absolute);
    let dir = dir.or_else(|| Some(home.and_then(absolute)?.join(".config")))?;
    Some(dir.join("tepui/config.toml"))
}

fn read(path: &Path) -> Result<Config, Trouble> {
    let shown = path.display();
    let failed = |error: std::io::Error| Trouble::Usage(format!("cannot read {shown}: {error}"));
    match std::fs::metadata(path) {
        Ok(found) if found.len() > MAX_FILE_BYTES => {
            let text = format!("{shown} is longer than {MAX_FILE_BYTES} bytes");
            return Err(Trouble::Usage(text));
        }
        Ok(_) => {}
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Config::default()),
        Err(error) => return Err(failed(error)),
    }
    let text = std::fs::read_to_string(path).map_err(failed)?;
    toml::from_str(&text).map_err(|error| {
        let error = error.to_string();
        let error = error.trim_end();
        Trouble::Usage(format!(
            "{shown} is wrong: {error}\nexpected lines as master = \"host:5050\" and marathon = \
             \"http://host:8080\""
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_where_xdg_has_them() {
        let os = |text: &str| Some(OsString::from(text));
        let at = |xdg: &str, home| path(os(xdg), home);
        assert_eq!(
            at("/c", os("/h")),
            Some(PathBuf::from("/c/tepui/config.toml"))
        );
        let below_home = Some(PathBuf::from("/h/.config/tepui/config.toml"));
        assert_eq!(path(None, os("/h")), below_home);
        assert_eq!(at("", os("/h")), below_home);
        assert_eq!(at("relative", os("/h")), below_home);
        assert_eq!(path(None, None), None);
    }

    #[test]
    fn settings_are_read_and_what_is_wrong_in_them_is_said() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("config.toml");
        assert_eq!(read(&path).expect("none"), Config::default());
        std::fs::write(&path, "master = \"h:1\"\n").expect("written");
        let config = read(&path).expect("settings");
        assert_eq!(
            (config.master.as_deref(), config.marathon),
            (Some("h:1"), None)
        );
        for wrong in ["master = 5", "master", "mister = \"h:1\""] {
            std::fs::write(&path, wrong).expect("written");
            let trouble = read(&path).expect_err(wrong);
            assert_eq!(trouble.exit_status(), 2);
            let text = trouble.text().expect("a text").to_owned();
            assert!(
                text.contains("config.toml is wrong") && text.contains("expected"),
                "{text}"
            );
        }
    }

    #[test]
    fn what_is_given_needs_no_settings() {
        assert_eq!(master(Some("h:1")).expect("given"), "h:1");
        assert_eq!(marathon(Some("http://h:1")).expect("given"), "http://h:1");
    }
}
