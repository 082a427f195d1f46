//! Images of all forms, good and harmful, made here and unpacked for real.

mod forms;
mod layers;

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use ::tar::{Builder, EntryType, Header};
use serde_json::json;
use tepui_protocol::fetch::{ImageForm, Unpack, UnpackedImage};

use super::digest::Digest;
use super::oci::architecture;
use crate::sandbox::Sandbox;

const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";

/// Names and contents.
type Files = Vec<(String, Vec<u8>)>;

/// A directory with an archive, one to unpack into, and one with layers that are known.
struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Self {
        let place = Place(tempfile::tempdir().unwrap());
        fs::create_dir(place.path("known")).unwrap();
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Where a layer's files are.
    fn rootfs(&self, layer: &str) -> PathBuf {
        self.path("staging").join(layer).join("rootfs")
    }

    fn text(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().to_owned()
    }

    fn unpack(&self, files: &Files) -> Result<UnpackedImage, String> {
        self.unpack_bytes(&tar_of_files(files))
    }

    fn unpack_bytes(&self, archive: &[u8]) -> Result<UnpackedImage, String> {
        fs::write(self.path("image.tar"), archive).unwrap();
        self.unpack_as("image.tar", "image:latest", None)
    }

    fn unpack_as(
        &self,
        archive: &str,
        name: &str,
        digest: Option<&str>,
    ) -> Result<UnpackedImage, String> {
        self.unpack_forms(archive, name, digest, &[ImageForm::Docker, ImageForm::Oci])
    }

    fn unpack_forms(
        &self,
        archive: &str,
        name: &str,
        digest: Option<&str>,
        forms: &[ImageForm],
    ) -> Result<UnpackedImage, String> {
        let order = Unpack {
            image: name.to_owned(),
            archive: self.text(archive),
            name: name.to_owned(),
            digest: digest.map(str::to_owned),
            forms: forms.to_vec(),
            directory: self.text("staging"),
            known: self.text("known"),
        };
        let staging = self.path("staging");
        if staging.exists() {
            fs::remove_dir_all(&staging).unwrap();
        }
        fs::create_dir(&staging).unwrap();
        let directory = Sandbox::open(&staging).unwrap();
        super::unpack(&order, &directory).map_err(|error| error.to_string())
    }

    /// Unpacks an image of one layer, and gives the layer's files.
    fn unpack_layer(&self, layer: &[u8]) -> Result<PathBuf, String> {
        let image = self.unpack(&docker_image(&[layer.to_vec()]))?;
        Ok(self.rootfs(&image.layers[0]))
    }
}

fn gzip(content: &[u8]) -> Vec<u8> {
    let mut writer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    writer.write_all(content).unwrap();
    writer.finish().unwrap()
}

fn zstd(content: &[u8]) -> Vec<u8> {
    ::zstd::encode_all(content, 1).unwrap()
}

/// Writes an entry, whose names a builder with more scruples would refuse.
fn add(builder: &mut Builder<Vec<u8>>, name: &str, kind: EntryType, to: &str, text: &[u8]) {
    let mut header = Header::new_gnu();
    header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
    header.as_old_mut().linkname[..to.len()].copy_from_slice(to.as_bytes());
    header.set_entry_type(kind);
    header.set_mode(if kind == EntryType::Directory {
        0o755
    } else {
        0o644
    });
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(1_000_000_000);
    header.set_size(text.len() as u64);
    header.set_cksum();
    builder.append(&header, text).unwrap();
}

/// A tar archive of entries: name, kind, where it links to or what is in it.
fn tar_of(entries: &[(&str, EntryType, &str)]) -> Vec<u8> {
    let mut builder = Builder::new(Vec::new());
    for (name, kind, text) in entries {
        match kind {
            EntryType::Symlink | EntryType::Link => add(&mut builder, name, *kind, text, b""),
            _ => add(&mut builder, name, *kind, "", text.as_bytes()),
        }
    }
    builder.into_inner().unwrap()
}

fn file<'a>(name: &'a str, text: &'a str) -> (&'a str, EntryType, &'a str) {
    (name, EntryType::Regular, text)
}

fn tar_of_files(files: &Files) -> Vec<u8> {
    let mut builder = Builder::new(Vec::new());
    for (name, content) in files {
        add(&mut builder, name, EntryType::Regular, "", content);
    }
    builder.into_inner().unwrap()
}

fn write_files(directory: &Path, files: &Files) {
    for (name, content) in files {
        let path = directory.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
}

fn digest(bytes: &[u8]) -> String {
    Digest::of(bytes).to_string()
}

/// A configuration for these uncompressed layers.
fn config(layers: &[Vec<u8>]) -> Vec<u8> {
    let diff_ids: Vec<String> = layers.iter().map(|layer| digest(layer)).collect();
    let config = json!({
        "architecture": architecture(),
        "os": "linux",
        "config": {
            "Entrypoint": ["/bin/server", "-v"],
            "Cmd": null,
            "Env": ["PATH=/bin", "A=b=c", "INVALID"],
            "WorkingDir": "/srv",
            "User": "1000:100",
        },
        "rootfs": {"type": "layers", "diff_ids": diff_ids},
    });
    config.to_string().into_bytes()
}

/// What `docker save` writes of an image with these layers, which are compressed as `pack` says.
fn docker_image_with(layers: &[Vec<u8>], pack: impl Fn(usize, &[u8]) -> Vec<u8>) -> Files {
    let config = config(layers);
    let config_name = format!("{}.json", Digest::of(&config).digits());
    let names: Vec<String> = (0..layers.len())
        .map(|number| format!("layer{number}/layer.tar"))
        .collect();
    let manifest = json!([{
        "Config": config_name,
        "RepoTags": ["image:latest"],
        "Layers": names,
    }]);
    let mut files: Files = Vec::new();
    for (number, layer) in layers.iter().enumerate() {
        files.push((names[number].clone(), pack(number, layer)));
    }
    files.push((config_name, config));
    files.push((
        "manifest.json".to_owned(),
        manifest.to_string().into_bytes(),
    ));
    files
}

fn docker_image(layers: &[Vec<u8>]) -> Files {
    docker_image_with(layers, |_, layer| layer.to_vec())
}

/// Adds content under its digest, and describes it.
fn blob(files: &mut Files, kind: &str, content: Vec<u8>) -> serde_json::Value {
    let digest = Digest::of(&content);
    let described = json!({
        "mediaType": kind,
        "digest": digest.to_string(),
        "size": content.len(),
    });
    files.push((format!("blobs/sha256/{}", digest.digits()), content));
    described
}

/// Adds an OCI image to a layout, and describes its manifest.
fn oci_manifest(files: &mut Files, layers: &[Vec<u8>]) -> serde_json::Value {
    let config = blob(files, CONFIG, config(layers));
    let layers = layers.iter().map(|layer| {
        let kind = "application/vnd.oci.image.layer.v1.tar+gzip";
        blob(files, kind, gzip(layer))
    });
    let layers: Vec<serde_json::Value> = layers.collect();
    let manifest = json!({"schemaVersion": 2, "config": config, "layers": layers});
    blob(files, MANIFEST, manifest.to_string().into_bytes())
}

/// Completes a layout with its index.
fn oci_layout(mut files: Files, manifests: &[serde_json::Value]) -> Files {
    let index = json!({"schemaVersion": 2, "manifests": manifests});
    files.push(("index.json".to_owned(), index.to_string().into_bytes()));
    let layout = br#"{"imageLayoutVersion": "1.0.0"}"#;
    files.push(("oci-layout".to_owned(), layout.to_vec()));
    files
}

fn named(mut manifest: serde_json::Value, name: &str) -> serde_json::Value {
    manifest["annotations"] = json!({"org.opencontainers.image.ref.name": name});
    manifest
}

fn of_platform(mut manifest: serde_json::Value, os: &str, architecture: &str) -> serde_json::Value {
    manifest["platform"] = json!({"os": os, "architecture": architecture});
    manifest
}
