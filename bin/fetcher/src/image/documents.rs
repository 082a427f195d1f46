//! The JSON documents of images, as far as they are read, in the words of their specifications.
//! Decides nothing.

use std::collections::BTreeMap;

use serde::Deserialize;
use tepui_protocol::fetch::ImageSettings;

/// Most bytes of a document; the largest known ones have a tenth of it.
pub(super) const MAX_BYTES: u64 = 4 << 20;

/// One image of `manifest.json`, which `docker save` writes.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Saved {
    pub(super) config: String,
    pub(super) repo_tags: Option<Vec<String>>,
    #[serde(default)]
    pub(super) layers: Vec<String>,
}

/// `repositories`, which `docker save` wrote before there was `manifest.json`: the topmost layer of
/// each tag of each repository.
pub(super) type Repositories = BTreeMap<String, BTreeMap<String, String>>;

/// `<layer>/json` of these archives.
#[derive(Debug, Deserialize)]
pub(super) struct SavedLayer {
    pub(super) parent: Option<String>,
    pub(super) config: Option<RunConfig>,
}

/// An image's configuration; Docker's and OCI's agree in what is read of it.
#[derive(Debug, Deserialize)]
pub(super) struct Config {
    pub(super) config: Option<RunConfig>,
    #[serde(default)]
    pub(super) rootfs: RootFs,
}

/// Which layers a configuration was made for.
#[derive(Debug, Default, Deserialize)]
pub(super) struct RootFs {
    #[serde(default)]
    pub(super) diff_ids: Vec<String>,
}

/// How programs are run in an image.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct RunConfig {
    entrypoint: Option<Vec<String>>,
    cmd: Option<Vec<String>>,
    env: Option<Vec<String>>,
    working_dir: Option<String>,
    user: Option<String>,
}

impl RunConfig {
    pub(super) fn settings(self) -> ImageSettings {
        let set = |text: Option<String>| text.filter(|text| !text.is_empty());
        // What has no value is skipped, as in Mesos.
        let pair = |text: &String| {
            let (name, value) = text.split_once('=')?;
            Some((name.to_owned(), value.to_owned()))
        };
        let env = self.env.unwrap_or_default();
        ImageSettings {
            entrypoint: self.entrypoint.unwrap_or_default(),
            cmd: self.cmd.unwrap_or_default(),
            env: env.iter().filter_map(pair).collect(),
            working_dir: set(self.working_dir),
            user: set(self.user),
        }
    }
}

/// An OCI index, or what Docker calls a manifest list.
#[derive(Debug, Deserialize)]
pub(super) struct Index {
    #[serde(default)]
    pub(super) manifests: Vec<Descriptor>,
}

/// Names content by its digest.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Descriptor {
    #[serde(default)]
    pub(super) media_type: String,
    pub(super) digest: String,
    pub(super) platform: Option<Platform>,
    #[serde(default)]
    pub(super) annotations: BTreeMap<String, String>,
}

/// What an image runs on.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Platform {
    pub(super) architecture: String,
    pub(super) os: String,
}

/// An OCI manifest, or one of Docker's second schema.
#[derive(Debug, Deserialize)]
pub(super) struct Manifest {
    pub(super) config: Descriptor,
    #[serde(default)]
    pub(super) layers: Vec<Descriptor>,
}
