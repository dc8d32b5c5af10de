//! TLS, and both versions of HTTP.

use std::fs;

use anyhow::{Context as _, Result};
use landbridge_testkit::{Certificate, Platforms, Skopeo};
use reqwest::tls::TlsInfo;
use reqwest::{Client, ClientBuilder, Version};

use crate::content::Content;
use crate::running::{Front, until};

/// A client that believes any certificate and remembers which it was.
fn client(build: impl FnOnce(ClientBuilder) -> ClientBuilder) -> Result<Client> {
    // Fails only when another test was first.
    rustls::crypto::aws_lc_rs::default_provider().install_default().ok();
    let client = Client::builder()
        .tls_info(true)
        .tls_danger_accept_invalid_certs(true)
        .no_proxy()
        .pool_max_idle_per_host(0)
        .redirect(reqwest::redirect::Policy::none());
    Ok(build(client).build()?)
}

/// Version, status and the certificate of a `GET`.
fn ask(client: &Client, url: &str) -> Result<(Version, u16, Vec<u8>)> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
        let answer = client.get(url).send().await?;
        let certificate = answer.extensions().get::<TlsInfo>().and_then(TlsInfo::peer_certificate);
        Ok((answer.version(), answer.status().as_u16(), certificate.unwrap_or_default().to_vec()))
    })
}

fn der(certificate: &Certificate) -> Result<Vec<u8>> {
    use rustls::pki_types::pem::PemObject as _;
    let der = rustls::pki_types::CertificateDer::from_pem_file(certificate.chain());
    Ok(der.ok().context("a certificate")?.to_vec())
}

#[test]
fn http_2_is_spoken_with_prior_knowledge_on_a_plain_listener() {
    let data = Content::pack().unwrap().data().unwrap();
    let front = Front::over(data.path()).unwrap();
    let two = client(ClientBuilder::http2_prior_knowledge).unwrap();
    let url = format!("http://{}/v2/app/manifests/v1", front.address);
    let (version, status, _) = ask(&two, &url).unwrap();
    assert_eq!((version, status), (Version::HTTP_2, 200));
    let one = client(|builder| builder).unwrap();
    let (version, status, _) = ask(&one, &url).unwrap();
    assert_eq!((version, status), (Version::HTTP_11, 200));
}

#[test]
fn http_2_answers_many_at_once_and_refuses_large_heads() {
    let content = Content::pack().unwrap();
    let data = content.data().unwrap();
    let front = Front::over(data.path()).unwrap();
    let url = format!("http://{}/v2/app/manifests/v1", front.address);
    rustls::crypto::aws_lc_rs::default_provider().install_default().ok();
    let client = Client::builder().http2_prior_knowledge().no_proxy().build().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        // More than the streams that one connection may have open; the rest wait for their turn.
        let asked = (0..500).map(|_| async {
            let answer = client.get(&url).send().await.unwrap();
            (answer.version(), answer.bytes().await.unwrap())
        });
        for (version, bytes) in futures::future::join_all(asked).await {
            assert_eq!((version, &bytes[..]), (Version::HTTP_2, &content.index.bytes[..]));
        }
        for (name, length) in [("x-big", 20_000), ("x-bigger", 200_000)] {
            let answer = client.get(&url).header(name, "x".repeat(length)).send().await;
            let is_refused = answer.as_ref().map_or(true, |answer| answer.status() == 431);
            assert!(is_refused, "{name}: {answer:?}");
        }
    });
    assert_eq!(front.get("/v2/").unwrap().status, 200);
}

#[test]
fn a_certificate_is_used_and_another_one_as_soon_as_it_is_there() {
    let content = Content::pack().unwrap();
    let data = content.data().unwrap();
    let (first, second) = (Certificate::new().unwrap(), Certificate::new().unwrap());
    let folder = tempfile::tempdir().unwrap();
    first.install(folder.path()).unwrap();
    let shown = data.shown().unwrap();
    let tls = format!(
        "listen:\n  tls: {{ certificate: {0}/certificate.pem, key: {0}/key.pem }}\n",
        folder.path().display()
    );
    assert!(shown.starts_with("listen:\n"), "{shown}");
    let file = folder.path().join("landbridge.yaml");
    fs::write(&file, shown.replacen("listen:\n", &tls, 1)).unwrap();
    let front = Front::configured(&file).unwrap();

    let url = format!("https://{}/v2/app/manifests/v1", front.address);
    let modern = client(|builder| builder).unwrap();
    assert_eq!(ask(&modern, &url).unwrap(), (Version::HTTP_2, 200, der(&first).unwrap()));
    let old = client(ClientBuilder::http1_only).unwrap();
    assert_eq!(ask(&old, &url).unwrap(), (Version::HTTP_11, 200, der(&first).unwrap()));

    let skopeo = Skopeo::new().unwrap();
    let pulled = skopeo.pull(&front.reference("app:v1"), Platforms::All).unwrap();
    assert_eq!(pulled.lacks(&content.amd), Vec::<String>::new());

    // A key that does not fit is not used; the certificate in use stays.
    fs::copy(second.key(), folder.path().join("key.pem")).unwrap();
    front.wait_for("the old one stays").unwrap();
    assert_eq!(ask(&modern, &url).unwrap().2, der(&first).unwrap());
    second.install(folder.path()).unwrap();
    let wanted = der(&second).unwrap();
    let (_, status, _) = until(|| ask(&modern, &url), |(_, _, used)| *used == wanted).unwrap();
    assert_eq!(status, 200);
}
