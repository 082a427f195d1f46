//! How the manager's records are written into the store, and read from it at the start.
//! The form of each is JSON, as serde writes it; keys are those of Marathon's storage.

use tepui_core::marathon::ids::InstanceId;
use tepui_core::marathon::manager::{Change, Stored};
use tepui_protocol::marathon::PathId;

use super::store::{Batch, Key, Kind, Record};

/// Id of the one record of its kind.
const ONLY: &str = "id";
/// Id of the oldest root group that is kept.
const BASE: &str = "base";
/// Id of the steps that follow it.
const STEP: &str = "step";

/// A record that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("the stored record '{key}' cannot be read: {why}; restore a backup")]
pub struct Unreadable {
    /// Its key.
    key: String,
    /// What is wrong with it.
    why: String,
}

/// Puts changes that belong together into one batch.
///
/// # Errors
/// When a record cannot be written as JSON, which no record is.
pub fn batch(changes: &[Change]) -> Result<Batch, serde_json::Error> {
    let mut batch = Batch::new();
    for change in changes {
        put(&mut batch, change)?;
    }
    Ok(batch)
}

fn put(batch: &mut Batch, change: &Change) -> Result<(), serde_json::Error> {
    match change {
        Change::FrameworkId(id) => {
            batch.put(Key::item(Kind::FrameworkId, ONLY), serde_json::to_vec(id)?);
        }
        Change::RootBase(base) => {
            batch.put(Key::item(Kind::Root, BASE), serde_json::to_vec(&**base)?);
        }
        Change::RootStep(step) => {
            let key = Key::version(Kind::Root, STEP, step.version);
            batch.put(key, serde_json::to_vec(&**step)?);
        }
        Change::ForgetRootStep(version) => batch.delete(Key::version(Kind::Root, STEP, *version)),
        Change::App(app) => {
            let key = Key::version(Kind::App, app.id.as_str(), app.version);
            batch.put(key, serde_json::to_vec(&**app)?);
        }
        Change::ForgetApp(id, version) => {
            batch.delete(Key::version(Kind::App, id.as_str(), *version));
        }
        Change::Instance(instance) => {
            batch.put(instance_key(&instance.id), serde_json::to_vec(&**instance)?);
        }
        Change::ForgetInstance(id) => batch.delete(instance_key(id)),
        Change::Deployment(deployment) => {
            let key = Key::item(Kind::Deployment, deployment.plan.id.as_str());
            batch.put(key, serde_json::to_vec(&**deployment)?);
        }
        Change::ForgetDeployment(id) => batch.delete(Key::item(Kind::Deployment, id.as_str())),
        Change::TaskFailure(failure) => {
            batch.put(
                failure_key(&failure.app_id),
                serde_json::to_vec(&**failure)?,
            );
        }
        Change::ForgetTaskFailure(id) => batch.delete(failure_key(id)),
    }
    Ok(())
}

/// Has the next start register a new framework.
pub fn forget_framework(batch: &mut Batch) {
    batch.delete(Key::item(Kind::FrameworkId, ONLY));
}

fn instance_key(id: &InstanceId) -> Key {
    Key::item(Kind::Instance, id.as_str())
}

fn failure_key(id: &PathId) -> Key {
    Key::item(Kind::TaskFailure, id.as_str())
}

/// What the store holds, as the manager takes it.
///
/// # Errors
/// Names the first record that cannot be read.
pub fn stored(records: Vec<Record>) -> Result<Stored, Unreadable> {
    let mut stored = Stored::default();
    for (key, value) in records {
        take(&mut stored, &key, &value).map_err(|error| Unreadable {
            key: key.to_string(),
            why: error.to_string(),
        })?;
    }
    // In the order in which they began; the key of a deployment does not tell.
    stored.deployments.sort_by_key(|it| it.plan.version);
    Ok(stored)
}

fn take(stored: &mut Stored, key: &Key, value: &[u8]) -> Result<(), serde_json::Error> {
    match key.kind {
        Kind::FrameworkId => stored.framework_id = Some(serde_json::from_slice(value)?),
        Kind::Root => match key.version {
            None => stored.base = Some(serde_json::from_slice(value)?),
            Some(version) => {
                stored.steps.insert(version, serde_json::from_slice(value)?);
            }
        },
        Kind::App => stored.apps.push(serde_json::from_slice(value)?),
        Kind::Instance => stored.instances.push(serde_json::from_slice(value)?),
        Kind::Deployment => stored.deployments.push(serde_json::from_slice(value)?),
        Kind::TaskFailure => stored.failures.push(serde_json::from_slice(value)?),
        // Of the store itself, or of a later version that this one may not touch.
        Kind::Meta => {}
    }
    Ok(())
}
