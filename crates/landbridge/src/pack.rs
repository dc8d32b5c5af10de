//! Packing: this very program as a runnable image, so that there is something to pull at once.
//!
//! The layer holds the executable, its ELF interpreter and the shared libraries that it needs, at
//! the paths where they were found. It is reproducible: the same files give the same bytes.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;
use landbridge_core::Digest;
use landbridge_core::media_type::{OCI_CONFIG, OCI_INDEX, OCI_LAYER_GZIP, OCI_MANIFEST};
use object::Endianness;
use object::elf;
use object::read::elf::{Dyn as _, ElfFile64, FileHeader as _, ProgramHeader as _};
use serde_json::json;

/// Where the program lies in the image.
const PROGRAM: &str = "landbridge";
/// How far libraries may need libraries.
const MOST_LIBRARIES: usize = 64;

/// Why the program cannot be packed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PackError {
    /// A file cannot be read or written.
    #[error("`{path}` cannot be {doing}")]
    File {
        /// The file.
        path: String,
        /// `read` or `written`.
        doing: &'static str,
        /// Why.
        source: io::Error,
    },
    /// Not an ELF program of this machine.
    #[error("`{path}` is no 64-bit ELF file, so that no image can be made of it")]
    NotElf {
        /// The file.
        path: String,
        /// What is wrong with it.
        source: object::Error,
    },
    /// A library is nowhere.
    #[error("the library `{0}` that this program needs was not found in any library directory")]
    MissingLibrary(String),
}

/// Packs `executable` into an OCI layout at `directory` (which is made), tagged `version` and
/// `latest`.
pub(crate) fn pack(executable: &Path, version: &str, directory: &Path) -> Result<(), PackError> {
    let files = files(executable)?;
    let (layer, diff_id) = layer(&files)?;
    let layout = Layout { directory };
    layout.start()?;
    let libraries: BTreeSet<_> = files
        .keys()
        .filter_map(|path| path.rsplit_once('/'))
        .map(|(directory, _)| format!("/{directory}"))
        .collect();
    let libraries: Vec<_> = libraries.into_iter().collect();
    let config = json!({
        "architecture": architecture(),
        "os": "linux",
        "config": {
            "Cmd": ["--version"],
            "Entrypoint": [format!("/{PROGRAM}")],
            "Env": [format!("LD_LIBRARY_PATH={}", libraries.join(":")), "PATH=/".to_owned()],
            "WorkingDir": "/",
        },
        "rootfs": { "type": "layers", "diff_ids": [diff_id] },
        "history": [{ "created_by": "landbridge serve" }],
    });
    let config = layout.put(&to_json(&config))?;
    let layer = layout.put(&layer)?;
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": { "mediaType": OCI_CONFIG, "digest": config.digest, "size": config.size },
        "layers": [{ "mediaType": OCI_LAYER_GZIP, "digest": layer.digest, "size": layer.size }],
    });
    let manifest = layout.put(&to_json(&manifest))?;
    let tagged = |tag: &str| {
        json!({
            "mediaType": OCI_MANIFEST,
            "digest": manifest.digest,
            "size": manifest.size,
            "annotations": { "org.opencontainers.image.ref.name": tag },
            "platform": { "os": "linux", "architecture": architecture() },
        })
    };
    let index = json!({
        "schemaVersion": 2,
        "mediaType": OCI_INDEX,
        "manifests": [tagged(&format!("landbridge:{version}")), tagged("landbridge:latest")],
    });
    layout.write("index.json", &to_json(&index))
}

/// The processor as images name it.
fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "powerpc64" => "ppc64le",
        other => other,
    }
}

fn to_json(value: &serde_json::Value) -> Vec<u8> {
    value.to_string().into_bytes()
}

/// The files of the image by their paths in it, without a leading slash.
fn files(executable: &Path) -> Result<BTreeMap<String, Vec<u8>>, PackError> {
    let program = read(executable)?;
    let needs = needs(executable, &program)?;
    let mut files = BTreeMap::from([(PROGRAM.to_owned(), program)]);
    if let Some(interpreter) = &needs.interpreter {
        files.insert(inside(interpreter), read(interpreter)?);
    }
    let directories = library_directories();
    let mut wanted = needs.libraries;
    let mut seen = BTreeSet::new();
    while let Some(library) = wanted.pop() {
        if !seen.insert(library.clone()) || seen.len() > MOST_LIBRARIES {
            continue;
        }
        let found =
            needs.search.iter().chain(&directories).map(|directory| directory.join(&library));
        let path = found.into_iter().find(|path| path.is_file());
        let path = path.ok_or_else(|| PackError::MissingLibrary(library.clone()))?;
        let bytes = read(&path)?;
        wanted.extend(self::needs(&path, &bytes)?.libraries);
        files.insert(inside(&path), bytes);
    }
    Ok(files)
}

fn inside(path: &Path) -> String {
    path.to_string_lossy().trim_start_matches('/').to_owned()
}

fn read(path: &Path) -> Result<Vec<u8>, PackError> {
    let failed =
        |source| PackError::File { path: path.display().to_string(), doing: "read", source };
    std::fs::read(path).map_err(failed)
}

/// What an ELF file needs to run.
#[derive(Debug, Default)]
struct Needs {
    interpreter: Option<PathBuf>,
    libraries: Vec<String>,
    /// Its own library directories (`DT_RUNPATH`, `DT_RPATH`).
    search: Vec<PathBuf>,
}

fn needs(path: &Path, bytes: &[u8]) -> Result<Needs, PackError> {
    let not_elf = |source| PackError::NotElf { path: path.display().to_string(), source };
    let file: ElfFile64<'_, Endianness> = ElfFile64::parse(bytes).map_err(not_elf)?;
    let endian = file.endian();
    let mut needs = Needs::default();
    for segment in file.elf_program_headers() {
        if let Some(interpreter) = segment.interpreter(endian, bytes).map_err(not_elf)? {
            needs.interpreter =
                Some(PathBuf::from(String::from_utf8_lossy(interpreter).into_owned()));
        }
    }
    let sections = file.elf_header().sections(endian, bytes).map_err(not_elf)?;
    let Some((entries, strings)) = sections.dynamic(endian, bytes).map_err(not_elf)? else {
        return Ok(needs);
    };
    let strings = sections.strings(endian, bytes, strings).map_err(not_elf)?;
    let origin = path.parent().unwrap_or(Path::new("/")).to_string_lossy();
    for entry in entries {
        let text = || {
            let text = entry.string(endian, strings).map_err(not_elf)?;
            Ok(String::from_utf8_lossy(text).into_owned())
        };
        match entry.d_tag(endian) {
            elf::DT_NEEDED => needs.libraries.push(text()?),
            elf::DT_RUNPATH | elf::DT_RPATH => {
                let text = text()?.replace("$ORIGIN", &origin);
                needs
                    .search
                    .extend(text.split(':').filter(|part| !part.is_empty()).map(PathBuf::from));
            }
            _ => {}
        }
    }
    Ok(needs)
}

/// Where the dynamic linker looks: its configuration, then what most distributions build in.
fn library_directories() -> Vec<PathBuf> {
    let mut files = vec![PathBuf::from("/etc/ld.so.conf")];
    if let Ok(entries) = std::fs::read_dir("/etc/ld.so.conf.d") {
        files.extend(entries.flatten().map(|entry| entry.path()));
    }
    files.sort();
    let configured = files.iter().filter_map(|file| std::fs::read_to_string(file).ok());
    let configured: Vec<_> = configured
        .flat_map(|text| text.lines().map(str::trim).map(str::to_owned).collect::<Vec<_>>())
        .filter(|line| line.starts_with('/'))
        .map(PathBuf::from)
        .collect();
    let triplet = format!("{}-linux-gnu", std::env::consts::ARCH);
    let built_in = ["/lib64", "/usr/lib64", "/lib", "/usr/lib"].map(PathBuf::from);
    let multiarch = [Path::new("/lib").join(&triplet), Path::new("/usr/lib").join(&triplet)];
    multiarch.into_iter().chain(configured).chain(built_in).collect()
}

/// A gzip-compressed tar of the files, and the digest of the tar itself.
fn layer(files: &BTreeMap<String, Vec<u8>>) -> Result<(Vec<u8>, String), PackError> {
    let failed =
        |source| PackError::File { path: "the image's layer".to_owned(), doing: "written", source };
    let mut archive = tar::Builder::new(Vec::new());
    let mut directories = BTreeSet::from(["tmp/".to_owned()]);
    for path in files.keys() {
        let ends = path.match_indices('/').map(|(at, _)| path[..=at].to_owned());
        directories.extend(ends);
    }
    for directory in &directories {
        let mode = if directory == "tmp/" { 0o1777 } else { 0o755 };
        append(&mut archive, directory, tar::EntryType::Directory, mode, &[]).map_err(failed)?;
    }
    for (path, bytes) in files {
        append(&mut archive, path, tar::EntryType::Regular, 0o755, bytes).map_err(failed)?;
    }
    let tar = archive.into_inner().map_err(failed)?;
    let diff_id = Digest::sha256_of(&tar).to_string();
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    gzip.write_all(&tar).map_err(failed)?;
    Ok((gzip.finish().map_err(failed)?, diff_id))
}

fn append(
    archive: &mut tar::Builder<Vec<u8>>,
    path: &str,
    kind: tar::EntryType,
    mode: u32,
    bytes: &[u8],
) -> io::Result<()> {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_size(bytes.len() as u64);
    archive.append_data(&mut header, path, bytes)
}

/// An OCI layout on its way.
struct Layout<'a> {
    directory: &'a Path,
}

/// A blob that was put into the layout.
struct Blob {
    digest: String,
    size: usize,
}

impl Layout<'_> {
    fn start(&self) -> Result<(), PackError> {
        let blobs = self.directory.join("blobs/sha256");
        std::fs::create_dir_all(&blobs).map_err(|source| PackError::File {
            path: blobs.display().to_string(),
            doing: "written",
            source,
        })?;
        self.write("oci-layout", br#"{"imageLayoutVersion":"1.0.0"}"#)
    }

    fn put(&self, bytes: &[u8]) -> Result<Blob, PackError> {
        let digest = Digest::sha256_of(bytes);
        self.write(&format!("blobs/sha256/{}", digest.hex()), bytes)?;
        Ok(Blob { digest: digest.to_string(), size: bytes.len() })
    }

    fn write(&self, name: &str, bytes: &[u8]) -> Result<(), PackError> {
        let path = self.directory.join(name);
        let failed =
            |source| PackError::File { path: path.display().to_string(), doing: "written", source };
        std::fs::write(&path, bytes).map_err(failed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packing_twice_gives_the_same_bytes() {
        let program = std::env::current_exe().unwrap();
        let directory = tempfile::tempdir().unwrap();
        let [a, b] = ["a", "b"].map(|name| {
            let at = directory.path().join(name);
            pack(&program, "1.2.3", &at).unwrap();
            std::fs::read_to_string(at.join("index.json")).unwrap()
        });
        assert_eq!(a, b);
        assert!(a.contains("landbridge:1.2.3") && a.contains("landbridge:latest"));
    }

    #[test]
    fn the_libraries_of_this_program_are_found() {
        let program = std::env::current_exe().unwrap();
        let files = files(&program).unwrap();
        assert!(files.contains_key(PROGRAM));
        assert!(files.keys().any(|path| path.ends_with("/libc.so.6")), "{:?}", files.keys());
    }

    #[test]
    fn what_is_no_program_is_refused_by_name() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "#!/bin/sh\n").unwrap();
        let error = pack(file.path(), "1", Path::new("/nonexistent")).unwrap_err();
        assert!(error.to_string().contains(&file.path().display().to_string()));
    }
}
