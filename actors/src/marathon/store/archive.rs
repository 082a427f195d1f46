//! Backups: all records in one tar archive, with entries named as Marathon names its own.
//! Never extracts to files, and knows no store.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, BufReader, BufWriter, Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use serde::{Deserialize, Serialize};
use tar::{Archive, Builder, EntryType, Header};

use super::format::{FORMAT, Format};
use super::key::{Key, Record};
use super::{MAX_VALUE_BYTES, name};

/// Records may hold secrets of apps.
const MODE: u32 = 0o600;

/// How a file in gzip's form begins.
const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];

/// Most bytes of an archive that are read, so that a small file cannot become an endless one.
const MAX_ARCHIVE_BYTES: u64 = 16 * 1024 * 1024 * 1024;

/// Why a backup could not be written or read. Nothing was restored then.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// The file cannot be read or written.
    #[error("backup {path}: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It is no backup of an app manager, or a damaged one.
    #[error("backup {path} is damaged or not one of tepui-marathon: {reason}; use another backup")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// Written by a later version.
    #[error(
        "backup {path} has format {found}, this tepui-marathon reads up to {known}; use the newer \
         tepui-marathon"
    )]
    TooNew {
        /// The file.
        path: PathBuf,
        /// Format found.
        found: u32,
        /// Newest format this version reads.
        known: u32,
    },
}

/// The first entry: what follows, so that a shortened archive is not taken for a whole one.
#[derive(Debug, Serialize, Deserialize)]
struct Content {
    /// Version of the stored form.
    format: u32,
    /// Entries that follow.
    records: u64,
}

/// Writes the records into a new file, which replaces one of that name when it is complete and on
/// disk. It is compressed when its name ends in `.gz` or `.tgz`.
///
/// # Errors
/// When the file cannot be written; one that was there before is then left as it was.
pub(super) fn write(path: &Path, records: &[Record]) -> Result<(), ArchiveError> {
    write_file(path, records).map_err(|source| ArchiveError::File {
        path: path.to_owned(),
        source,
    })
}

fn write_file(path: &Path, records: &[Record]) -> io::Result<()> {
    let Some(name) = path.file_name() else {
        let reason = "it names no file";
        return Err(io::Error::new(io::ErrorKind::InvalidInput, reason));
    };
    let mut part = name.to_owned();
    part.push(".part");
    let part = path.with_file_name(part);
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(MODE);
    let file = BufWriter::new(options.open(&part)?);
    let written = match compressed(path) {
        true => {
            let encoder = GzEncoder::new(file, Compression::default());
            write_entries(encoder, records)?.finish()?
        }
        false => write_entries(file, records)?,
    };
    let file = written
        .into_inner()
        .map_err(io::IntoInnerError::into_error)?;
    file.sync_all()?;
    std::fs::rename(&part, path)?;
    let directory = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty());
    File::open(directory.unwrap_or(Path::new(".")))?.sync_all()
}

fn compressed(path: &Path) -> bool {
    let extension = path.extension().and_then(|extension| extension.to_str());
    matches!(extension, Some("gz" | "tgz"))
}

fn write_entries<W: Write>(to: W, records: &[Record]) -> io::Result<W> {
    let mut archive = Builder::new(to);
    let content = Content {
        format: FORMAT,
        records: records.len() as u64,
    };
    append(&mut archive, &Key::format(), &serde_json::to_vec(&content)?)?;
    for (key, value) in records {
        append(&mut archive, key, value)?;
    }
    archive.into_inner()
}

fn append<W: Write>(archive: &mut Builder<W>, key: &Key, value: &[u8]) -> io::Result<()> {
    let mut header = Header::new_gnu();
    header.set_entry_type(EntryType::Regular);
    header.set_mode(MODE);
    header.set_mtime(0);
    header.set_size(value.len() as u64);
    archive.append_data(&mut header, name::of(key), value)
}

/// All records of an archive, compressed or not.
///
/// # Errors
/// When the file cannot be read, holds anything that no backup holds (another format, a name that
/// is absolute or leads upwards, a record twice, a link), or not all that it should.
pub(super) fn read(path: &Path) -> Result<Vec<Record>, ArchiveError> {
    let reader = Reader { path };
    let mut file = File::open(path).map_err(|error| reader.failed(error))?;
    let mut magic = Vec::new();
    let begun = Read::by_ref(&mut file).take(2).read_to_end(&mut magic);
    begun.map_err(|error| reader.failed(error))?;
    file.rewind().map_err(|error| reader.failed(error))?;
    let file = BufReader::new(file);
    match magic == GZIP_MAGIC {
        true => reader.entries(GzDecoder::new(file).take(MAX_ARCHIVE_BYTES)),
        false => reader.entries(file.take(MAX_ARCHIVE_BYTES)),
    }
}

struct Reader<'a> {
    path: &'a Path,
}

impl Reader<'_> {
    fn entries<R: Read>(&self, from: R) -> Result<Vec<Record>, ArchiveError> {
        let mut archive = Archive::new(from);
        let mut records = BTreeMap::new();
        let mut wanted = None;
        for entry in archive.entries().map_err(|error| self.failed(error))? {
            let mut entry = entry.map_err(|error| self.failed(error))?;
            let (key, value) = self.entry(&mut entry)?;
            match wanted {
                None if key == Key::format() => wanted = Some(self.content(&value)?.records),
                None => return Err(self.damaged("its first entry is not its format")),
                Some(_) => {
                    let name = name::of(&key);
                    if key == Key::format() || records.insert(key, value).is_some() {
                        return Err(self.damaged(format!("entry '{name}' is there twice")));
                    }
                }
            }
        }
        // What is left is padding, and the checksum of a compressed archive.
        let rest = io::copy(&mut archive.into_inner(), &mut io::sink());
        rest.map_err(|error| self.failed(error))?;
        let Some(wanted) = wanted else {
            return Err(self.damaged("it is empty"));
        };
        if records.len() as u64 != wanted {
            let found = records.len();
            return Err(self.damaged(format!("it has {found} records instead of {wanted}")));
        }
        Ok(records.into_iter().collect())
    }

    fn entry<R: Read>(&self, entry: &mut tar::Entry<'_, R>) -> Result<Record, ArchiveError> {
        let bytes = entry.path_bytes().into_owned();
        let shown = String::from_utf8_lossy(&bytes).into_owned();
        if entry.header().entry_type() != EntryType::Regular {
            return Err(self.damaged(format!("entry '{shown}' is no plain file")));
        }
        let named = std::str::from_utf8(&bytes).map_err(|_| name::Bad::Unknown);
        let key = named.and_then(name::read);
        let key = key.map_err(|bad| self.damaged(format!("entry '{shown}' {bad}")))?;
        let size = entry.size();
        if size > MAX_VALUE_BYTES as u64 {
            return Err(self.damaged(format!("entry '{shown}' is too long")));
        }
        let mut value = Vec::new();
        let read = entry.read_to_end(&mut value);
        read.map_err(|error| self.failed(error))?;
        match value.len() as u64 == size {
            true => Ok((key, value)),
            false => Err(self.damaged(format!("it ends in the middle of entry '{shown}'"))),
        }
    }

    fn content(&self, value: &[u8]) -> Result<Content, ArchiveError> {
        let unreadable = |error| self.damaged(format!("its format is unreadable: {error}"));
        // The version first: the rest of a later one may look different.
        let Format { format } = serde_json::from_slice(value).map_err(unreadable)?;
        match format {
            0 => Err(self.damaged("its format is 0")),
            FORMAT => serde_json::from_slice(value).map_err(unreadable),
            found => Err(ArchiveError::TooNew {
                path: self.path.to_owned(),
                found,
                known: FORMAT,
            }),
        }
    }

    /// Tells content that is wrong from a file that cannot be read.
    fn failed(&self, source: io::Error) -> ArchiveError {
        use io::ErrorKind::{InvalidData, InvalidInput, Other, UnexpectedEof};
        match source.kind() {
            InvalidData | InvalidInput | Other | UnexpectedEof => self.damaged(source.to_string()),
            _ => ArchiveError::File {
                path: self.path.to_owned(),
                source,
            },
        }
    }

    fn damaged(&self, reason: impl Into<String>) -> ArchiveError {
        ArchiveError::Damaged {
            path: self.path.to_owned(),
            reason: reason.into(),
        }
    }
}
