//! Builds the web pages with npm and writes the table that embeds them.
//! Downloads nothing but what package-lock.json pins, and nothing at all when that is there already.

use std::error::Error;
use std::fmt::Write as _;
use std::fs;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use flate2::Compression;
use flate2::write::GzEncoder;

type Outcome<T> = Result<T, Box<dyn Error>>;

/// What the pages are made of; a change of anything else builds nothing anew.
const SOURCES: &[&str] = &[
    "build.rs",
    "index.html",
    "package.json",
    "package-lock.json",
    "public",
    "src",
    "svelte.config.js",
    "tsconfig.json",
    "vite.config.ts",
];

/// The first page as a server shows it that has it at its root.
const ROOT_PAGE: &str = "root.html";

fn main() -> Outcome<()> {
    for source in SOURCES {
        println!("cargo:rerun-if-changed={source}");
    }
    let home = PathBuf::from(std::env::var("CARGO_MANIFEST_DIR")?);
    let out = PathBuf::from(std::env::var("OUT_DIR")?);
    let dist = out.join("dist");
    install(&home)?;
    let target = dist.display().to_string();
    npm(
        &home,
        &[
            "run",
            "--silent",
            "build",
            "--",
            "--emptyOutDir",
            "--outDir",
            &target,
        ],
    )?;
    let index = fs::read_to_string(dist.join("index.html"))?;
    fs::write(dist.join(ROOT_PAGE), index.replace("\"./", "\"./ui/"))?;
    embed(&dist, &out)
}

/// Installs what package-lock.json pins, unless it was what was installed last.
fn install(home: &Path) -> Outcome<()> {
    let lock = fs::read(home.join("package-lock.json"))?;
    let stamp = home.join("node_modules/.tepui-installed");
    if fs::read(&stamp).is_ok_and(|installed| installed == lock) {
        return Ok(());
    }
    npm(
        home,
        &[
            "ci",
            "--ignore-scripts",
            "--prefer-offline",
            "--no-audit",
            "--no-fund",
        ],
    )?;
    Ok(fs::write(stamp, lock)?)
}

fn npm(home: &Path, arguments: &[&str]) -> Outcome<()> {
    let shown = arguments.join(" ");
    let mut npm = Command::new("npm");
    let output = npm.args(arguments).current_dir(home).output().map_err(|error| {
        format!(
            "npm cannot be run: {error}; the web pages need Node.js 20 or later with npm, on Debian \
             'apt-get install nodejs npm'"
        )
    })?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stdout);
    let complained = String::from_utf8_lossy(&output.stderr);
    let status = output.status;
    Err(format!(
        "npm {shown} in {} failed, {status}:\n{said}{complained}",
        home.display()
    )
    .into())
}

/// Writes the table of all files below `dist`.
fn embed(dist: &Path, out: &Path) -> Outcome<()> {
    let mut files = Vec::new();
    list(dist, dist, &mut files)?;
    files.sort();
    let packed = out.join("packed");
    fs::create_dir_all(&packed)?;
    let mut table = String::from("&[\n");
    for (place, path) in files.iter().enumerate() {
        let plain = dist.join(path);
        let bytes = fs::read(&plain)?;
        let gzip = packed.join(format!("{place}.gz"));
        fs::write(&gzip, compress(&bytes)?)?;
        let kind = kind(path)?;
        let is_hashed = path.starts_with("assets/");
        let mut hasher = DefaultHasher::new();
        bytes.hash(&mut hasher);
        let etag = format!("\"{:016x}\"", hasher.finish());
        writeln!(
            table,
            "Page {{ path: {path:?}, kind: {kind:?}, etag: {etag:?}, is_hashed: {is_hashed}, \
             plain: include_bytes!({plain:?}), gzip: include_bytes!({gzip:?}) }},"
        )?;
    }
    table.push_str("]\n");
    Ok(fs::write(out.join("pages.rs"), table)?)
}

fn list(root: &Path, dir: &Path, files: &mut Vec<String>) -> Outcome<()> {
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if path.is_dir() {
            list(root, &path, files)?;
        } else {
            let path = path.strip_prefix(root)?;
            files.push(path.to_str().ok_or("a file name is no UTF-8")?.to_owned());
        }
    }
    Ok(())
}

fn compress(bytes: &[u8]) -> Outcome<Vec<u8>> {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::best());
    gzip.write_all(bytes)?;
    Ok(gzip.finish()?)
}

fn kind(path: &str) -> Outcome<&'static str> {
    match path.rsplit('.').next() {
        Some("html") => Ok("text/html; charset=utf-8"),
        Some("js") => Ok("text/javascript; charset=utf-8"),
        Some("css") => Ok("text/css; charset=utf-8"),
        Some("svg") => Ok("image/svg+xml"),
        Some("png") => Ok("image/png"),
        _ => Err(format!("what type {path} is of is not known; add it to build.rs").into()),
    }
}
