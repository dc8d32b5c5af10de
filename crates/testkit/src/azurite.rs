//! azurite, the emulator of Azure's Blob Storage: a process of its own, on loopback, in memory.
//!
//! Why: Azure's interface differs from S3's in what matters here: conditions, blocks, and the order of a listing. It is
//! no part of what the tests install; `scripts/stores azurite` does, and sets the variable that names the program.

use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use landbridge_store::{Bucket, BucketLayout};

use crate::http;
use crate::process::Server;
use crate::stores::{self, StoreAddress, StoreKind};

/// The variable that names the program.
const PROGRAM: &str = "LANDBRIDGE_AZURITE";
const START: Duration = Duration::from_secs(30);

/// The emulator's only account. It and its key are constants of the emulator's documentation, the
/// same on every machine, and no secret.
/// <https://learn.microsoft.com/azure/storage/common/storage-connect-azurite#well-known-storage-account-and-key>
const ACCOUNT: &str = "devstoreaccount1";
const KEY: &str =
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";
const VERSION: &str = "2021-08-06";

/// The emulator, until this is dropped.
#[derive(Debug)]
pub struct Azurite {
    address: StoreAddress,
    _server: Server,
}

impl Azurite {
    /// Starts it, and waits until it says where it listens.
    ///
    /// It is an error if no variable names the program, or if it does not start.
    pub fn start() -> Result<Self> {
        let program = stores::program(PROGRAM, "azurite")?;
        let server = Server::spawn(
            Command::new(program)
                .args(["--silent", "--disableTelemetry", "--skipApiVersionCheck"])
                .args(["--inMemoryPersistence", "--blobHost", "127.0.0.1", "--blobPort", "0"]),
        )?;
        let address = server.wait_for("listens on http://", START)?;
        Ok(Self { address: StoreAddress::new(StoreKind::Azurite, address.trim()), _server: server })
    }

    /// Where it listens.
    pub fn address(&self) -> &StoreAddress {
        &self.address
    }
}

/// A bucket in a new container.
pub(crate) fn bucket(
    address: &str,
    name: &str,
    layout: BucketLayout,
    prefix: &str,
) -> Result<Bucket> {
    create_container(address, name)?;
    let endpoint = format!("http://{address}/{ACCOUNT}");
    let options = [
        ("azure_endpoint", &*endpoint),
        ("azure_storage_account_name", ACCOUNT),
        ("azure_storage_account_key", KEY),
    ];
    stores::open(&format!("az://{name}/{prefix}"), layout, &options)
}

/// One signed request without a body.
/// <https://learn.microsoft.com/rest/api/storageservices/authorize-with-shared-key>
fn create_container(address: &str, name: &str) -> Result<()> {
    let date = Timestamp::now().strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
    // The emulator has the account in its path, and the resource has it once more.
    let text = format!(
        "PUT{lines}x-ms-date:{date}\nx-ms-version:{VERSION}\n/{ACCOUNT}/{ACCOUNT}/{name}\nrestype:container",
        lines = "\n".repeat(12)
    );
    let secret = STANDARD.decode(KEY).context("the emulator's key")?;
    let secret = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, &secret);
    let signature = STANDARD.encode(aws_lc_rs::hmac::sign(&secret, text.as_bytes()));
    let authorization = format!("SharedKey {ACCOUNT}:{signature}");
    let headers = [
        ("content-length", "0"),
        ("x-ms-date", &*date),
        ("x-ms-version", VERSION),
        ("authorization", &*authorization),
    ];
    let target = format!("/{ACCOUNT}/{name}?restype=container");
    let answer = http::ask(address, "PUT", &target, &headers)?;
    ensure!(answer.status == 201, "container `{name}`: {answer}");
    Ok(())
}
