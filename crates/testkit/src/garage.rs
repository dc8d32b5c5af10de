//! garage, an S3 server that others wrote: a process of its own, on loopback, in a temporary directory.
//!
//! Why: it is what people run who have no cloud, and it overwrites what should only be created. It is no part of what
//! the tests install; `scripts/stores garage` builds it, and sets the variable that names the program.

use std::fs;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use landbridge_store::{Bucket, BucketLayout};
use serde_json::json;
use tempfile::TempDir;

use crate::http::Wire;
use crate::process::Server;
use crate::stores::{self, StoreAddress, StoreKind};

/// The variable that names the program.
const PROGRAM: &str = "LANDBRIDGE_GARAGE";
const START: Duration = Duration::from_secs(30);

/// The first port that is used on an address of its own, below those that the system gives out, and how many a server
/// takes: for S3, for other nodes and for administration.
const FIRST_PORT: u16 = 13_900;
const PORTS: u16 = 3;

/// Constants, since only this machine can reach the server while a test runs.
const KEY: &str = "GK0123456789abcdef01234567";
const SECRET: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";
const REGION: &str = "garage";
const ADMIN_TOKEN: &str = "an-admin-token-of-the-test-kit";

/// A single node, until this is dropped.
#[derive(Debug)]
pub struct Garage {
    address: StoreAddress,
    _server: Server,
    _directory: TempDir,
}

impl Garage {
    /// Starts it, and waits until it takes connections.
    ///
    /// It is an error if no variable names the program, or if it does not start.
    pub fn start() -> Result<Self> {
        let program = stores::program(PROGRAM, "garage")?;
        let directory = tempfile::tempdir()?;
        let place = Place::own();
        let configured = directory.path().join("garage.toml");
        fs::write(&configured, place.configuration(directory.path()))?;
        let server = Server::spawn(
            Command::new(program)
                .arg("--config")
                .arg(configured)
                .args(["server", "--single-node", "--default-access-key"])
                .env("GARAGE_DEFAULT_ACCESS_KEY", KEY)
                .env("GARAGE_DEFAULT_SECRET_KEY", SECRET)
                .env("RUST_LOG", "garage=info"),
        )?;
        for (name, address) in [("S3 API", place.s3()), ("Admin API", place.admin())] {
            server.wait_for(&format!("{name} server listening on"), START)?;
            // It says so just before it listens.
            connect(&address).with_context(|| server.log())?;
        }
        let address = StoreAddress::new(StoreKind::Garage, &place.s3());
        Ok(Self { address, _server: server, _directory: directory })
    }

    /// Where it listens.
    pub fn address(&self) -> &StoreAddress {
        &self.address
    }
}

/// Where a server listens: an address of loopback that belongs to this process, since garage cannot say which port the
/// kernel gave it, and test binaries run at the same time.
#[derive(Debug, Clone, Copy)]
struct Place {
    address: Ipv4Addr,
    port: u16,
}

impl Place {
    fn own() -> Self {
        static STARTED: AtomicU16 = AtomicU16::new(0);
        let [_, high, middle, low] = std::process::id().to_be_bytes();
        let address = Ipv4Addr::new(127, high.wrapping_add(1), middle, low);
        Self { address, port: FIRST_PORT + PORTS * STARTED.fetch_add(1, Ordering::Relaxed) }
    }

    fn s3(self) -> String {
        format!("{}:{}", self.address, self.port)
    }

    fn rpc(self) -> String {
        format!("{}:{}", self.address, self.port + 1)
    }

    fn admin(self) -> String {
        format!("{}:{}", self.address, self.port + 2)
    }

    fn configuration(self, directory: &Path) -> String {
        let path = |name: &str| json!(directory.join(name).to_string_lossy());
        // The strings of JSON are TOML's too.
        let (meta, data) = (path("meta"), path("data"));
        let (s3, rpc, admin) = (self.s3(), self.rpc(), self.admin());
        format!(
            r#"metadata_dir = {meta}
data_dir = {data}
db_engine = "lmdb"
replication_factor = 1
rpc_bind_addr = "{rpc}"
rpc_public_addr = "{rpc}"
rpc_secret = "{SECRET}"
[s3_api]
s3_region = "{REGION}"
api_bind_addr = "{s3}"
[admin]
api_bind_addr = "{admin}"
admin_token = "{ADMIN_TOKEN}"
"#
        )
    }
}

fn connect(address: &str) -> Result<Wire> {
    let end = Instant::now() + START;
    loop {
        match Wire::connect(address) {
            Err(_) if Instant::now() < end => std::thread::yield_now(),
            connected => return connected,
        }
    }
}

/// A new bucket, whose name the tests' key knows.
pub(crate) fn bucket(
    address: &str,
    name: &str,
    layout: BucketLayout,
    prefix: &str,
) -> Result<Bucket> {
    let s3: SocketAddrV4 = address.parse()?;
    create_bucket(&Place { address: *s3.ip(), port: s3.port() }.admin(), name)?;
    let endpoint = format!("http://{address}");
    let options = [
        ("aws_endpoint", &*endpoint),
        ("aws_region", REGION),
        ("aws_access_key_id", KEY),
        ("aws_secret_access_key", SECRET),
    ];
    stores::open(&format!("s3://{name}/{prefix}"), layout, &options)
}

fn create_bucket(admin: &str, name: &str) -> Result<()> {
    let allow = json!({ "read": true, "write": true, "owner": true });
    let body = json!({ "localAlias": { "accessKeyId": KEY, "alias": name, "allow": allow } });
    let body = body.to_string();
    let mut wire = Wire::connect(admin)?;
    wire.send(
        format!(
            "POST /v2/CreateBucket HTTP/1.1\r\nhost: {admin}\r\nconnection: close\r\n\
             authorization: Bearer {ADMIN_TOKEN}\r\ncontent-type: application/json\r\n\
             content-length: {}\r\n\r\n{body}",
            body.len()
        )
        .as_bytes(),
    )?;
    let Some(made) = wire.answer("POST")? else { bail!("bucket `{name}`: no answer") };
    ensure!(made.status == 200, "bucket `{name}`: {made}");
    Ok(())
}
