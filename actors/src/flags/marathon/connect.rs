//! The flags about what the app manager is connected with: the master, ZooKeeper, the store.
//! Connects to nothing.

use std::path::Path;

use super::error::MarathonFlagError;
use super::values::Values;
use crate::election::ZkUrl;
use crate::marathon::config::{FrameworkSettings, StatePlace};
use crate::marathon::driver::{Credentials, Limits, MasterUrl, MasterUrlError};

/// What a text that names a master looks like.
const MASTER_FORMS: &str = "host:port, http://host:port, https://host:port, \
    zk://host1:port1,host2:port2/path, or file:///path of a file that holds one of these";

/// What a text that names a place in ZooKeeper looks like.
const ZK_FORMS: &str =
    "zk://[user:pass@]host1:port1,host2:port2/path, or file:///path of a file that holds that";

/// What a password in an address cannot be.
const NO_SLASH: &str = "before its '@' it may hold no slash";

/// Flags that count only when state is in ZooKeeper.
const ZK_ONLY: [&str; 1] = ["zk_session_timeout"];

/// The flag `master`.
pub(super) fn master(values: &Values) -> Result<MasterUrl, MarathonFlagError> {
    let Some(text) = values.text("master") else {
        return Err(MarathonFlagError::Required {
            name: "master",
            why: "give --master HOST:PORT, or --master zk://HOST1:PORT1,HOST2:PORT2/PATH where \
                  masters are elected",
        });
    };
    if hides_a_slash(text) {
        return Err(values.bad("master", &format!("{MASTER_FORMS}; {NO_SLASH}")));
    }
    MasterUrl::read(text).map_err(|error| match error {
        // Its text repeats the address, and with it a password.
        MasterUrlError::Address(_) => values.bad("master", MASTER_FORMS),
        error @ (MasterUrlError::ZooKeeper(_) | MasterUrlError::File { .. }) => {
            values.bad("master", &format!("{MASTER_FORMS} ({error})"))
        }
    })
}

/// Where state is kept, and notes on flags that do not count there.
pub(super) fn state(values: &mut Values) -> Result<StatePlace, MarathonFlagError> {
    let zk = zk(values)?;
    let backend = values.text("internal_store_backend");
    let backend = backend.filter(|_| values.is_given("internal_store_backend"));
    let place = match (backend, zk) {
        (Some("mem"), None) => StatePlace::Memory,
        (Some("mem"), Some(_)) => {
            let expected = "'zk' with --zk: the next leader would know nothing; leave --zk out to \
                            keep state in memory only";
            return Err(values.bad("internal_store_backend", expected));
        }
        (Some(_), None) => {
            let expected = "--zk with it, or 'mem' to keep nothing; without both flags state is \
                            kept in a file below --work_dir";
            return Err(values.bad("internal_store_backend", expected));
        }
        (None, None) => StatePlace::File(work_dir(values)?),
        (Some(_) | None, Some(url)) => StatePlace::ZooKeeper {
            url,
            session_timeout: values.millis("zk_session_timeout")?,
        },
    };
    match &place {
        StatePlace::ZooKeeper { .. } => {
            values.note_unused("work_dir", "with --zk state is kept in ZooKeeper");
            if !values.is_on("ha") {
                let why = "instances that share a ZooKeeper always elect which one leads";
                values.note_unused("ha", why);
            }
        }
        StatePlace::Memory => {
            values.note_unused("work_dir", "state is kept in memory only");
            note_zk_only(values);
        }
        StatePlace::File(_) => note_zk_only(values),
    }
    Ok(place)
}

fn note_zk_only(values: &mut Values) {
    for name in ZK_ONLY {
        values.note_unused(name, "it counts with --zk only");
    }
}

/// The flag `zk`.
pub(super) fn zk(values: &Values) -> Result<Option<ZkUrl>, MarathonFlagError> {
    let Some(text) = values.text("zk") else {
        return Ok(None);
    };
    if hides_a_slash(text) {
        return Err(values.bad("zk", &format!("{ZK_FORMS}; {NO_SLASH}")));
    }
    let bad = |error| values.bad("zk", &format!("{ZK_FORMS} ({error})"));
    ZkUrl::read(text).map(Some).map_err(bad)
}

/// Whether a password seems to hold a slash: it ends the part in which passwords are looked for, so
/// that errors would show the password as something else.
fn hides_a_slash(url: &str) -> bool {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let at = rest.rfind('@');
    rest.find('/').is_some_and(|slash| Some(slash) < at)
}

fn work_dir(values: &Values) -> Result<std::path::PathBuf, MarathonFlagError> {
    values
        .path("work_dir")?
        .ok_or_else(|| values.bad("work_dir", "a directory"))
}

/// What the framework says of itself.
pub(super) fn framework(values: &Values) -> Result<FrameworkSettings, MarathonFlagError> {
    let user = match values.optional_text("mesos_user")? {
        Some(user) => user,
        None => own_user().ok_or(MarathonFlagError::Required {
            name: "mesos_user",
            why: "the user of this process has no name on this machine; give the user that tasks \
                  run as",
        })?,
    };
    Ok(FrameworkSettings {
        framework_name: values.full_text("framework_name")?,
        mesos_user: user,
        webui_url: values.optional_text("webui_url")?,
        failover_timeout: values.seconds("failover_timeout")?,
        checkpoint: values.is_on("checkpoint"),
        principal: values.optional_text("mesos_authentication_principal")?,
    })
}

fn own_user() -> Option<String> {
    let user = nix::unistd::User::from_uid(nix::unistd::geteuid());
    Some(user.ok()??.name)
}

/// Principal and secret, when the master is to be told both.
pub(super) fn credentials(values: &mut Values) -> Result<Option<Credentials>, MarathonFlagError> {
    const SECRET: &str = "mesos_authentication_secret";
    const SECRET_FILE: &str = "mesos_authentication_secret_file";
    const PRINCIPAL: &str = "mesos_authentication_principal";
    if values.is_given(SECRET) && values.is_given(SECRET_FILE) {
        return Err(MarathonFlagError::Both {
            name: SECRET,
            other: SECRET_FILE,
            right: "give the secret or the file that holds it",
        });
    }
    if !values.is_on("mesos_authentication") {
        for name in [SECRET, SECRET_FILE] {
            values.note_unused(
                name,
                "the master is told a secret with --mesos_authentication only",
            );
        }
        return Ok(None);
    }
    let principal = values.optional_text(PRINCIPAL)?;
    let principal = principal.ok_or(MarathonFlagError::Required {
        name: PRINCIPAL,
        why: "--mesos_authentication needs it",
    })?;
    let (name, read) = match (values.text(SECRET), values.text(SECRET_FILE)) {
        (Some(secret), _) => (SECRET, Credentials::new(&principal, secret.as_bytes())),
        (None, Some(path)) => (SECRET_FILE, Credentials::read(&principal, Path::new(path))),
        (None, None) => {
            return Err(MarathonFlagError::Required {
                name: SECRET_FILE,
                why: "--mesos_authentication needs the principal's secret; name a file that holds \
                      it, or give --mesos_authentication_secret",
            });
        }
    };
    read.map(Some).map_err(|error| {
        let expected = format!("a secret that goes with the principal '{principal}' ({error})");
        values.bad(name, &expected)
    })
}

/// The bounds of the connection to the master.
pub(super) fn limits(values: &Values) -> Result<Limits, MarathonFlagError> {
    Ok(Limits {
        probe_interval: values.millis("mesos_heartbeat_interval")?,
        missed_probes: values.number("mesos_heartbeat_failure_threshold")?,
        ..Limits::default()
    })
}
