//! Logins of registries, in the form of Docker's own `config.json` or of the older `.dockercfg`.
//! Speaks to no registry, and never shows a secret.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use serde_json::{Map, Value, json};

/// The registry of images whose names say none.
const DOCKER_HUB: &str = "docker.io";

/// Other names that are used for it.
const HUB_NAMES: &[&str] = &["index.docker.io", "registry-1.docker.io"];

/// What the Engine calls it.
const HUB_ADDRESS: &str = "https://index.docker.io/v1/";

/// Where a task may have its own logins fetched to, in its sandbox.
const FILES: &[&str] = &[".docker/config.json", ".dockercfg"];

/// Most bytes of such a file.
const MAX_FILE_BYTES: u64 = 1024 * 1024;

/// One login.
#[derive(Clone, PartialEq, Eq)]
enum Login {
    Password {
        user: String,
        password: String,
    },
    /// What a registry has given instead of a password.
    Token(String),
}

/// The logins of registries, by their hosts.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Logins(BTreeMap<String, Login>);

impl fmt::Debug for Logins {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl Logins {
    /// Reads the text of a file of Docker's.
    ///
    /// # Errors
    /// What is wrong with it; no secret is repeated.
    pub fn read(text: &str) -> Result<Self, String> {
        let all: Value = serde_json::from_str(text).map_err(|_| "it is no JSON".to_owned())?;
        let all = all.as_object().ok_or("it is no JSON object")?;
        for helper in ["credsStore", "credHelpers"] {
            if all.contains_key(helper) {
                return Err(format!(
                    "'{helper}' is not supported, expected logins in 'auths'"
                ));
            }
        }
        let auths = match all.get("auths") {
            Some(auths) => auths.as_object().ok_or("'auths' is no JSON object")?,
            None => all,
        };
        let mut logins = BTreeMap::new();
        for (registry, value) in auths {
            let login = login(value).map_err(|why| format!("the login of '{registry}' {why}"))?;
            logins.insert(host_of(registry), login);
        }
        Ok(Logins(logins))
    }

    /// Those that a task has had fetched, if it has. Nothing of the task runs yet that could put
    /// another file in the place of what is looked at; links out of the sandbox are not followed.
    ///
    /// # Errors
    /// When there is such a file and it cannot be used.
    pub(super) fn of_sandbox(sandbox: &Path) -> Result<Option<Self>, String> {
        for name in FILES {
            let path = sandbox.join(name);
            if path.symlink_metadata().is_err() {
                continue;
            }
            let wrong = |why: String| format!("Failed to read '{name}' in the sandbox: {why}");
            let text = content(sandbox, &path).map_err(wrong)?;
            return Logins::read(&text).map(Some).map_err(wrong);
        }
        Ok(None)
    }

    /// What the Engine is to be told of the registry of this image, if anything is known of it: the
    /// value of the header `X-Registry-Auth`.
    pub(super) fn header(&self, image: &str) -> Option<String> {
        let host = registry(image);
        let address = match host.as_str() {
            DOCKER_HUB => HUB_ADDRESS,
            other => other,
        };
        let said = match self.0.get(&host)? {
            Login::Password { user, password } => json!({
                "username": user, "password": password, "serveraddress": address,
            }),
            Login::Token(token) => json!({"identitytoken": token, "serveraddress": address}),
        };
        Some(URL_SAFE.encode(said.to_string()))
    }
}

/// Reads what is expected to be a small file below `root`.
fn content(root: &Path, path: &Path) -> Result<String, String> {
    let real = |path: &Path| path.canonicalize().map_err(|error| error.to_string());
    let path = real(path)?;
    if !path.starts_with(real(root)?) || !path.is_file() {
        return Err("it is no file of the sandbox".to_owned());
    }
    let mut text = String::new();
    let file = File::open(path).map_err(|error| error.to_string())?;
    let mut file = file.take(MAX_FILE_BYTES);
    file.read_to_string(&mut text)
        .map_err(|error| error.to_string())?;
    Ok(text)
}

fn login(value: &Value) -> Result<Login, String> {
    let value = value.as_object().ok_or("is no JSON object")?;
    let text = |name: &str| {
        let text = value.get(name).and_then(Value::as_str);
        text.filter(|text| !text.is_empty())
    };
    if let Some(token) = text("identitytoken") {
        return Ok(Login::Token(token.to_owned()));
    }
    if let Some(login) = text("auth").map(from_auth) {
        return login.ok_or_else(|| "has an 'auth' that is not user:password in base64".into());
    }
    from_words(value).ok_or_else(|| "has neither 'auth' nor 'username' and 'password'".into())
}

fn from_auth(auth: &str) -> Option<Login> {
    let bytes = STANDARD.decode(auth.trim()).ok()?;
    let text = String::from_utf8(bytes).ok()?;
    let (user, password) = text.split_once(':')?;
    Some(Login::Password {
        user: user.to_owned(),
        // Docker itself has written such an end.
        password: password.trim_end_matches('\0').to_owned(),
    })
}

fn from_words(value: &Map<String, Value>) -> Option<Login> {
    let text = |name: &str| Some(value.get(name)?.as_str()?.to_owned());
    Some(Login::Password {
        user: text("username")?,
        password: text("password")?,
    })
}

/// The host of a registry that is named by it or by a URL.
fn host_of(registry: &str) -> String {
    let rest = registry.trim_start_matches("https://");
    let rest = rest.trim_start_matches("http://");
    let host = rest.split('/').next().unwrap_or_default();
    let host = host.to_ascii_lowercase();
    match HUB_NAMES.contains(&host.as_str()) {
        true => DOCKER_HUB.to_owned(),
        false => host,
    }
}

/// The host of an image's registry: the part before the first slash, if it can be a host.
fn registry(image: &str) -> String {
    match image.split_once('/') {
        Some((host, _)) if host.contains(['.', ':']) || host == "localhost" => host_of(host),
        _ => DOCKER_HUB.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(logins: &Logins, image: &str) -> Option<Value> {
        let bytes = URL_SAFE.decode(logins.header(image)?).unwrap();
        Some(serde_json::from_slice(&bytes).unwrap())
    }

    #[test]
    fn each_registry_is_told_its_own_login() {
        // "u:p:q" and "hub:secret".
        let text = r#"{"auths": {
            "https://registry.example.com:5000/v2/": {"auth": "dTpwOnE="},
            "https://index.docker.io/v1/": {"auth": "aHViOnNlY3JldA==", "email": "x"},
            "other.example.com": {"username": "a", "password": "b"},
            "token.example.com": {"identitytoken": "t"}
        }}"#;
        let logins = Logins::read(text).unwrap();
        assert_eq!(
            said(&logins, "registry.example.com:5000/a/b:1").unwrap(),
            json!({"username": "u", "password": "p:q",
                "serveraddress": "registry.example.com:5000"})
        );
        for image in ["busybox:latest", "some/image:1", "docker.io/library/x"] {
            let said = said(&logins, image).unwrap();
            assert_eq!(said["username"], "hub", "{image}");
            assert_eq!(said["serveraddress"], HUB_ADDRESS);
        }
        assert_eq!(
            said(&logins, "other.example.com/x").unwrap()["password"],
            "b"
        );
        assert_eq!(
            said(&logins, "token.example.com/x").unwrap(),
            json!({"identitytoken": "t", "serveraddress": "token.example.com"})
        );
        assert_eq!(said(&logins, "unknown.example.com/x"), None);
        assert_eq!(said(&logins, "localhost/x"), None);
        let shown = format!("{logins:?}");
        assert!(shown.contains("other.example.com") && !shown.contains("secret"));
    }

    #[test]
    fn the_older_form_is_read_and_what_is_wrong_is_said_without_secrets() {
        let old = r#"{"https://index.docker.io/v1/": {"auth": "aHViOnNlY3JldA=="}}"#;
        assert!(Logins::read(old).unwrap().header("x").is_some());
        for (text, words) in [
            ("secret", "it is no JSON"),
            ("[]", "no JSON object"),
            (r#"{"auths": 1}"#, "'auths' is no JSON object"),
            (
                r#"{"credsStore": "secret"}"#,
                "'credsStore' is not supported",
            ),
            (
                r#"{"auths": {"a": {"auth": "secret"}}}"#,
                "'auth' that is not",
            ),
            (r#"{"auths": {"a": {}}}"#, "neither 'auth' nor"),
            (r#"{"auths": {"a": "secret"}}"#, "is no JSON object"),
        ] {
            let why = Logins::read(text).unwrap_err();
            assert!(why.contains(words) && !why.contains("secret"), "{why}");
        }
    }

    #[test]
    fn a_task_may_bring_its_own_but_no_others() {
        let dir = tempfile::tempdir().unwrap();
        let sandbox = dir.path().join("sandbox");
        std::fs::create_dir_all(sandbox.join(".docker")).unwrap();
        assert_eq!(Logins::of_sandbox(&sandbox), Ok(None));
        let text = r#"{"auths": {"a.b": {"username": "u", "password": "p"}}}"#;
        let other = dir.path().join("other");
        std::fs::write(&other, text).unwrap();
        let own = sandbox.join(".docker/config.json");
        std::os::unix::fs::symlink(&other, &own).unwrap();
        let why = Logins::of_sandbox(&sandbox).unwrap_err();
        assert!(why.contains("no file of the sandbox"), "{why}");
        std::fs::remove_file(&own).unwrap();
        std::fs::write(&own, text).unwrap();
        let found = Logins::of_sandbox(&sandbox).unwrap().unwrap();
        assert!(found.header("a.b/x").is_some());
    }
}
