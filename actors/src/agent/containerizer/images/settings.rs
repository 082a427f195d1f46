//! Settings of the store, typed and checked.
//! Knows no flag; `crate::flags` reads those.

use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;
use tepui_protocol::{json, v1};

use super::reference::Reference;

/// Kinds of archives that images are taken from (`--image_providers`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ImageProvider {
    /// Those that `docker save` writes.
    Docker,
    /// OCI archives, and directories with an OCI layout.
    Oci,
}

/// When images that nobody uses are removed without being asked to (`--image_gc_config`).
#[derive(Debug, Clone, PartialEq)]
pub struct ImageGc {
    /// Share of the disk that is to stay free.
    pub headroom: f64,
    /// Time between two looks at the disk.
    pub interval: Duration,
    /// Images that stay.
    pub excluded: Vec<v1::Image>,
}

/// Settings of the store; each field's flag has the same name, but for `providers`
/// (`--image_providers`) and `gc` (`--image_gc_config`).
#[derive(Debug, Clone, PartialEq)]
pub struct ImagesConfig {
    /// Archives of which kinds are taken.
    pub providers: Vec<ImageProvider>,
    /// The directory with the archives.
    pub docker_registry: PathBuf,
    /// The directory that the store keeps its own files in.
    pub docker_store_dir: PathBuf,
    /// When images are removed without being asked to.
    pub gc: Option<ImageGc>,
}

/// Mesos's message `ImageGcConfig`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Message {
    image_disk_headroom: f64,
    image_disk_watch_interval: Interval,
    #[serde(default)]
    excluded_images: Vec<Value>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Interval {
    nanoseconds: i64,
}

impl ImageGc {
    /// Reads the JSON of Mesos's `ImageGcConfig`.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let message: Message = serde_json::from_str(text).map_err(|error| error.to_string())?;
        let headroom = message.image_disk_headroom;
        if !(0.0..=1.0).contains(&headroom) {
            return Err(format!(
                "'image_disk_headroom' is {headroom}, expected a share between 0 and 1"
            ));
        }
        let nanoseconds = message.image_disk_watch_interval.nanoseconds;
        let interval = u64::try_from(nanoseconds).ok().filter(|it| *it > 0);
        let interval = interval.ok_or_else(|| {
            format!(
                "'image_disk_watch_interval' is {nanoseconds} nanoseconds, expected more than 0"
            )
        })?;
        let excluded = message.excluded_images.iter().map(excluded);
        Ok(ImageGc {
            headroom,
            interval: Duration::from_nanos(interval),
            excluded: excluded.collect::<Result<_, String>>()?,
        })
    }
}

fn excluded(value: &Value) -> Result<v1::Image, String> {
    let failed = |why: String| format!("'excluded_images': {why}");
    let image = json::from_slice::<v1::Image>(value.to_string().as_bytes());
    let image = image.map_err(|error| failed(error.to_string()))?;
    reference(&image).map_err(failed)?;
    Ok(image)
}

/// The name of an image that the store may have.
///
/// # Errors
/// When it is an image of another kind, or its name is none.
pub(super) fn reference(image: &v1::Image) -> Result<Reference, String> {
    match (image.r#type(), &image.docker) {
        (v1::image::Type::Docker, Some(docker)) => Reference::parse(&docker.name),
        (v1::image::Type::Docker, None) => {
            Err("an image of type DOCKER must have 'docker', with its 'name'".to_owned())
        }
        (v1::image::Type::Appc, _) => {
            Err("images of type APPC are not supported, expected one of type DOCKER".to_owned())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_settings_of_the_garbage_collection_are_those_of_mesos() {
        let text = r#"{"image_disk_headroom": 0.1,
            "image_disk_watch_interval": {"nanoseconds": 3600000000000},
            "excluded_images": [{"type": "DOCKER", "docker": {"name": "busybox"}}]}"#;
        let gc = ImageGc::parse(text).unwrap();
        assert_eq!((gc.headroom, gc.interval), (0.1, Duration::from_secs(3600)));
        let docker = gc.excluded[0].docker.as_ref().unwrap();
        assert_eq!(docker.name, "busybox");
    }

    #[test]
    fn wrong_settings_are_told() {
        let interval = r#""image_disk_watch_interval": {"nanoseconds": 1}"#;
        let excluded = |image: &str| {
            format!(r#"{{"image_disk_headroom": 0.1, {interval}, "excluded_images": [{image}]}}"#)
        };
        let cases = [
            ("[".to_owned(), "EOF"),
            ("{}".to_owned(), "missing field `image_disk_headroom`"),
            (
                r#"{"image_disk_headroom": 0.1}"#.to_owned(),
                "missing field `image_disk_watch_interval`",
            ),
            (
                format!(r#"{{"image_disk_headroom": 1.5, {interval}}}"#),
                "'image_disk_headroom' is 1.5, expected a share between 0 and 1",
            ),
            (
                r#"{"image_disk_headroom": 0.1, "image_disk_watch_interval": {"nanoseconds": 0}}"#
                    .to_owned(),
                "expected more than 0",
            ),
            (
                excluded(r#"{"type": "APPC", "appc": {"name": "a"}}"#),
                "'excluded_images': images of type APPC are not supported",
            ),
            (
                excluded(r#"{"type": "DOCKER"}"#),
                "'excluded_images': an image of type DOCKER must have 'docker'",
            ),
            (
                excluded(r#"{"type": "DOCKER", "docker": {"name": "../a"}}"#),
                "'excluded_images': Failed to parse docker image '../a'",
            ),
        ];
        for (text, expected) in cases {
            let why = ImageGc::parse(&text).unwrap_err();
            assert!(why.contains(expected), "{text}: {why}");
        }
    }
}
