//! azurite, the emulator of Azure's Blob Storage: a process of its own, on loopback, in memory.
//!
//! It is no part of what the tests install, so whatever needs it is ignored unless it is asked for:
//! `scripts/stores azurite`. A whole suite runs over it in a second process of the same binary,
//! which learns the emulator's address from [`ADDRESS`]; so one emulator serves a suite, and it
//! ends with the test that started it.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use landbridge_store::{Bucket, BucketLayout};
use url::Url;

/// The variable that names the program.
const PROGRAM: &str = "LANDBRIDGE_AZURITE";
/// The variable by which a suite's process learns where the emulator listens.
const ADDRESS: &str = "LANDBRIDGE_AZURITE_ADDRESS";

/// The emulator's only account. It and its key are constants of the emulator's documentation, the
/// same on every machine, and no secret.
/// <https://learn.microsoft.com/azure/storage/common/storage-connect-azurite#well-known-storage-account-and-key>
const ACCOUNT: &str = "devstoreaccount1";
const KEY: &str =
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";
const VERSION: &str = "2021-08-06";

/// The emulator, until this is dropped.
pub(crate) struct Azurite {
    process: Child,
    /// Kept open: a word on a closed pipe would end the process.
    output: BufReader<ChildStdout>,
    pub(crate) endpoint: Endpoint,
}

/// Where an emulator listens: an address and a port.
#[derive(Debug, Clone)]
pub(crate) struct Endpoint(String);

impl Azurite {
    /// Starts it, and waits until it says where it listens.
    pub(crate) fn start() -> Self {
        let program = std::env::var_os(PROGRAM)
            .unwrap_or_else(|| panic!("{PROGRAM} is not set: run `scripts/stores azurite`"));
        let mut process = Command::new(program)
            .args(["--silent", "--disableTelemetry", "--skipApiVersionCheck"])
            .args(["--inMemoryPersistence", "--blobHost", "127.0.0.1", "--blobPort", "0"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let output = BufReader::new(process.stdout.take().unwrap());
        // Before the port is looked for, so that the process ends whatever is found.
        let mut azurite = Self { process, output, endpoint: Endpoint(String::new()) };
        let endpoint = (&mut azurite.output)
            .lines()
            .map(Result::unwrap)
            .find_map(|line| Some(line.split_once("listens on http://")?.1.to_owned()));
        azurite.endpoint = Endpoint(endpoint.unwrap());
        azurite
    }

    /// Runs tests of this binary once more, over this emulator.
    pub(crate) fn run_again(&self, arguments: &[&str]) {
        let status = Command::new(std::env::current_exe().unwrap())
            .args(arguments)
            .env(ADDRESS, &self.endpoint.0)
            .status()
            .unwrap();
        assert!(status.success(), "over azurite: {status}");
        let (_, answer) = self.endpoint.send("GET", "/", ("comp", "list"));
        assert!(answer.contains("<Container>"), "no test asked for a container: {answer}");
    }
}

impl Drop for Azurite {
    fn drop(&mut self) {
        // It fails only for a process that has ended.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Endpoint {
    /// The emulator over which this process is to run its tests, if it is.
    pub(crate) fn offered() -> Option<Self> {
        std::env::var(ADDRESS).ok().map(Self)
    }

    /// A bucket in a new container.
    pub(crate) fn bucket(&self, layout: BucketLayout, prefix: &str) -> Bucket {
        static MADE: AtomicU64 = AtomicU64::new(0);
        let made = MADE.fetch_add(1, Ordering::Relaxed);
        let container = format!("bucket-{}-{made}", std::process::id());
        let path = format!("/{container}");
        let (status, answer) = self.send("PUT", &path, ("restype", "container"));
        assert_eq!(status, 201, "{answer}");
        let endpoint = format!("http://{}/{ACCOUNT}", self.0);
        let options = [
            ("azure_endpoint", &*endpoint),
            ("azure_storage_account_name", ACCOUNT),
            ("azure_storage_account_key", KEY),
        ];
        let options = options.map(|(key, value)| (key.to_owned(), value.to_owned()));
        let url = Url::parse(&format!("az://{container}/{prefix}")).unwrap();
        Bucket::open_with(&url, layout, &options).unwrap()
    }

    /// One signed request without a body: its status and the whole answer.
    /// <https://learn.microsoft.com/rest/api/storageservices/authorize-with-shared-key>
    fn send(&self, method: &str, path: &str, (key, value): (&str, &str)) -> (u16, String) {
        let date = Timestamp::now().strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
        let headers = format!("x-ms-date:{date}\nx-ms-version:{VERSION}\n");
        // The emulator has the account in its path, and the resource has it once more.
        let text = format!(
            "{method}{lines}{headers}/{ACCOUNT}/{ACCOUNT}{path}\n{key}:{value}",
            lines = "\n".repeat(12)
        );
        let secret = STANDARD.decode(KEY).unwrap();
        let secret = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, &secret);
        let signature = STANDARD.encode(aws_lc_rs::hmac::sign(&secret, text.as_bytes()));

        let request = format!(
            "{method} /{ACCOUNT}{path}?{key}={value} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n\
             content-length: 0\r\nx-ms-date: {date}\r\nx-ms-version: {VERSION}\r\n\
             authorization: SharedKey {ACCOUNT}:{signature}\r\n\r\n",
            self.0,
        );
        let mut stream = TcpStream::connect(&self.0).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok());
        (status.unwrap_or_default(), answer)
    }
}
