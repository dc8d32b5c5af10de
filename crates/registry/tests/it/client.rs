//! The registry client against the reference registry and against hostile ones.

mod hostile;
mod reference_registry;
mod token;

use std::time::Duration;

use landbridge_core::reference::RepositoryName;
use landbridge_registry::client::{ClientSettings, RegistryClient};
use landbridge_registry::{Credentials, Secret};
use url::Url;

/// Settings for the registry at `url`, patient enough for a busy machine.
fn settings(url: &str) -> ClientSettings {
    rustls::crypto::aws_lc_rs::default_provider().install_default().ok();
    ClientSettings {
        url: Url::parse(url).unwrap(),
        repository_prefix: String::new(),
        credentials: None,
        connect_timeout: Duration::from_secs(10),
        answer_timeout: Duration::from_secs(20),
        max_inflight: 8,
    }
}

fn client(url: &str) -> RegistryClient {
    RegistryClient::new(settings(url)).unwrap()
}

fn credentials(username: &str, password: &str) -> Credentials {
    Credentials { username: username.to_owned(), password: Secret::new(password) }
}

fn name(text: &str) -> RepositoryName {
    RepositoryName::parse(text).unwrap()
}
