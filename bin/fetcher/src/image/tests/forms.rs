//! The forms that images come in, and which of several is taken.

use super::*;

fn two_layers() -> [Vec<u8>; 2] {
    [
        tar_of(&[file("a", "lower"), file("b", "lower")]),
        tar_of(&[file("a", "upper")]),
    ]
}

/// Both layers are there, in their order.
#[track_caller]
fn assert_two_layers(place: &Place, image: &UnpackedImage) {
    let [lower, upper] = two_layers().map(|layer| Digest::of(&layer).digits().to_owned());
    assert_eq!(image.layers, [lower.clone(), upper.clone()]);
    let text = |layer: &str, name: &str| fs::read_to_string(place.rootfs(layer).join(name));
    assert_eq!(text(&lower, "a").unwrap(), "lower");
    assert_eq!(text(&upper, "a").unwrap(), "upper");
    assert!(text(&upper, "b").is_err());
}

#[test]
fn archives_of_docker_are_read_however_they_are_compressed() {
    let image = docker_image_with(&two_layers(), |number, layer| match number {
        0 => gzip(layer),
        _ => zstd(layer),
    });
    let whole = tar_of_files(&image);
    for archive in [gzip(&whole), zstd(&whole), whole] {
        let place = Place::new();
        let image = place.unpack_bytes(&archive).unwrap();
        assert_two_layers(&place, &image);
        let settings = image.settings;
        assert_eq!(settings.entrypoint, ["/bin/server", "-v"]);
        assert!(settings.cmd.is_empty());
        let env = [("PATH", "/bin"), ("A", "b=c")];
        let env = env.map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(settings.env, env);
        assert_eq!(settings.working_dir.as_deref(), Some("/srv"));
        assert_eq!(settings.user.as_deref(), Some("1000:100"));
        // Nothing else is left.
        assert_eq!(fs::read_dir(place.path("staging")).unwrap().count(), 2);
    }
}

#[test]
fn layers_that_are_known_are_not_unpacked_again() {
    let place = Place::new();
    let layers = two_layers();
    let known = Digest::of(&layers[0]);
    let rootfs = place.path("known").join(known.digits()).join("rootfs");
    fs::create_dir_all(rootfs).unwrap();
    let three = [layers[0].clone(), layers[1].clone(), layers[1].clone()];
    let image = place.unpack(&docker_image(&three)).unwrap();
    assert_eq!(image.layers.len(), 3);
    assert_eq!(image.layers[1], image.layers[2]);
    let made: Vec<_> = fs::read_dir(place.path("staging"))
        .unwrap()
        .flatten()
        .collect();
    assert_eq!(made.len(), 1);
    assert_eq!(made[0].file_name().to_str(), Some(image.layers[1].as_str()));
}

#[test]
fn archives_that_link_layers_are_read() {
    let layer = tar_of(&[file("a", "a")]);
    let mut files = docker_image(&[layer.clone(), layer]);
    // As Docker did for a layer that an image has twice.
    files.remove(1);
    let mut archive = Builder::new(Vec::new());
    for (name, content) in &files {
        add(&mut archive, name, EntryType::Regular, "", content);
    }
    let to = "../layer0/layer.tar";
    add(
        &mut archive,
        "layer1/layer.tar",
        EntryType::Symlink,
        to,
        b"",
    );
    let image = Place::new().unpack_bytes(&archive.into_inner().unwrap());
    assert_eq!(image.unwrap().layers.len(), 2);
}

#[test]
fn old_archives_are_read_by_their_repositories() {
    let [lower, upper] = two_layers();
    let top = json!({"id": "up", "parent": "low", "config": {"Cmd": ["/run"], "User": ""}});
    let files = vec![
        ("low/layer.tar".to_owned(), lower),
        ("low/json".to_owned(), b"{\"id\": \"low\"}".to_vec()),
        ("up/layer.tar".to_owned(), upper),
        ("up/json".to_owned(), top.to_string().into_bytes()),
        (
            "repositories".to_owned(),
            json!({"other": {"1": "low"}, "image": {"latest": "up"}})
                .to_string()
                .into_bytes(),
        ),
    ];
    let place = Place::new();
    let image = place.unpack(&files).unwrap();
    assert_two_layers(&place, &image);
    assert_eq!(image.settings.cmd, ["/run"]);
    assert_eq!(image.settings.user, None);

    let mut circle = files;
    circle[1].1 = b"{\"parent\": \"up\"}".to_vec();
    let why = Place::new().unpack(&circle).unwrap_err();
    assert_eq!(why, "it has more than 500 layers, or they go in a circle");
}

#[test]
fn an_oci_image_is_read_from_an_archive_and_from_a_directory() {
    let mut files = Files::new();
    let manifest = oci_manifest(&mut files, &two_layers());
    let files = oci_layout(files, &[manifest]);
    let place = Place::new();
    let image = place.unpack(&files).unwrap();
    assert_two_layers(&place, &image);
    assert_eq!(image.settings.entrypoint, ["/bin/server", "-v"]);

    let place = Place::new();
    write_files(&place.path("layout"), &files);
    let image = place.unpack_as("layout", "image:latest", None).unwrap();
    assert_two_layers(&place, &image);
}

/// An image whose only layer holds a file of this name.
fn marked(files: &mut Files, name: &str) -> (serde_json::Value, String) {
    let layer = tar_of(&[file(name, "")]);
    let id = Digest::of(&layer).digits().to_owned();
    (oci_manifest(files, &[layer]), id)
}

#[test]
fn of_several_architectures_this_machines_is_taken() {
    let mut files = Files::new();
    let (other, _) = marked(&mut files, "other");
    let (ours, id) = marked(&mut files, "ours");
    let (statement, _) = marked(&mut files, "statement");
    let all = [
        of_platform(other.clone(), "linux", "vax"),
        of_platform(statement, "unknown", "unknown"),
        of_platform(ours, "linux", architecture()),
    ];
    // On top, and in an index of its own.
    let flat = oci_layout(files.clone(), &all);
    let inner = json!({"schemaVersion": 2, "manifests": all}).to_string();
    let inner = blob(&mut files, INDEX, inner.into_bytes());
    let nested = oci_layout(files.clone(), &[inner]);
    for layout in [flat, nested] {
        let image = Place::new().unpack(&layout).unwrap();
        assert_eq!(image.layers, std::slice::from_ref(&id));
    }

    let foreign = oci_layout(files, &[of_platform(other, "linux", "vax")]);
    let why = Place::new().unpack(&foreign).unwrap_err();
    let expected = format!(
        "it is for linux/vax, and this machine is linux/{}",
        architecture()
    );
    assert_eq!(why, expected);
}

#[test]
fn of_several_images_the_one_with_the_name_or_digest_is_taken() {
    let mut files = Files::new();
    let (one, one_id) = marked(&mut files, "one");
    let (two, two_id) = marked(&mut files, "two");
    let digest = two["digest"].as_str().unwrap().to_owned();
    let all = [named(one, "1.0"), named(two, "docker.io/library/image:2.0")];
    let place = Place::new();
    fs::write(
        place.path("image.tar"),
        tar_of_files(&oci_layout(files, &all)),
    )
    .unwrap();
    let unpack = |name: &str, digest: Option<&str>| {
        let image = place.unpack_as("image.tar", name, digest);
        image.map(|image| image.layers)
    };
    assert_eq!(unpack("image:1.0", None).unwrap(), [one_id]);
    let two_ids = [two_id];
    assert_eq!(unpack("image:2.0", None).unwrap(), two_ids);
    assert_eq!(unpack("image:latest", Some(&digest)).unwrap(), two_ids);
    let why = unpack("image:3.0", None).unwrap_err();
    assert_eq!(
        why,
        "'image:3.0' is not in it; it holds '1.0', 'docker.io/library/image:2.0'"
    );
    let absent = format!("sha256:{}", "0".repeat(64));
    let why = unpack("image:1.0", Some(&absent)).unwrap_err();
    assert!(
        why.starts_with(&format!("'{absent}' is not in it; it holds 'sha256:")),
        "{why}"
    );
}

#[test]
fn of_several_images_that_docker_saved_the_one_with_the_tag_is_taken() {
    let mut files = docker_image(&[tar_of(&[file("one", "")])]);
    let (_, manifest) = files.pop().unwrap();
    let mut manifest: serde_json::Value = serde_json::from_slice(&manifest).unwrap();
    let other_config = config(&[]);
    files.push(("other.json".to_owned(), other_config));
    let other = json!({"Config": "other.json", "RepoTags": ["other:1"], "Layers": []});
    manifest.as_array_mut().unwrap().push(other);
    files.push((
        "manifest.json".to_owned(),
        manifest.to_string().into_bytes(),
    ));
    let place = Place::new();
    fs::write(place.path("image.tar"), tar_of_files(&files)).unwrap();
    let unpack = |name: &str| place.unpack_as("image.tar", name, None);
    assert_eq!(
        unpack("docker.io/library/image:latest")
            .unwrap()
            .layers
            .len(),
        1
    );
    let why = unpack("other:1").unwrap_err();
    assert_eq!(why, "it has 0 layers, expected 1 to 500");
    let why = unpack("image:2").unwrap_err();
    assert_eq!(
        why,
        "'image:2' is not in it; it holds 'image:latest', 'other:1'"
    );
}

#[test]
fn wrong_digests_are_told_with_the_right_ones() {
    let layer = tar_of(&[file("a", "a")]);
    let changed = tar_of(&[file("a", "b")]);
    let (right, wrong) = (digest(&layer), digest(&changed));

    let files = docker_image_with(std::slice::from_ref(&layer), |_, _| changed.clone());
    let why = Place::new().unpack(&files).unwrap_err();
    let expected = format!(
        "'layer0/layer.tar (uncompressed)' has the digest {wrong}, expected {right}: it is damaged \
         or was replaced"
    );
    assert_eq!(why, expected);

    // A configuration whose name tells another digest.
    let mut files = docker_image(std::slice::from_ref(&layer));
    files[1].1.push(b' ');
    let why = Place::new().unpack(&files).unwrap_err();
    let found = digest(&files[1].1);
    let tail = format!("has the digest {found}, expected sha256:");
    assert!(why.contains(&tail), "{why}");

    // Each part of an OCI image.
    let mut files = Files::new();
    let manifest = oci_manifest(&mut files, &[layer]);
    let files = oci_layout(files, &[manifest]);
    for (number, (name, content)) in files.iter().enumerate() {
        let Some(digits) = name.strip_prefix("blobs/sha256/") else {
            continue;
        };
        let mut damaged = files.clone();
        // Compressed and other content is readable with it.
        let added: &[u8] = match content.starts_with(&[0x1f, 0x8b]) {
            true => &gzip(b""),
            false => b" ",
        };
        damaged[number].1.extend(added);
        let found = digest(&damaged[number].1);
        let why = Place::new().unpack(&damaged).unwrap_err();
        let expected = format!(
            "'{name}' has the digest {found}, expected sha256:{digits}: it is damaged or was replaced"
        );
        assert_eq!(why, expected);
    }
}

#[test]
fn the_digest_of_an_image_that_docker_saved_is_its_id() {
    let files = docker_image(&[tar_of(&[file("a", "a")])]);
    let id = digest(&files[1].1);
    let place = Place::new();
    fs::write(place.path("image.tar"), tar_of_files(&files)).unwrap();
    assert!(
        place
            .unpack_as("image.tar", "image:latest", Some(&id))
            .is_ok()
    );
    let other = format!("sha256:{}", "1".repeat(64));
    let why = place.unpack_as("image.tar", "image:latest", Some(&other));
    let expected = format!("the image in it has the id {id}, expected {other}");
    assert!(why.unwrap_err().starts_with(&expected));
}

#[test]
fn archives_that_are_cut_off_are_told() {
    let whole = tar_of_files(&docker_image(&two_layers()));
    let inside = Place::new().unpack_bytes(&whole[..1000]).unwrap_err();
    assert!(
        inside.contains("it is cut off: 'layer0/layer.tar' should end at byte"),
        "{inside}"
    );
    let packed = gzip(&whole);
    let why = Place::new().unpack_bytes(&packed[..packed.len() / 2]);
    assert!(why.unwrap_err().starts_with("Failed to read '"));
    // At the end of an entry.
    let why = Place::new().unpack_bytes(&whole[..512]).unwrap_err();
    assert!(why.contains("it is cut off"), "{why}");

    let layer = gzip(&tar_of(&[file("a", &"x".repeat(100_000))]));
    let files = docker_image_with(&two_layers(), |_, _| layer[..layer.len() - 20].to_vec());
    let why = Place::new().unpack(&files).unwrap_err();
    assert!(why.starts_with("layer 'layer0/layer.tar': "), "{why}");
}

/// Numbers that look random and are the same in each run.
struct Noise(u64);

impl Noise {
    fn next(&mut self, below: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % below as u64).unwrap()
    }
}

#[test]
fn damage_of_any_kind_is_told_or_makes_no_difference() {
    let mut files = Files::new();
    let manifest = oci_manifest(&mut files, &two_layers());
    let oci = tar_of_files(&oci_layout(files, &[manifest]));
    let docker = tar_of_files(&docker_image_with(&two_layers(), |number, layer| {
        if number == 0 {
            zstd(layer)
        } else {
            gzip(layer)
        }
    }));
    let place = Place::new();
    let mut noise = Noise(0x9e37_79b9_7f4a_7c15);
    for whole in [docker, oci] {
        let right = place.unpack_bytes(&whole).unwrap();
        let mut told = 0;
        for _ in 0..200 {
            let mut damaged = whole.clone();
            for _ in 0..=noise.next(4) {
                let at = noise.next(damaged.len());
                damaged[at] ^= 1 << noise.next(8);
            }
            match place.unpack_bytes(&damaged) {
                Ok(image) => assert_eq!(image, right),
                Err(_) => told += 1,
            }
        }
        assert!(told > 20, "{told}");
    }
}

#[test]
fn what_is_no_image_is_told() {
    let document = |name: &str, text: &str| vec![(name.to_owned(), text.as_bytes().to_vec())];
    let saved = |text: &str| document("manifest.json", text);
    let index = |text: &str| document("index.json", text);
    let mut artifact = Files::new();
    let kind = "application/vnd.example.chart";
    let config = blob(&mut artifact, kind, b"{}".to_vec());
    let manifest = json!({"config": config, "layers": []}).to_string();
    let manifest = blob(&mut artifact, MANIFEST, manifest.into_bytes());
    let cases = [
        (
            vec![],
            "it is no image: expected 'manifest.json' or 'repositories'",
        ),
        (saved("{"), "Failed to parse 'manifest.json': "),
        (
            saved("[]"),
            "'image:latest' is not in it; it holds images without names",
        ),
        (
            saved(r#"[{"Config": "c.json", "Layers": []}]"#),
            "'c.json' is not in it, though the image needs it",
        ),
        (
            saved(r#"[{"Config": "../c.json", "Layers": []}]"#),
            "'../c.json' is no name of a file within an image",
        ),
        (
            index("{}"),
            "'image:latest' is not in it; it holds images without names",
        ),
        (
            index(r#"{"manifests": [{"digest": "sha256:../../x"}]}"#),
            "'sha256:../../x' is no digest, expected 'sha256:' and 64 hexadecimal digits",
        ),
        (
            document("index.json", &format!("\"{}\"", "x".repeat(5 << 20))),
            "'index.json' has 5242882 bytes, more than the 4194304 that",
        ),
        (
            oci_layout(artifact, &[manifest]),
            "it is no image of a container, but holds 'application/vnd.example.chart'",
        ),
    ];
    for (files, expected) in cases {
        let why = Place::new().unpack(&files).unwrap_err();
        assert!(why.starts_with(expected), "{why}");
    }
    let why = Place::new().unpack_bytes(&b"<html>no archive</html>".repeat(50));
    assert!(why.unwrap_err().starts_with("Failed to read '"));
}

#[test]
fn only_the_forms_that_are_wanted_are_read() {
    let docker = docker_image(&two_layers());
    let mut files = Files::new();
    let manifest = oci_manifest(&mut files, &two_layers());
    let oci = oci_layout(files, &[manifest]);
    let both = [docker.clone(), oci.clone()].concat();
    let place = Place::new();
    let unpack = |files: &Files, form: ImageForm| {
        fs::write(place.path("image.tar"), tar_of_files(files)).unwrap();
        place.unpack_forms("image.tar", "image:latest", None, &[form])
    };
    let why = unpack(&oci, ImageForm::Docker).unwrap_err();
    assert!(why.ends_with("when --image_providers names 'oci'"), "{why}");
    let why = unpack(&docker, ImageForm::Oci).unwrap_err();
    assert!(
        why.ends_with("when --image_providers names 'docker'"),
        "{why}"
    );
    for form in [ImageForm::Docker, ImageForm::Oci] {
        assert_two_layers(&place, &unpack(&both, form).unwrap());
    }
}
