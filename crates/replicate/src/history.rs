//! What was published, when, and how two generations differ.

use std::collections::{BTreeMap, HashSet};
use std::fmt;

use futures::TryStreamExt as _;
use jiff::Timestamp;
use landbridge_core::Digest;
use landbridge_core::generation::{Repository, RepositoryEntry, Root};
use landbridge_core::pointer::{Pointer, Verified};
use landbridge_core::reference::{RepositoryName, Tag};
use landbridge_store::StoreError;
use landbridge_store::publish::{Publication, Published};
use serde::Serialize;

use crate::error::ImportError;
use crate::publishing::Publishing;
use crate::report::Size;
use crate::withdraw::withdrawn;

/// A publication, or something that lies where one would.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Release {
    /// Its number.
    pub sequence: u64,
    /// What it says, or why it is not believed.
    #[serde(flatten)]
    pub said: Said,
}

/// What a pointer says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Said {
    /// It is signed by the keys that count.
    Believed {
        /// The generation that it names.
        generation: Digest,
        /// When it was issued.
        issued: Timestamp,
        /// When it begins to alarm.
        expires: Timestamp,
        /// Why it was published.
        reason: String,
        /// Whether it is the one that counts now.
        in_force: bool,
        /// What became of the generation.
        kept: Kept,
    },
    /// It is not, for this reason.
    Refused(String),
}

/// Whether a generation can still be gone back to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kept {
    /// It is there.
    There,
    /// It is there, and no prune deletes it.
    Pinned,
    /// It was pruned.
    Pruned,
}

/// Everything that was published, newest first.
pub async fn releases(publication: &Publication) -> Result<Vec<Release>, StoreError> {
    let Publication { authority, keys, catalog, .. } = publication;
    let mut is_first = true;
    let all = authority.pointers(keys, catalog).await?;
    let pins: HashSet<Digest> = authority.pins().await?.into_iter().map(|(pin, _)| pin).collect();
    let documents = authority.documents().map_ok(|document| document.item);
    let documents: HashSet<Digest> = documents.try_collect().await?;
    let kept = |generation: &Digest| {
        if !documents.contains(generation) {
            Kept::Pruned
        } else if pins.contains(generation) {
            Kept::Pinned
        } else {
            Kept::There
        }
    };
    let release = |(sequence, pointer): (u64, Result<Verified<Pointer>, String>)| {
        let said = match pointer {
            Err(why) => Said::Refused(why),
            Ok(pointer) => {
                let content = pointer.content();
                Said::Believed {
                    generation: content.generation,
                    issued: content.issued,
                    expires: content.expires,
                    reason: content.reason.clone(),
                    in_force: std::mem::take(&mut is_first),
                    kept: kept(&content.generation),
                }
            }
        };
        Release { sequence, said }
    };
    Ok(all.into_iter().map(release).collect())
}

/// Why no generation is meant.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoSuchRelease {
    /// Nothing was published that it could be.
    #[error(
        "`{0}` is none of the releases: write a number, or the beginning of a digest, as `landbridge generation list` shows them"
    )]
    Unknown(String),
    /// Several generations begin like this.
    #[error("`{0}` is the beginning of several generations: write more of it")]
    Several(String),
}

/// The generation that a person means: by the number of a release, by a digest, or by the
/// beginning of its hash. Only what was published can be meant.
pub fn find_release(releases: &[Release], text: &str) -> Result<Digest, NoSuchRelease> {
    let hash = text.strip_prefix("sha256:").unwrap_or(text);
    let means = |release: &&Release| {
        let Said::Believed { generation, .. } = &release.said else { return None };
        let is_number = text.parse() == Ok(release.sequence);
        let is_beginning = hash.len() >= 6 && generation.hex().to_string().starts_with(hash);
        (is_number || is_beginning).then_some(*generation)
    };
    let mut meant: Vec<Digest> = releases.iter().filter_map(|release| means(&release)).collect();
    meant.sort();
    meant.dedup();
    match meant[..] {
        [generation] => Ok(generation),
        [] => Err(NoSuchRelease::Unknown(text.to_owned())),
        _ => Err(NoSuchRelease::Several(text.to_owned())),
    }
}

/// How one generation became another.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// Tags that are new, moved or gone, by repository and name.
    pub tags: Vec<TagDifference>,
    /// Objects, manifests among them, that no repository listed before.
    pub new_objects: u64,
    /// Their bytes.
    pub new_bytes: u64,
    /// Objects that are not listed any more.
    pub gone_objects: u64,
    /// Their bytes.
    pub gone_bytes: u64,
}

/// What became of a tag.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TagDifference {
    /// The repository.
    pub repository: RepositoryName,
    /// The tag.
    pub tag: Tag,
    /// What it meant; nothing if it is new.
    pub from: Option<Digest>,
    /// What it means; nothing if it is gone.
    pub to: Option<Digest>,
}

/// Compares two generations; reads the documents of repositories that differ and no others.
pub async fn compare(
    publication: &Publication,
    from: &Digest,
    to: &Digest,
) -> Result<Difference, StoreError> {
    let authority = &publication.authority;
    let old: Root = authority.get_document(from).await?;
    let new: Root = authority.get_document(to).await?;
    let mut changed: BTreeMap<&RepositoryName, [Option<Digest>; 2]> = BTreeMap::new();
    for (side, root) in [&old, &new].into_iter().enumerate() {
        for RepositoryEntry { digest, name, .. } in &root.repositories {
            changed.entry(name).or_default()[side] = Some(*digest);
        }
    }
    changed.retain(|_, [old, new]| old != new);
    let (mut before, mut after) = (Vec::new(), Vec::new());
    for documents in changed.values() {
        for (digest, repositories) in documents.iter().zip([&mut before, &mut after]) {
            if let Some(digest) = digest {
                repositories.push(authority.get_document(digest).await?);
            }
        }
    }
    Ok(difference(&before, &after))
}

/// The difference of repositories that are not the same.
fn difference(before: &[Repository], after: &[Repository]) -> Difference {
    let (old, new) = (objects(before), objects(after));
    let sum = |these: &BTreeMap<Digest, u64>, those: &BTreeMap<Digest, u64>| {
        let only = these.iter().filter(|(digest, _)| !those.contains_key(digest));
        only.fold((0, 0), |(count, bytes), (_, size)| (count + 1, bytes + size))
    };
    let ((new_objects, new_bytes), (gone_objects, gone_bytes)) = (sum(&new, &old), sum(&old, &new));
    let mut tags: BTreeMap<(&RepositoryName, &Tag), [Option<Digest>; 2]> = BTreeMap::new();
    for (side, repositories) in [before, after].into_iter().enumerate() {
        for repository in repositories {
            for tag in &repository.tags {
                tags.entry((&repository.name, &tag.name)).or_default()[side] = Some(tag.digest);
            }
        }
    }
    let tags = tags.into_iter().filter(|(_, [from, to])| from != to);
    let tags = tags.map(|((repository, tag), [from, to])| TagDifference {
        repository: repository.clone(),
        tag: tag.clone(),
        from,
        to,
    });
    Difference { tags: tags.collect(), new_objects, new_bytes, gone_objects, gone_bytes }
}

fn objects(repositories: &[Repository]) -> BTreeMap<Digest, u64> {
    repositories.iter().flat_map(Repository::listed).collect()
}

/// Makes an older generation the one in force again, under a new number. Digests of what is in
/// force now stay answerable, as after any release.
pub async fn roll_back(
    publishing: &Publishing<'_>,
    to: Digest,
    reason: &str,
) -> Result<Published, ImportError> {
    let publication = publishing.publication;
    let base = publication.base().await?;
    let withdrawn = withdrawn(publication).await?;
    let checked = publication.check_again(base, to, &withdrawn).await?;
    publishing.put_in_force(checked, reason).await
}

impl fmt::Display for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::There => "",
            Self::Pinned => "(pinned) ",
            Self::Pruned => "(pruned) ",
        })
    }
}

impl fmt::Display for Release {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sequence = self.sequence;
        match &self.said {
            Said::Refused(why) => write!(f, "{sequence:>6}  not believed: {why}"),
            Said::Believed { generation, issued, reason, in_force, kept, .. } => {
                let mark = if *in_force { '*' } else { ' ' };
                let hex = generation.hex().to_string();
                let short = hex.get(..12).unwrap_or(&hex);
                write!(f, "{sequence:>6}{mark} {short}  {issued:.0}  {kept}{reason}")
            }
        }
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for TagDifference { repository, tag, from, to } in &self.tags {
            match (from, to) {
                (None, Some(to)) => writeln!(f, "+ {repository}:{tag} {to}")?,
                (Some(from), None) => writeln!(f, "- {repository}:{tag} {from}")?,
                (Some(from), Some(to)) => writeln!(f, "~ {repository}:{tag} {from} -> {to}")?,
                (None, None) => {}
            }
        }
        let Self { new_objects, new_bytes, gone_objects, gone_bytes, .. } = self;
        writeln!(f, "{new_objects} objects more ({})", Size(*new_bytes))?;
        write!(f, "{gone_objects} objects less ({})", Size(*gone_bytes))
    }
}

#[cfg(test)]
mod tests {
    use landbridge_core::generation::{ObjectEntry, TagEntry};

    use super::*;

    fn release(sequence: u64, content: &str) -> Release {
        let at = "2026-11-22T00:00:00Z".parse().unwrap();
        let said = Said::Believed {
            generation: Digest::sha256_of(content.as_bytes()),
            issued: at,
            expires: at,
            reason: "a test".to_owned(),
            in_force: false,
            kept: Kept::There,
        };
        Release { sequence, said }
    }

    #[test]
    fn a_release_is_meant_by_number_or_beginning() {
        let refused = Release { sequence: 9, said: Said::Refused("forged".to_owned()) };
        let all = [refused, release(3, "b"), release(2, "a"), release(1, "b")];
        let (a, b) = (Digest::sha256_of(b"a"), Digest::sha256_of(b"b"));
        assert_eq!(find_release(&all, "2"), Ok(a));
        assert_eq!(find_release(&all, "1"), Ok(b));
        assert_eq!(find_release(&all, &a.to_string()), Ok(a));
        assert_eq!(find_release(&all, &b.hex().to_string()[..6]), Ok(b));
        for nothing in ["9", "4", "", "sha256:", &b.hex().to_string()[..5]] {
            assert!(find_release(&all, nothing).is_err(), "{nothing}");
        }
    }

    #[test]
    fn tags_and_objects_are_compared_and_what_two_repositories_share_is_one() {
        let repository = |name: &str, tags: &[(&str, &str)], objects: &[(&str, u64)]| {
            let mut repository = Repository::empty(name.parse().unwrap());
            for (tag, content) in tags {
                let digest = Digest::sha256_of(content.as_bytes());
                repository.tags.push(TagEntry { digest, name: tag.parse().unwrap() });
            }
            for (content, size) in objects {
                let digest = Digest::sha256_of(content.as_bytes());
                let media_type = "a/b".to_owned();
                repository.objects.push(ObjectEntry { digest, media_type, size: *size });
            }
            repository.sorted()
        };
        let before = [repository("x", &[("v1", "1"), ("v2", "2")], &[("l", 5), ("m", 7)])];
        let after = [
            repository("x", &[("v1", "1"), ("v2", "3")], &[("l", 5)]),
            repository("y", &[("v1", "4")], &[("l", 5), ("n", 11)]),
        ];
        let text = difference(&before, &after).to_string();
        let [two, three, four] = ["2", "3", "4"].map(|text| Digest::sha256_of(text.as_bytes()));
        assert_eq!(
            text,
            format!(
                "~ x:v2 {two} -> {three}\n+ y:v1 {four}\n1 objects more (11 B)\n1 objects less (7 B)"
            )
        );
        assert_eq!(difference(&before, &before), Difference::default());
    }
}
