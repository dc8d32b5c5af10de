//! Debian's `docker-registry`: what a well-behaved registry answers.

use futures::TryStreamExt as _;
use landbridge_core::Tag;
use landbridge_core::digest::Digest;
use landbridge_core::media_type;
use landbridge_core::request::ManifestReference;
use landbridge_registry::client::{BlobRange, ClientError, ClientSettings, RegistryClient};
use landbridge_testkit::{DockerRegistry, Login};
use reqwest::header::{CONTENT_TYPE, LOCATION};
use url::Url;

use super::{client, credentials, name, settings};

/// Pushes an image without layers as `repository:tag` and returns its manifest.
async fn push(registry: &DockerRegistry, repository: &str, tag: &str) -> String {
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let base = Url::parse(&registry.url()).unwrap();
    let sign = |request: reqwest::RequestBuilder| match registry.login() {
        Some(Login { user, password }) => request.basic_auth(user, Some(password)),
        None => request,
    };
    let config = config();
    let uploads = base.join(&format!("/v2/{repository}/blobs/uploads/")).unwrap();
    let started = sign(http.post(uploads)).send().await.unwrap().error_for_status().unwrap();
    let mut upload = base.join(started.headers()[LOCATION].to_str().unwrap()).unwrap();
    upload.query_pairs_mut().append_pair("digest", &Digest::sha256_of(&config).to_string());
    sign(http.put(upload)).body(config).send().await.unwrap().error_for_status().unwrap();
    let manifest = manifest(tag);
    let address = base.join(&format!("/v2/{repository}/manifests/{tag}")).unwrap();
    let put = sign(http.put(address)).header(CONTENT_TYPE, media_type::OCI_MANIFEST);
    put.body(manifest.clone()).send().await.unwrap().error_for_status().unwrap();
    manifest
}

fn config() -> Vec<u8> {
    br#"{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[]}}"#.to_vec()
}

fn manifest(note: &str) -> String {
    let config = config();
    serde_json::json!({
        "schemaVersion": 2,
        "mediaType": media_type::OCI_MANIFEST,
        "config": {
            "mediaType": media_type::OCI_CONFIG,
            "digest": Digest::sha256_of(&config).to_string(),
            "size": config.len(),
        },
        "layers": [],
        "annotations": { "note": note },
    })
    .to_string()
}

#[tokio::test]
async fn a_manifest_comes_by_tag_and_by_digest_and_what_is_absent_is_none() {
    let registry = DockerRegistry::start().unwrap();
    let pushed = push(&registry, "team/app", "v1").await;
    let client = client(&registry.url());
    let repository = name("team/app");
    assert!(client.wants_authorization(), "nobody knows yet");

    let by_tag = client.manifest(&repository, ManifestReference::Tag("v1")).await.unwrap().unwrap();
    assert!(!client.wants_authorization());
    assert_eq!(by_tag.bytes, pushed);
    assert_eq!(by_tag.media_type, media_type::OCI_MANIFEST);
    assert_eq!(by_tag.digest, Digest::sha256_of(pushed.as_bytes()));
    let reference = ManifestReference::Digest(by_tag.digest);
    assert_eq!(client.manifest(&repository, reference).await.unwrap(), Some(by_tag.clone()));

    for reference in [reference, ManifestReference::Tag("v1")] {
        let head = client.head_manifest(&repository, reference).await.unwrap().unwrap();
        assert_eq!(head.digest, Some(by_tag.digest));
        assert_eq!(head.media_type.as_deref(), Some(media_type::OCI_MANIFEST));
        assert_eq!(head.size_bytes, Some(pushed.len() as u64));
    }

    let absent = ManifestReference::Tag("v2");
    assert_eq!(client.manifest(&repository, absent).await.unwrap(), None);
    assert_eq!(client.head_manifest(&repository, absent).await.unwrap(), None);
    assert_eq!(client.manifest(&name("nobody"), absent).await.unwrap(), None);
}

#[tokio::test]
async fn a_blob_comes_whole_or_in_part_and_its_length_is_checked() {
    let registry = DockerRegistry::start().unwrap();
    push(&registry, "a", "v1").await;
    let client = client(&registry.url());
    let (repository, config) = (name("a"), config());
    let digest = Digest::sha256_of(&config);
    let size = config.len() as u64;

    assert_eq!(client.head_blob(&repository, &digest).await.unwrap(), Some(size));
    let range = |first, last| Some(BlobRange { first, last });
    for (range, expected) in [
        (None, 0..size),
        (range(0, None), 0..size),
        (range(5, None), 5..size),
        (range(5, Some(9)), 5..10),
        (range(size - 1, Some(u64::MAX)), size - 1..size),
    ] {
        let body = client.blob(&repository, &digest, range).await.unwrap().unwrap();
        assert_eq!(body.range(), expected, "{range:?}");
        assert_eq!(body.size_bytes(), size);
        let bytes = body.try_collect::<Vec<_>>().await.unwrap().concat();
        let (start, end) = (usize::try_from(expected.start), usize::try_from(expected.end));
        assert_eq!(bytes, config[start.unwrap()..end.unwrap()]);
    }
    let beyond = client.blob(&repository, &digest, range(size, None)).await;
    assert!(matches!(beyond, Err(ClientError::OutOfRange { .. })), "{beyond:?}");

    let absent = Digest::sha256_of(b"absent");
    assert_eq!(client.head_blob(&repository, &absent).await.unwrap(), None);
    assert!(client.blob(&repository, &absent, None).await.unwrap().is_none());
}

#[tokio::test]
async fn lists_come_page_by_page() {
    let registry = DockerRegistry::start().unwrap();
    for tag in ["v1", "v2", "v3"] {
        push(&registry, "prod/app", tag).await;
    }
    push(&registry, "prod/tool", "v1").await;
    push(&registry, "test/app", "v1").await;
    let client = client(&registry.url());
    let app = name("prod/app");

    let page = client.tags(&app, Some(2), "").await.unwrap().unwrap();
    assert_eq!(page.tags.iter().map(Tag::as_str).collect::<Vec<_>>(), ["v1", "v2"]);
    assert!(page.has_more);
    let page = client.tags(&app, Some(2), "v2").await.unwrap().unwrap();
    assert_eq!(page.tags.iter().map(Tag::as_str).collect::<Vec<_>>(), ["v3"]);
    assert!(!page.has_more);
    assert_eq!(client.tags(&name("nobody"), None, "").await.unwrap(), None);

    let page = client.catalog(Some(1), "").await.unwrap().unwrap();
    assert_eq!(page.repositories, [name("prod/app")]);
    assert!(page.has_more);
}

#[tokio::test]
async fn a_prefix_is_put_before_every_name_and_taken_from_every_answer() {
    let registry = DockerRegistry::start().unwrap();
    for repository in ["aaa/app", "prod/app", "prod/tool", "test/app"] {
        push(&registry, repository, "v1").await;
    }
    let client = RegistryClient::new(ClientSettings {
        repository_prefix: "prod".to_owned(),
        ..settings(&registry.url())
    })
    .unwrap();
    let tag = ManifestReference::Tag("v1");
    assert!(client.manifest(&name("tool"), tag).await.unwrap().is_some());
    assert!(client.manifest(&name("test/app"), tag).await.unwrap().is_none());
    let page = client.catalog(Some(2), "").await.unwrap().unwrap();
    assert_eq!(page.repositories, [name("app"), name("tool")]);
    let page = client.catalog(Some(2), "app").await.unwrap().unwrap();
    assert_eq!(page.repositories, [name("tool")]);
    assert!(!page.has_more, "what follows is not ours");
}

#[tokio::test]
async fn without_the_referrers_api_the_tag_that_stands_for_it_is_read() {
    let registry = DockerRegistry::start().unwrap();
    let subject = Digest::sha256_of(push(&registry, "a", "v1").await.as_bytes());
    let client = client(&registry.url());
    assert_eq!(client.referrers(&name("a"), &subject).await.unwrap(), None);
    let tag = format!("sha256-{}", subject.hex());
    let index = push(&registry, "a", &tag).await;
    let referrers = client.referrers(&name("a"), &subject).await.unwrap().unwrap();
    assert_eq!(referrers.index, index);
    assert!(referrers.is_complete);
}

#[tokio::test]
async fn a_password_lets_in_and_without_it_the_answer_is_denied() {
    let registry = DockerRegistry::start_private().unwrap();
    push(&registry, "a", "v1").await;
    let Login { user, password } = Login::READER;
    let ask = async |credentials| {
        let client =
            RegistryClient::new(ClientSettings { credentials, ..settings(&registry.url()) });
        client.unwrap().manifest(&name("a"), ManifestReference::Tag("v1")).await
    };
    assert!(ask(Some(credentials(user, password))).await.unwrap().is_some());
    for wrong in [None, Some(credentials(user, "wrong"))] {
        let answer = ask(wrong).await;
        assert!(matches!(answer, Err(ClientError::Denied { .. })), "{answer:?}");
    }
}
