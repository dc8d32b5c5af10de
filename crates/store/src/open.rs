//! Opening a bucket by its address.
//!
//! Credentials come from explicit options alone, or from the environment variables that each
//! cloud's own tools read. Without any, requests are not signed: the metadata address of a virtual
//! machine is never asked, since on any other machine that is a long wait for nothing.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey as S3, Checksum};
use object_store::azure::{AzureConfigKey as Az, MicrosoftAzureBuilder};
use object_store::gcp::{GcpCredential, GoogleCloudStorageBuilder, GoogleConfigKey as Gs};
use object_store::local::LocalFileSystem;
use object_store::memory::InMemory;
use object_store::{
    ClientConfigKey, ClientOptions, ObjectStore, RetryConfig, StaticCredentialProvider,
};
use url::Url;

use crate::error::{OpenError, Place, StoreError};
use crate::polite::{Gate, Polite};
use crate::write::Signed;

/// A store cannot be reached if this passes before it takes a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// A store hangs if it is silent for this long. There is no limit for a whole transfer.
const READ_TIMEOUT: Duration = Duration::from_secs(30);
/// Failed requests are repeated within this time.
const RETRY_TIMEOUT: Duration = Duration::from_secs(30);

/// A store, and where in it the bucket begins.
pub(crate) struct Opened {
    pub(crate) store: Arc<dyn ObjectStore>,
    /// The same store, for what need not survive a power loss.
    pub(crate) scratch: Arc<dyn ObjectStore>,
    pub(crate) prefix: object_store::path::Path,
    pub(crate) keeps_attributes: bool,
    pub(crate) signed: Option<Signed>,
}

/// An option of a cloud's store, as `object_store` names it, such as `aws_endpoint`.
pub(crate) type Options = [(String, String)];

/// The options that the environment holds.
pub(crate) fn environment() -> Vec<(String, String)> {
    std::env::vars_os()
        .filter_map(|(key, value)| Some((key.to_str()?.to_owned(), value.to_str()?.to_owned())))
        .filter(|(key, _)| ["AWS_", "GOOGLE_", "AZURE_"].iter().any(|p| key.starts_with(p)))
        .map(|(key, value)| (key.to_ascii_lowercase(), value))
        .collect()
}

pub(crate) fn open(url: &Url, options: &Options) -> Result<Opened, OpenError> {
    match url.scheme() {
        "file" => open_directory(url),
        "memory" => Ok(opened(Arc::new(InMemory::new()), object_store::path::Path::default())),
        "s3" => open_cloud(url, open_s3(url, options)),
        "gs" => open_cloud(url, open_gs(url, options).map(|store| (store, None))),
        "az" => open_cloud(url, open_az(url, options).map(|store| (store, None))),
        _ => Err(OpenError::Unknown(display(url))),
    }
}

/// The address without user, password, query and fragment: what messages may show.
pub(crate) fn display(url: &Url) -> String {
    let mut url = url.clone();
    // Both fail only for addresses that cannot have a user.
    let _ = (url.set_username(""), url.set_password(None));
    url.set_query(None);
    url.set_fragment(None);
    url.to_string()
}

fn open_directory(url: &Url) -> Result<Opened, OpenError> {
    let directory = url.to_file_path().map_err(|()| OpenError::Unknown(display(url)))?;
    make_directory(&directory).map_err(|error| {
        let place = Place { bucket: display(url), key: String::new() };
        StoreError::from_cause(place, error.into())
    })?;
    let store = LocalFileSystem::new_with_prefix(&directory)
        .map_err(|source| OpenError::Options { bucket: display(url), source: source.into() })?;
    Ok(Opened {
        scratch: Arc::new(store.clone()),
        store: Arc::new(store.with_fsync(true)),
        prefix: object_store::path::Path::default(),
        keeps_attributes: false,
        signed: None,
    })
}

/// Makes a directory and those above it, each of which survives a power loss once this returns.
pub(crate) fn make_directory(directory: &Path) -> std::io::Result<()> {
    if directory.is_dir() {
        return Ok(());
    }
    if let Some(parent) = directory.parent() {
        make_directory(parent)?;
        match std::fs::create_dir(directory) {
            Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => return Err(error),
            _ => std::fs::File::open(parent)?.sync_all()?,
        }
    }
    // What exists and is no directory is said by opening it as one.
    std::fs::read_dir(directory).map(drop)
}

fn open_cloud(
    url: &Url,
    store: object_store::Result<(Arc<dyn ObjectStore>, Option<Signed>)>,
) -> Result<Opened, OpenError> {
    let failed = |source| OpenError::Options { bucket: display(url), source };
    let prefix = object_store::path::Path::from_url_path(url.path())
        .map_err(|source| failed(source.into()))?;
    let (store, signed) = store.map_err(|source| failed(source.into()))?;
    Ok(Opened { signed, ..opened(store, prefix) })
}

fn opened(store: Arc<dyn ObjectStore>, prefix: object_store::path::Path) -> Opened {
    Opened { scratch: Arc::clone(&store), store, prefix, keeps_attributes: true, signed: None }
}

fn open_s3(
    url: &Url,
    options: &Options,
) -> object_store::Result<(Arc<dyn ObjectStore>, Option<Signed>)> {
    let gate = Arc::new(Gate::new());
    let mut builder = AmazonS3Builder::new()
        .with_http_connector(Polite(Arc::clone(&gate)))
        .with_client_options(client_options())
        .with_retry(retries())
        .with_checksum_algorithm(Checksum::SHA256);
    for (key, value) in options {
        if let Ok(key) = key.parse::<S3>() {
            builder = builder.with_config(key, value);
        }
    }
    let has = |key: &S3| builder.get_config_value(key).is_some();
    let signs = [
        S3::AccessKeyId,
        S3::WebIdentityTokenFile,
        S3::ContainerCredentialsRelativeUri,
        S3::ContainerCredentialsFullUri,
    ];
    let can_sign = signs.iter().any(has);
    if !can_sign {
        builder = builder.with_skip_signature(true);
    }
    let endpoint = builder.get_config_value(&S3::Endpoint).unwrap_or_default();
    if endpoint.starts_with("http://") {
        builder = builder.with_allow_http(true);
    }
    let builder = builder.with_bucket_name(url.host_str().unwrap_or_default());
    let store = Arc::new(builder.build()?);
    // Without a client nothing is streamed, and all goes through the store as everywhere else.
    let http = reqwest::Client::builder().connect_timeout(CONNECT_TIMEOUT).build();
    let signed = http.ok().filter(|_| can_sign);
    let signed = signed.map(|http| Signed::new(Arc::clone(&store), http, gate));
    Ok((store, signed))
}

fn open_gs(url: &Url, options: &Options) -> object_store::Result<Arc<dyn ObjectStore>> {
    let mut builder = GoogleCloudStorageBuilder::new()
        .with_http_connector(Polite(Arc::new(Gate::new())))
        .with_client_options(client_options())
        .with_retry(retries());
    for (key, value) in options {
        if let Ok(key) = key.parse::<Gs>() {
            builder = builder.with_config(key, value);
        }
    }
    let has = |key: &Gs| builder.get_config_value(key).is_some();
    let signs =
        [Gs::ServiceAccount, Gs::ServiceAccountKey, Gs::ApplicationCredentials, Gs::BearerToken];
    if !signs.iter().any(has) {
        // Reads are then anonymous. Writes would look for a token all the same, in the user's files
        // and at the metadata address: they get none, and are refused.
        let nobody = StaticCredentialProvider::new(GcpCredential { bearer: String::new() });
        builder = builder.with_skip_signature(true).with_credentials(Arc::new(nobody));
    }
    let endpoint = builder.get_config_value(&Gs::BaseUrl).unwrap_or_default();
    if endpoint.starts_with("http://") {
        builder = builder.with_config(Gs::Client(ClientConfigKey::AllowHttp), "true");
    }
    Ok(Arc::new(builder.with_bucket_name(url.host_str().unwrap_or_default()).build()?))
}

fn open_az(url: &Url, options: &Options) -> object_store::Result<Arc<dyn ObjectStore>> {
    let mut builder = MicrosoftAzureBuilder::new()
        .with_http_connector(Polite(Arc::new(Gate::new())))
        .with_client_options(client_options())
        .with_retry(retries());
    for (key, value) in options {
        if let Ok(key) = key.parse::<Az>() {
            builder = builder.with_config(key, value);
        }
    }
    let has = |key: &Az| builder.get_config_value(key).is_some();
    let signs = [Az::AccessKey, Az::SasKey, Az::Token, Az::ClientSecret, Az::FederatedTokenFile];
    if !signs.iter().any(has) {
        builder = builder.with_skip_signature(true);
    }
    let endpoint = builder.get_config_value(&Az::Endpoint).unwrap_or_default();
    if endpoint.starts_with("http://") {
        builder = builder.with_allow_http(true);
    }
    Ok(Arc::new(builder.with_container_name(url.host_str().unwrap_or_default()).build()?))
}

fn client_options() -> ClientOptions {
    crate::face::install_tls();
    ClientOptions::new()
        .with_connect_timeout(CONNECT_TIMEOUT)
        .with_read_timeout(READ_TIMEOUT)
        .with_timeout_disabled()
}

fn retries() -> RetryConfig {
    RetryConfig { max_retries: 4, retry_timeout: RETRY_TIMEOUT, ..RetryConfig::default() }
}
