//! All flags of the app manager, each declared once, and how they are found.
//! Reads no value.

mod http;
mod mesos;
mod storage;
mod watch;
mod work;

use super::kind::Kind;
use super::table::Flag;

/// The program's name.
pub(super) const PROGRAM: &str = "tepui-marathon";

/// What the program is, for the help text.
pub(super) const ABOUT: &str =
    "The app manager of a Tepui cluster: keeps apps running, with Marathon's API and flags.";

/// Defaults where Marathon has none.
const OWN_DEFAULTS: &[(&str, &str)] = &[("http_address", "127.0.0.1")];

/// Flags whose values are never shown.
const SECRETS: &[&str] = &[
    "http_credentials",
    "mesos_authentication_secret",
    "metrics_datadog_api_key",
    "ssl_keystore_password",
];

/// Variables that give a flag besides that of its name. Marathon.
pub(super) const OTHER_ENV: &[(&str, &str)] = &[
    ("http_credentials", "MESOSPHERE_HTTP_CREDENTIALS"),
    ("ssl_keystore_path", "MESOSPHERE_KEYSTORE_PATH"),
    ("ssl_keystore_password", "MESOSPHERE_KEYSTORE_PASS"),
];

/// What switches a toggle off, in front of its name.
const OFF: &str = "disable_";

/// All flags.
pub(super) fn flags() -> impl Iterator<Item = &'static Flag> {
    let lists = [
        mesos::MESOS,
        http::HTTP,
        storage::STORAGE,
        work::WORK,
        watch::WATCH,
    ];
    lists.into_iter().flatten()
}

/// The flag that a spelling means, and whether the spelling switches it off.
pub(super) fn find(spelling: &str) -> Option<(&'static Flag, bool)> {
    let named = |name: &str| flags().find(|flag| flag.name == name || flag.alias == Some(name));
    if let Some(flag) = named(spelling) {
        return Some((flag, false));
    }
    let flag = named(spelling.strip_prefix(OFF)?)?;
    (flag.kind == Kind::Toggle).then_some((flag, true))
}

/// The default in effect, if any.
pub(super) fn default_of(flag: &Flag) -> Option<&'static str> {
    let own = OWN_DEFAULTS.iter().find(|(name, _)| *name == flag.name);
    own.map(|(_, value)| *value).or(flag.default)
}

/// Whether the flag's value is never shown.
pub(super) fn is_secret(flag: &Flag) -> bool {
    SECRETS.contains(&flag.name)
}
