//! A local file of lines that makes room for a new one when it has grown.
//!
//! Invariant: what is appended at once is never torn in two by a rotation.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

/// A file to append to; older ones are `NAME.1`, `NAME.2` and so on, the oldest last.
#[derive(Debug)]
pub struct RotatingFile {
    file: File,
    path: PathBuf,
    size: u64,
    rotate_bytes: u64,
    keep_files: usize,
}

impl RotatingFile {
    /// Opens `name` in `directory`, which is made if it is absent. Once the file has
    /// `rotate_bytes` it is put aside; of those put aside `keep_files` are kept.
    pub fn open(
        directory: &Path,
        name: &str,
        rotate_bytes: u64,
        keep_files: usize,
    ) -> io::Result<Self> {
        std::fs::create_dir_all(directory)?;
        let path = directory.join(name);
        let (file, size) = open(&path)?;
        Ok(Self { file, path, size, rotate_bytes, keep_files })
    }

    /// Appends whole lines.
    pub fn append(&mut self, lines: &[u8]) -> io::Result<()> {
        if self.size >= self.rotate_bytes {
            self.rotate()?;
        }
        self.file.write_all(lines)?;
        self.size += lines.len() as u64;
        Ok(())
    }

    fn rotate(&mut self) -> io::Result<()> {
        let numbered = |n: usize| {
            let mut name = self.path.as_os_str().to_owned();
            name.push(format!(".{n}"));
            PathBuf::from(name)
        };
        for n in (1..self.keep_files).rev() {
            match std::fs::rename(numbered(n), numbered(n + 1)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                Ok(()) | Err(_) => {}
            }
        }
        if self.keep_files == 0 {
            std::fs::remove_file(&self.path)?;
        } else {
            std::fs::rename(&self.path, numbered(1))?;
        }
        (self.file, self.size) = open(&self.path)?;
        Ok(())
    }
}

fn open(path: &Path) -> io::Result<(File, u64)> {
    let file = OpenOptions::new().create(true).append(true).open(path)?;
    let size = file.metadata()?.len();
    Ok((file, size))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_are_kept_and_none_is_torn() {
        for (keep, expected) in [(0, 1), (1, 2), (3, 4)] {
            let directory = tempfile::tempdir().unwrap();
            let place = directory.path().join("new");
            let mut file = RotatingFile::open(&place, "a.jsonl", 10, keep).unwrap();
            for _ in 0..20 {
                file.append(b"12345\n12345\n").unwrap();
            }
            let files: Vec<_> = std::fs::read_dir(&place).unwrap().map(Result::unwrap).collect();
            assert_eq!(files.len(), expected);
            for file in files {
                assert_eq!(file.metadata().unwrap().len(), 12);
            }
        }
    }
}
