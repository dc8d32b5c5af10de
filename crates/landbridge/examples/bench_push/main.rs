//! The load of `bench/push.sh`: clients that push images to a registry and pull them, as skopeo
//! does it, and how long that took.
//!
//! Each client has connections of its own and an image of its own, so that nothing is shared and
//! nothing is there before. Bytes come from memory and digests are known before the clock starts:
//! what is measured is the registry. A pull counts bytes and checks each blob's first ones, by
//! which alone blobs differ.

use std::time::Instant;

use anyhow::{Context as _, ensure};
use bytes::Bytes;
use futures::{StreamExt as _, TryStreamExt as _};
use landbridge_core::Digest;
use landbridge_core::digest::{Algorithm, Hasher};
use landbridge_core::media_type::{OCI_CONFIG, OCI_LAYER_GZIP, OCI_MANIFEST};
use reqwest::header::{ACCEPT, CONTENT_LENGTH, CONTENT_TYPE, LOCATION};
use reqwest::{Client, Response, StatusCode};
use serde_json::json;
use url::Url;

const USAGE: &str = "usage: bench_push push|pull URL ROUND CLIENTS LAYERS BYTES";
/// Layers that a client copies at once: skopeo's own number.
const AT_ONCE: usize = 6;
/// The first bytes of a blob, which tell it from all others.
const HEAD_BYTES: usize = 64;

struct Blob {
    head: Bytes,
    digest: Digest,
    size: usize,
}

struct Image {
    repository: String,
    config: Blob,
    layers: Vec<Blob>,
    manifest: String,
}

struct Target {
    client: Client,
    registry: Url,
    rest: Bytes,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [mode, url, round, clients, layers, bytes] = arguments.as_slice() else {
        anyhow::bail!(USAGE)
    };
    let is_push = match mode.as_str() {
        "push" => true,
        "pull" => false,
        _ => anyhow::bail!(USAGE),
    };
    let registry: Url = url.parse().context(USAGE)?;
    let (clients, layers): (usize, usize) = (clients.parse()?, layers.parse()?);
    let size: usize = bytes.parse()?;
    ensure!(size > HEAD_BYTES, "a layer has more than {HEAD_BYTES} bytes");
    // reqwest wants one even where nothing is encrypted. Fails only if there is one.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let rest = noise(size - HEAD_BYTES);
    let images: Vec<Image> =
        (0..clients).map(|client| Image::new(round, client, layers, &rest)).collect();
    let targets = (0..clients)
        .map(|_| {
            let client = Client::builder().build()?;
            Ok(Target { client, registry: registry.clone(), rest: rest.clone() })
        })
        .collect::<anyhow::Result<Vec<_>>>()?;

    let began = Instant::now();
    let work = images.iter().zip(&targets).map(|(image, target)| async move {
        if is_push { target.push(image).await } else { target.pull(image).await }
    });
    futures::future::try_join_all(work).await?;
    #[expect(clippy::print_stdout, reason = "the result")]
    {
        println!("{:.4}", began.elapsed().as_secs_f64());
    }
    Ok(())
}

/// Bytes that nothing can compress.
fn noise(size: usize) -> Bytes {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let words = std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    });
    words.flatten().take(size).collect()
}

impl Blob {
    fn new(name: &str, rest: &[u8]) -> Self {
        let head = Bytes::from(format!("{name:<HEAD_BYTES$}"));
        let mut hasher = Hasher::new(Algorithm::Sha256);
        hasher.update(&head);
        hasher.update(rest);
        Self { digest: hasher.finish(), size: head.len() + rest.len(), head }
    }

    fn descriptor(&self, media_type: &str) -> serde_json::Value {
        json!({ "mediaType": media_type, "digest": self.digest.to_string(), "size": self.size })
    }
}

impl Image {
    fn new(round: &str, client: usize, layers: usize, rest: &[u8]) -> Self {
        let repository = format!("bench/r{round}-{client}");
        let layers: Vec<Blob> =
            (0..layers).map(|layer| Blob::new(&format!("{repository} {layer}"), rest)).collect();
        let config = Blob::new(&format!("{repository} config"), b"");
        let entries: Vec<_> = layers.iter().map(|layer| layer.descriptor(OCI_LAYER_GZIP)).collect();
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "config": config.descriptor(OCI_CONFIG),
            "layers": entries,
        });
        Self { repository, config, layers, manifest: manifest.to_string() }
    }
}

impl Target {
    fn at(&self, path: &str) -> anyhow::Result<Url> {
        Ok(self.registry.join(path)?)
    }

    async fn push(&self, image: &Image) -> anyhow::Result<()> {
        let pushes = image.layers.iter().map(|layer| self.push_blob(image, layer, &self.rest));
        futures::stream::iter(pushes).buffer_unordered(AT_ONCE).try_collect::<()>().await?;
        self.push_blob(image, &image.config, &Bytes::new()).await?;
        let url = self.at(&format!("/v2/{}/manifests/latest", image.repository))?;
        let put = self.client.put(url).header(CONTENT_TYPE, OCI_MANIFEST);
        expect(put.body(image.manifest.clone()).send().await?, StatusCode::CREATED).await?;
        Ok(())
    }

    async fn push_blob(&self, image: &Image, blob: &Blob, rest: &Bytes) -> anyhow::Result<()> {
        let url = self.at(&format!("/v2/{}/blobs/{}", image.repository, blob.digest))?;
        expect(self.client.head(url).send().await?, StatusCode::NOT_FOUND).await?;
        let url = self.at(&format!("/v2/{}/blobs/uploads/", image.repository))?;
        let begun = self.client.post(url).header(CONTENT_LENGTH, 0).send().await?;
        let session = location(&expect(begun, StatusCode::ACCEPTED).await?)?;
        let pieces = [blob.head.clone(), rest.clone()].map(Ok::<_, std::convert::Infallible>);
        let sent = self
            .client
            .patch(session)
            .header(CONTENT_LENGTH, blob.size)
            .header(CONTENT_TYPE, "application/octet-stream")
            .body(reqwest::Body::wrap_stream(futures::stream::iter(pieces)))
            .send()
            .await?;
        let mut session = location(&expect(sent, StatusCode::ACCEPTED).await?)?;
        session.query_pairs_mut().append_pair("digest", &blob.digest.to_string());
        let finished = self.client.put(session).header(CONTENT_LENGTH, 0).send().await?;
        expect(finished, StatusCode::CREATED).await?;
        Ok(())
    }

    async fn pull(&self, image: &Image) -> anyhow::Result<()> {
        let url = self.at(&format!("/v2/{}/manifests/latest", image.repository))?;
        let answer = self.client.get(url).header(ACCEPT, OCI_MANIFEST).send().await?;
        let bytes = expect(answer, StatusCode::OK).await?.bytes().await?;
        ensure!(bytes == image.manifest, "another manifest came back");
        let blobs = image.layers.iter().chain([&image.config]);
        let pulls = blobs.map(|blob| self.pull_blob(image, blob));
        futures::stream::iter(pulls).buffer_unordered(AT_ONCE).try_collect::<()>().await
    }

    async fn pull_blob(&self, image: &Image, blob: &Blob) -> anyhow::Result<()> {
        let url = self.at(&format!("/v2/{}/blobs/{}", image.repository, blob.digest))?;
        let answer = expect(self.client.get(url).send().await?, StatusCode::OK).await?;
        let (mut head, mut size) = (Vec::new(), 0);
        let mut body = answer.bytes_stream();
        while let Some(piece) = body.try_next().await? {
            size += piece.len();
            let wanted = piece.len().min(HEAD_BYTES.saturating_sub(head.len()));
            head.extend_from_slice(&piece[..wanted]);
        }
        ensure!(size == blob.size && head == blob.head, "another blob came back");
        Ok(())
    }
}

async fn expect(answer: Response, status: StatusCode) -> anyhow::Result<Response> {
    if answer.status() != status {
        let (url, found) = (answer.url().clone(), answer.status());
        anyhow::bail!("{url} answers {found} instead of {status}: {}", answer.text().await?);
    }
    Ok(answer)
}

fn location(answer: &Response) -> anyhow::Result<Url> {
    let location = answer.headers().get(LOCATION).context("no Location")?;
    Ok(answer.url().join(location.to_str()?)?)
}
