//! How people write where an image is: `transport:path[:image]`.
//!
//! Owns the grammar of the three transports that are files, as containers/image spells them, so that
//! what works with skopeo and podman works here:
//! <https://github.com/containers/image/blob/main/docs/containers-transports.5.md>.
//! There as here the path ends at the first colon.
//!
//! Invariant: a reference that was parsed is written back as it was read.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// The kinds of file that an image is read from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// `oci:`, a directory in the OCI image layout.
    OciDirectory,
    /// `oci-archive:`, the same as a tar archive.
    OciArchive,
    /// `docker-archive:`, what `docker save` writes.
    DockerArchive,
}

impl Transport {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::OciDirectory, Self::OciArchive, Self::DockerArchive];

    /// The word before the first colon.
    pub const fn name(self) -> &'static str {
        match self {
            Self::OciDirectory => "oci",
            Self::OciArchive => "oci-archive",
            Self::DockerArchive => "docker-archive",
        }
    }

    /// What follows the colon, for messages.
    const fn shape(self) -> &'static str {
        match self {
            Self::OciDirectory => "DIR[:TAG]",
            Self::OciArchive => "FILE[:TAG]",
            Self::DockerArchive => "FILE[:NAME:TAG]",
        }
    }
}

/// Which of a source's images are meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selection {
    /// Every image.
    All,
    /// The one with this name.
    Name(String),
    /// The one at this place, from 0: `@0`.
    At(usize),
}

/// Where images are read from. Made by [`FromStr`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceReference {
    transport: Transport,
    path: PathBuf,
    selection: Selection,
}

/// Why a text says nowhere to read from.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SourceReferenceError {
    /// Nothing that looks like a transport.
    #[error("`{text}` does not say what it is: write `{nearest}:{text}` ({ALL_SHAPES})")]
    NoTransport {
        /// What was written.
        text: String,
        /// The transport that its ending suggests.
        nearest: &'static str,
    },
    /// Another transport.
    #[error("`{transport}:` is not read here: did you mean `{nearest}:`? ({ALL_SHAPES})")]
    UnknownTransport {
        /// What was written before the colon.
        transport: String,
        /// The nearest spelling.
        nearest: &'static str,
    },
    /// A registry.
    #[error(
        "`{text}` is in a registry: first run `skopeo copy --all {text} oci:DIR:TAG`, then use `oci:DIR:TAG`"
    )]
    Registry {
        /// What was written.
        text: String,
    },
    /// Nothing after the colon.
    #[error("`{transport}:` names no file: write `{transport}:{shape}`")]
    NoPath {
        /// The transport.
        transport: &'static str,
        /// What may follow it.
        shape: &'static str,
    },
    /// `@` without a number.
    #[error("`{0}` is no place in a list: write `@0` for the first image")]
    NoIndex(String),
}

const ALL_SHAPES: &str = "oci:DIR[:TAG], oci-archive:FILE[:TAG], docker-archive:FILE[:NAME:TAG]";

impl SourceReference {
    /// A reference to all images of the layout in `directory`, which may hold any character.
    pub fn layout(directory: impl Into<PathBuf>) -> Self {
        let transport = Transport::OciDirectory;
        Self { transport, path: directory.into(), selection: Selection::All }
    }

    /// What kind of file it is.
    pub const fn transport(&self) -> Transport {
        self.transport
    }

    /// The file or directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Which of its images are meant.
    pub const fn selection(&self) -> &Selection {
        &self.selection
    }
}

impl FromStr for SourceReference {
    type Err = SourceReferenceError;

    fn from_str(text: &str) -> Result<Self, SourceReferenceError> {
        let no_transport = || SourceReferenceError::NoTransport {
            text: clip(text),
            nearest: if has_archive_ending(text) { "oci-archive" } else { "oci" },
        };
        let (word, rest) = text.split_once(':').ok_or_else(no_transport)?;
        let Some(transport) = Transport::ALL.into_iter().find(|known| known.name() == word) else {
            return Err(if word == "docker" {
                SourceReferenceError::Registry { text: clip(text) }
            } else if word.is_empty() || word.contains(['/', '.']) {
                no_transport()
            } else {
                SourceReferenceError::UnknownTransport {
                    transport: clip(word),
                    nearest: nearest(word),
                }
            });
        };
        let (path, image) = rest.split_once(':').unwrap_or((rest, ""));
        if path.is_empty() {
            let shape = transport.shape();
            return Err(SourceReferenceError::NoPath { transport: transport.name(), shape });
        }
        let selection = match (image, image.strip_prefix('@')) {
            ("", _) => Selection::All,
            (_, Some(number)) => Selection::At(
                number.parse().map_err(|_| SourceReferenceError::NoIndex(clip(image)))?,
            ),
            (name, None) => Selection::Name(name.to_owned()),
        };
        Ok(Self { transport, path: path.into(), selection })
    }
}

impl fmt::Display for SourceReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.transport.name(), self.path.display())?;
        match &self.selection {
            Selection::All => Ok(()),
            Selection::Name(name) => write!(f, ":{name}"),
            Selection::At(place) => write!(f, ":@{place}"),
        }
    }
}

fn nearest(word: &str) -> &'static str {
    let names = Transport::ALL.map(Transport::name);
    let lower = word.to_ascii_lowercase();
    let distance = |name: &&str| strsim::damerau_levenshtein(name, &lower);
    names.into_iter().min_by_key(distance).unwrap_or("oci")
}

fn has_archive_ending(text: &str) -> bool {
    [".tar", ".tgz", ".gz", ".zst"].iter().any(|ending| text.ends_with(ending))
}

/// What a message may repeat.
fn clip(text: &str) -> String {
    text.chars().take(160).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(text: &str) -> Result<SourceReference, SourceReferenceError> {
        text.parse()
    }

    #[test]
    fn the_path_ends_at_the_first_colon_as_in_skopeo() {
        let table = [
            ("oci:dir", Transport::OciDirectory, "dir", Selection::All),
            ("oci:/a/b:v1", Transport::OciDirectory, "/a/b", Selection::Name("v1".into())),
            (
                "docker-archive:f.tar:a/b:v1",
                Transport::DockerArchive,
                "f.tar",
                Selection::Name("a/b:v1".into()),
            ),
            ("oci-archive:f.tar:@2", Transport::OciArchive, "f.tar", Selection::At(2)),
        ];
        for (text, transport, path, selection) in table {
            let reference = parse(text).unwrap();
            assert_eq!(reference, SourceReference { transport, path: path.into(), selection });
            assert_eq!(reference.to_string(), text);
        }
        assert_eq!(*parse("oci:dir:").unwrap().selection(), Selection::All);
    }

    #[test]
    fn a_wrong_spelling_is_answered_by_the_right_one() {
        let table = [
            ("oci-dir:x", "did you mean `oci:`"),
            ("docker-archve:x", "did you mean `docker-archive:`"),
            ("OCI-Archive:x", "did you mean `oci-archive:`"),
            ("./image.tar", "write `oci-archive:./image.tar`"),
            ("./layout:v1", "write `oci:./layout:v1`"),
            ("layout", "write `oci:layout`"),
            ("docker://quay.io/a/b:v1", "skopeo copy --all docker://quay.io/a/b:v1 oci:DIR:TAG"),
            ("oci:", "write `oci:DIR[:TAG]`"),
            ("docker-archive::a:b", "write `docker-archive:FILE[:NAME:TAG]`"),
            ("oci:x:@first", "write `@0`"),
        ];
        for (text, lesson) in table {
            let message = parse(text).unwrap_err().to_string();
            assert!(message.contains(lesson), "{text}: {message}");
        }
    }

    proptest! {
        #[test]
        fn strangers_cannot_make_it_panic(text in "\\PC{0,60}") {
            if let Ok(reference) = parse(&text) {
                prop_assert_eq!(parse(&reference.to_string()), Ok(reference));
            }
        }
    }
}
