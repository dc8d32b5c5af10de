//! What a directory that is an origin's bucket holds, looked at without the program.
//!
//! Its keys are spelled here once more, on purpose: what is written down in the architecture is
//! held against what the program does.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, Result, ensure};
use landbridge_testkit::image::{Algorithm, digest};
use serde_json::Value;

/// A blob or manifest that a manifest refers to: digest and size in bytes.
pub(super) type Reference = (String, u64);

/// A directory that an origin keeps everything in.
#[derive(Debug)]
pub(super) struct Directory {
    root: PathBuf,
    /// Objects whose bytes were found right, by digest, with what tells one file from the next.
    right: BTreeSet<(String, u64, u64)>,
}

impl Directory {
    pub(super) fn new(root: &Path) -> Self {
        Self { root: root.to_owned(), right: BTreeSet::new() }
    }

    pub(super) fn path(&self) -> &Path {
        &self.root
    }

    /// What a tag means.
    pub(super) fn tag(&self, repository: &str, tag: &str) -> Option<String> {
        let bytes = self.read(&format!("repositories/{repository}/_tags/{tag}"))?;
        let link: Value = serde_json::from_slice(&bytes).unwrap();
        Some(link["digest"].as_str().unwrap().to_owned())
    }

    /// Every tag: repository, name, digest.
    pub(super) fn tags(&self) -> Vec<(String, String, String)> {
        let root = self.root.join("repositories");
        let mut tags = Vec::new();
        for file in files(&root) {
            let key = file.strip_prefix(&root).unwrap().to_str().unwrap();
            let Some((repository, tag)) = key.split_once("/_tags/") else { continue };
            let digest = self.tag(repository, tag).unwrap();
            tags.push((repository.to_owned(), tag.to_owned(), digest));
        }
        tags
    }

    /// Makes sure that a repository has a manifest with all that it needs, and says what that is.
    pub(super) fn whole(&self, repository: &str, digest: &str) -> Result<Vec<Reference>> {
        let link = format!("repositories/{repository}/_manifests/{}", path(digest));
        ensure!(self.read(&link).is_some(), "{repository} has no link to manifest {digest}");
        let bytes = self.object(digest).with_context(|| format!("manifest {digest} is gone"))?;
        let manifest: Value = serde_json::from_slice(&bytes)?;
        for child in manifest["manifests"].as_array().into_iter().flatten() {
            let child = child["digest"].as_str().unwrap();
            self.whole(repository, child).with_context(|| format!("of index {digest}"))?;
        }
        let layers = manifest["layers"].as_array().into_iter().flatten();
        let references = layers.chain(manifest.get("config")).map(|descriptor| {
            let size = descriptor["size"].as_u64().unwrap();
            (descriptor["digest"].as_str().unwrap().to_owned(), size)
        });
        let references: Vec<_> = references.collect();
        for (blob, size) in &references {
            let needed = || format!("blob {blob}, which {digest} needs");
            ensure!(self.has_blob(repository, blob), "{repository} has no {}", needed());
            let found = fs::metadata(self.object_path(blob)).map(|found| found.len());
            let found = found.with_context(needed)?;
            ensure!(found == *size, "{} has {found} bytes instead of {size}", needed());
        }
        Ok(references)
    }

    /// Whether a repository has a link to a blob and the bucket the object.
    pub(super) fn has_blob(&self, repository: &str, digest: &str) -> bool {
        let link = format!("repositories/{repository}/_blobs/{}", path(digest));
        self.read(&link).is_some() && self.object_path(digest).exists()
    }

    /// Makes sure that every object's bytes are what its name says, and returns how many there
    /// are. Files that were found right before are not read again, unless `again`.
    pub(super) fn check_objects(&mut self, again: bool) -> Result<usize> {
        use std::os::unix::fs::MetadataExt as _;

        let root = self.root.join("blobs");
        let mut right = BTreeSet::new();
        for file in files(&root) {
            let key = file.strip_prefix(&root)?.to_str().context("no text")?;
            let name = key.replacen('/', ":", 1);
            let meta = fs::metadata(&file)?;
            let entry = (name.clone(), meta.ino(), meta.len());
            if again || !self.right.contains(&entry) {
                let algorithm = match name.split_once(':') {
                    Some(("sha512", _)) => Algorithm::Sha512,
                    _ => Algorithm::Sha256,
                };
                let found = digest(algorithm, &fs::read(&file)?);
                ensure!(found == name, "{name} has the bytes of {found}");
            }
            right.insert(entry);
        }
        self.right = right;
        Ok(self.right.len())
    }

    /// Whether the object is condemned, or being deleted.
    pub(super) fn is_condemned(&self, digest: &str) -> bool {
        self.root.join("condemned").join(path(digest)).exists()
    }

    /// Lets time pass for everything that is kept, while no process works on it.
    pub(super) fn let_pass(&self, time: Duration) -> Result<()> {
        for directory in ["blobs", "leases", "condemned", "collector", "uploads"] {
            for file in files(&self.root.join(directory)) {
                let modified = fs::metadata(&file)?.modified()?;
                File::options().write(true).open(&file)?.set_modified(modified - time)?;
            }
        }
        Ok(())
    }

    /// Makes an object look as if it was written and last asked for long ago, and condemned since:
    /// for one on which nobody relies.
    pub(super) fn make_old(&self, digest: &str, age: Duration, condemned_for: Duration) {
        let now = SystemTime::now();
        let path = path(digest);
        for (directory, age) in [("blobs", age), ("leases", age), ("condemned", condemned_for)] {
            let file = self.root.join(directory).join(&path);
            let set = File::options().write(true).open(file);
            match set.and_then(|file| file.set_modified(now - age)) {
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                set => set.unwrap(),
            }
        }
    }

    /// How many files there are below each top directory, for reports.
    pub(super) fn counts(&self) -> BTreeMap<&'static str, usize> {
        let directories = ["blobs", "leases", "condemned", "uploads", "repositories"];
        directories.map(|directory| (directory, files(&self.root.join(directory)).len())).into()
    }

    fn object(&self, digest: &str) -> Option<Vec<u8>> {
        self.read(&format!("blobs/{}", path(digest)))
    }

    fn object_path(&self, digest: &str) -> PathBuf {
        self.root.join("blobs").join(path(digest))
    }

    fn read(&self, key: &str) -> Option<Vec<u8>> {
        match fs::read(self.root.join(key)) {
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            read => Some(read.unwrap()),
        }
    }
}

/// `ALGORITHM/HEX`.
fn path(digest: &str) -> String {
    digest.replacen(':', "/", 1)
}

/// All files below a directory but drafts, which have no name yet.
fn files(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let entries = match fs::read_dir(directory) {
        Err(error) if error.kind() == ErrorKind::NotFound => return found,
        entries => entries.unwrap(),
    };
    for entry in entries {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else if !path.to_string_lossy().contains('#') {
            found.push(path);
        }
    }
    found
}
