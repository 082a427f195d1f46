//! What an agent orders of `tepui-fetcher` and what it hears back: JSON, one value a line.
//! Decides nothing: what is fetched, and where to, is found out in `tepui-core`.

use serde::{Deserialize, Serialize};

/// An order, the first line of the fetcher's standard input. When that input ends, so does the
/// fetcher: the agent has gone, or does not want it any more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// The user whose rights it takes before it does anything; none to keep the agent's own.
    pub user: Option<String>,
    /// Longest time without a byte from a server, in milliseconds.
    pub stall_timeout_ms: u64,
    /// What to do.
    pub job: Job,
}

/// What to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Job {
    /// Find out how large something is; answered by [`Answer::Size`].
    Size {
        /// As the user wrote it.
        uri: String,
        /// Where it is.
        source: Source,
    },
    /// Copy something into the cache; answered by [`Answer::Size`] or [`Answer::TooLarge`].
    Download {
        /// As the user wrote it.
        uri: String,
        /// Where it is.
        source: Source,
        /// Directory of the cache.
        directory: String,
        /// Name of the new file.
        name: String,
        /// Most bytes it may have.
        limit: u64,
    },
    /// Bring all of these into a sandbox; answered by [`Answer::Done`].
    Fetch {
        /// The sandbox.
        sandbox: String,
        /// What, in this order.
        items: Vec<Item>,
    },
    /// Unpack the layers of an image; answered by [`Answer::Unpacked`].
    Unpack(Unpack),
}

/// An image to be unpacked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unpack {
    /// As the user wrote it.
    pub image: String,
    /// The archive, or the directory with an OCI layout, by its absolute path.
    pub archive: String,
    /// Its name and tag, which tell it from others of the archive.
    pub name: String,
    /// The digest that the user asked for, as `sha256:` and 64 digits.
    pub digest: Option<String>,
    /// Forms of archives that may be read.
    pub forms: Vec<ImageForm>,
    /// An empty directory: each layer goes to one below it, named by the 64 digits of the SHA-256 of
    /// its uncompressed tar archive (OCI: DiffID).
    pub directory: String,
    /// The directory with layers that are there already, under the same names.
    pub known: String,
}

/// A form in which images are archived.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ImageForm {
    /// What `docker save` writes.
    Docker,
    /// The image layout of the Open Container Initiative.
    Oci,
}

/// An image whose layers are unpacked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnpackedImage {
    /// Names of the layers' directories, the lowest first.
    pub layers: Vec<String>,
    /// What the image says of the programs that run in it.
    pub settings: ImageSettings,
}

/// What an image says of the programs that run in it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageSettings {
    /// The program, and arguments that always come first.
    pub entrypoint: Vec<String>,
    /// Arguments, or the program where there is no entrypoint, unless others are given.
    pub cmd: Vec<String>,
    /// Names and values.
    pub env: Vec<(String, String)>,
    /// Where programs start.
    pub working_dir: Option<String>,
    /// Who runs them: `user`, `uid`, `user:group` or `uid:gid`.
    pub user: Option<String>,
}

/// Where something is fetched from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// A file, by its absolute path.
    File(String),
    /// A URL of the scheme `http` or `https`.
    Http(String),
}

/// One thing to bring into a sandbox.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Item {
    /// As the user wrote it.
    pub uri: String,
    /// Where it is: there, or in the cache.
    pub source: Source,
    /// Path of the copy below the sandbox; none for an archive that is extracted from the cache.
    pub copy_to: Option<String>,
    /// Whether the copy can be executed.
    pub executable: bool,
    /// How it is extracted, if it is.
    pub extract: Option<Archive>,
}

/// A file that holds others. How it is compressed is found out by looking at it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Archive {
    /// A tar archive, compressed or not.
    Tar,
    /// A zip archive.
    Zip,
    /// One file compressed by gzip, and the name it has then.
    Gzip(String),
}

/// What the fetcher says, one line each on its standard output. All but the first are the last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// It begins with this URI.
    Fetching(String),
    /// All is in the sandbox.
    Done,
    /// Size in bytes.
    Size(u64),
    /// The layers that were not known are in the directory, and the image is this.
    Unpacked(UnpackedImage),
    /// It is larger than it was said to be, and has not been kept.
    TooLarge,
    /// Why the URI that it had begun with could not be fetched.
    Failed(String),
}
