//! Finds an image in what `docker save` writes, by `manifest.json` or, in old archives, by
//! `repositories`.
//! Unpacks nothing.

use tepui_protocol::fetch::Unpack;

use super::blobs::Blobs;
use super::digest::Digest;
use super::documents::{Config, Repositories, Saved, SavedLayer};
use super::{Found, ImageError, Layer, MAX_LAYERS};

/// Lists the images of an archive.
pub(super) const MANIFEST: &str = "manifest.json";

/// Lists the images of an old archive.
pub(super) const REPOSITORIES: &str = "repositories";

/// Beginnings of names that the user need not write.
const IMPLIED: [&str; 5] = [
    "docker.io/library/",
    "index.docker.io/library/",
    "docker.io/",
    "library/",
    "localhost/",
];

const LATEST: &str = "latest";

/// Finds the image.
pub(super) fn find(order: &Unpack, blobs: &Blobs) -> Result<Found, ImageError> {
    if !blobs.has(MANIFEST) {
        return find_old(order, blobs);
    }
    let (saved, _) = blobs.document::<Vec<Saved>>(MANIFEST)?;
    let names = |saved: &Saved| saved.repo_tags.clone().unwrap_or_default();
    let saved = choose(&saved, names, &order.name)?;
    let (config, digest) = blobs.document::<Config>(&saved.config)?;
    expect_name(&saved.config, &digest)?;
    if let Some(expected) = &order.digest
        && *expected != digest.to_string()
    {
        return Err(ImageError::Wrong(format!(
            "the image in it has the id {digest}, expected {expected}; an archive of 'docker save' \
             does not tell other digests: use an OCI image, or leave the digest out"
        )));
    }
    let files = saved.layers.iter().map(String::as_str);
    Ok(Found {
        layers: layers(files, &config.rootfs.diff_ids)?,
        settings: config.config.unwrap_or_default().settings(),
    })
}

/// Layers with the digests that the configuration gives them.
pub(super) fn layers<'a>(
    files: impl ExactSizeIterator<Item = &'a str>,
    diff_ids: &[String],
) -> Result<Vec<Layer>, ImageError> {
    if files.len() != diff_ids.len() {
        return Err(ImageError::Wrong(format!(
            "its manifest names {} layers, and its configuration {}",
            files.len(),
            diff_ids.len()
        )));
    }
    let both = files.zip(diff_ids).map(|(file, diff_id)| {
        let parsed = Digest::parse(diff_id);
        let diff_id = parsed.ok_or_else(|| not_a_digest(diff_id))?;
        Ok(Layer {
            digest: digest_in_name(file).filter(|digest| *digest != diff_id),
            file: file.to_owned(),
            diff_id: Some(diff_id),
        })
    });
    both.collect()
}

pub(super) fn not_a_digest(text: &str) -> ImageError {
    let digits = "64 hexadecimal digits";
    ImageError::Wrong(format!(
        "'{text}' is no digest, expected 'sha256:' and {digits}"
    ))
}

/// Documents whose names tell their digest must have it.
fn expect_name(name: &str, found: &Digest) -> Result<(), ImageError> {
    match digest_in_name(name) {
        Some(expected) if expected != *found => Err(ImageError::Damaged {
            what: name.to_owned(),
            found: found.clone(),
            expected,
        }),
        _ => Ok(()),
    }
}

/// The digest that a name tells: `blobs/sha256/<digits>` or `<digits>.json`.
fn digest_in_name(name: &str) -> Option<Digest> {
    let blob = name.strip_prefix("blobs/sha256/");
    Digest::from_digits(blob.or_else(|| name.strip_suffix(".json"))?)
}

/// The one of several images that has a name; a lone one need have none, as its archive tells it.
fn choose<'a, T>(
    images: &'a [T],
    names: impl Fn(&T) -> Vec<String>,
    wanted: &str,
) -> Result<&'a T, ImageError> {
    if let [only] = images {
        return Ok(only);
    }
    let is_wanted = |name: &String| normal(name) == normal(wanted);
    let found = images.iter().find(|it| names(it).iter().any(is_wanted));
    found.ok_or_else(|| {
        let all: Vec<String> = images.iter().flat_map(names).collect();
        none_of(wanted, &all)
    })
}

/// None of several images has the name.
pub(super) fn none_of(wanted: &str, names: &[String]) -> ImageError {
    let names = match names.is_empty() {
        true => "images without names".to_owned(),
        false => format!("'{}'", names.join("', '")),
    };
    ImageError::Wrong(format!("'{wanted}' is not in it; it holds {names}"))
}

/// A name without what is implied, with its tag.
pub(super) fn normal(name: &str) -> String {
    let mut implied = IMPLIED.iter();
    let short = implied.find_map(|prefix| name.strip_prefix(prefix));
    let short = short.unwrap_or(name);
    let last = short.rsplit('/').next().unwrap_or(short);
    match last.contains(':') {
        true => short.to_owned(),
        false => format!("{short}:{LATEST}"),
    }
}

/// Finds the image in an archive that is older than `manifest.json`: each layer names the one below
/// it, and the topmost has the settings.
fn find_old(order: &Unpack, blobs: &Blobs) -> Result<Found, ImageError> {
    let (repositories, _) = blobs.document::<Repositories>(REPOSITORIES)?;
    let tags = repositories.iter().flat_map(|(repository, tags)| {
        let named =
            move |(tag, layer): (&String, &String)| (format!("{repository}:{tag}"), layer.clone());
        tags.iter().map(named)
    });
    let tags: Vec<(String, String)> = tags.collect();
    let (_, top) = choose(&tags, |(name, _)| vec![name.clone()], &order.name)?;
    if let Some(digest) = &order.digest {
        return Err(ImageError::Wrong(format!(
            "expected {digest}, but an archive of 'docker save' without '{MANIFEST}' does not tell \
             digests: use an OCI image, or leave the digest out"
        )));
    }
    let mut settings = None;
    let mut layers = Vec::new();
    let mut next = Some(top.clone());
    while let Some(id) = next {
        if layers.len() >= MAX_LAYERS {
            let why = format!("it has more than {MAX_LAYERS} layers, or they go in a circle");
            return Err(ImageError::Wrong(why));
        }
        let (layer, _) = blobs.document::<SavedLayer>(&format!("{id}/json"))?;
        settings.get_or_insert_with(|| layer.config.unwrap_or_default().settings());
        layers.push(Layer {
            file: format!("{id}/layer.tar"),
            digest: None,
            diff_id: None,
        });
        next = layer.parent.filter(|parent| !parent.is_empty());
    }
    layers.reverse();
    Ok(Found {
        layers,
        settings: settings.unwrap_or_default(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_implied_in_a_name_makes_no_difference() {
        for name in [
            "busybox",
            "library/busybox",
            "docker.io/library/busybox:latest",
            "localhost/busybox",
        ] {
            assert_eq!(normal(name), "busybox:latest", "{name}");
        }
        assert_eq!(normal("docker.io/a/b:1"), "a/b:1");
        assert_eq!(normal("host:5000/b"), "host:5000/b:latest");
    }
}
