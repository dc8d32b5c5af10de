//! Promotion manifests, read for the repositories that they name.
//!
//! The thin layout of Kubernetes' image promoter: `manifests/PROJECT/promoter-manifest.yaml` says
//! which registries a project is promoted to, `images/PROJECT/images.yaml` which images it has. What
//! is promoted to the registry that is replicated makes up the list. The digests and tags in them are
//! not looked at here: what the registry really has is asked of itself.
//!
//! Source: <https://github.com/kubernetes-sigs/promo-tools/blob/main/docs/image-promotion.md>

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use landbridge_core::RepositoryName;
use serde::Deserialize;
use serde::de::IgnoredAny;
use url::Url;

const MANIFEST: &str = "promoter-manifest.yaml";
/// Projects may lie this deep.
const MAX_DEPTH: usize = 8;

/// What the manifests of a directory promote to one registry.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Promoted {
    /// The repositories, by their names below the prefix.
    pub(crate) repositories: BTreeSet<RepositoryName>,
    /// Manifests that promote to other registries only.
    pub(crate) elsewhere: Vec<PathBuf>,
}

#[derive(Deserialize)]
struct Manifest {
    registries: Vec<Registry>,
}

#[derive(Deserialize)]
struct Registry {
    name: String,
    #[serde(default)]
    src: bool,
}

#[derive(Deserialize)]
struct Image {
    name: String,
    #[serde(rename = "dmap")]
    _digests: IgnoredAny,
}

/// Reads every manifest below `directory`. `registry` and `prefix` are where the images are promoted
/// to. Fails, with the file's name, if one cannot be read, or if none promotes there.
pub(crate) fn read(directory: &Path, registry: &Url, prefix: &str) -> anyhow::Result<Promoted> {
    let mut promoted = Promoted::default();
    let mut open = vec![(directory.join("manifests"), 0)];
    while let Some((place, depth)) = open.pop() {
        let what = || format!("cannot read the promotion manifests in `{}`", place.display());
        for entry in fs::read_dir(&place).with_context(what)? {
            let entry = entry.with_context(what)?;
            if entry.file_type().with_context(what)?.is_dir() && depth < MAX_DEPTH {
                open.push((entry.path(), depth + 1));
            } else if entry.file_name() == MANIFEST {
                let project = place.strip_prefix(directory.join("manifests")).unwrap_or(&place);
                let images = directory.join("images").join(project).join("images.yaml");
                promoted.add(&entry.path(), &images, registry, prefix)?;
            }
        }
    }
    if promoted.repositories.is_empty() {
        let place = place(registry, prefix);
        bail!("none of the promotion manifests in `{}` promotes to `{place}`", directory.display());
    }
    promoted.elsewhere.sort();
    Ok(promoted)
}

impl Promoted {
    fn add(
        &mut self,
        manifest: &Path,
        images: &Path,
        registry: &Url,
        prefix: &str,
    ) -> anyhow::Result<()> {
        let project: Manifest = parse(manifest)?;
        let place = place(registry, prefix);
        let below = |registry: &Registry| {
            let rest = registry.name.strip_prefix(&place).filter(|_| !registry.src)?;
            let rest = rest.strip_prefix('/').or(rest.is_empty().then_some(rest))?;
            Some(rest.to_owned())
        };
        let Some(below) = project.registries.iter().find_map(below) else {
            self.elsewhere.push(manifest.to_owned());
            return Ok(());
        };
        let list: Vec<Image> = parse(images)?;
        for Image { name, .. } in list {
            let full = if below.is_empty() { name } else { format!("{below}/{name}") };
            let name = RepositoryName::parse(&full)
                .with_context(|| format!("`{}` names an image wrongly", images.display()))?;
            self.repositories.insert(name);
        }
        Ok(())
    }
}

/// How a manifest writes the registry.
fn place(registry: &Url, prefix: &str) -> String {
    let host = registry.host_str().unwrap_or_default();
    let port = registry.port().map(|port| format!(":{port}")).unwrap_or_default();
    let slash = if prefix.is_empty() { "" } else { "/" };
    format!("{host}{port}{slash}{prefix}")
}

fn parse<T: for<'de> Deserialize<'de>>(path: &Path) -> anyhow::Result<T> {
    let what = || format!("cannot read the promotion manifest `{}`", path.display());
    let text = fs::read_to_string(path).with_context(what)?;
    serde_saphyr::from_str(&text).with_context(what)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(path: PathBuf, text: &str) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    #[test]
    fn images_are_named_as_they_are_called_in_the_registry_that_they_are_promoted_to() {
        let dir = tempfile::tempdir().unwrap();
        let at = |path: &str| dir.path().join(path);
        write(
            at("manifests/dns/promoter-manifest.yaml"),
            "registries:\n- {name: registry.example.org/staging-dns, src: true}\n\
             - {name: eu.example.org/prod/images/dns, service-account: a@b}\n\
             - {name: us.example.org/prod/images/dns}\n",
        );
        write(
            at("images/dns/images.yaml"),
            "- name: server\n  dmap: {\"sha256:not-one\": [v1]}\n- {name: tools/dig, dmap: {}}\n",
        );
        write(
            at("manifests/top/promoter-manifest.yaml"),
            "registries: [{name: us.example.org/prod/images}]",
        );
        write(at("images/top/images.yaml"), "- {name: pause, dmap: {}}");
        write(
            at("manifests/other/promoter-manifest.yaml"),
            "registries: [{name: us.example.org/prod/images-too}]",
        );
        let registry: Url = "https://us.example.org".parse().unwrap();
        let promoted = read(dir.path(), &registry, "prod/images").unwrap();
        let names: Vec<_> = promoted.repositories.iter().map(RepositoryName::as_str).collect();
        assert_eq!(names, ["dns/server", "dns/tools/dig", "pause"]);
        assert_eq!(promoted.elsewhere, [at("manifests/other/promoter-manifest.yaml")]);

        let nobody: Url = "https://nobody.example.org:5000".parse().unwrap();
        let nowhere = read(dir.path(), &nobody, "").unwrap_err().to_string();
        assert!(nowhere.ends_with("promotes to `nobody.example.org:5000`"), "{nowhere}");
        write(at("images/top/images.yaml"), "- {name: pause, dmap: {");
        let broken = read(dir.path(), &registry, "prod/images").unwrap_err().to_string();
        assert!(broken.contains("images/top/images.yaml"), "{broken}");
    }
}
