//! A layer that is far larger than the memory that it may cost.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use landbridge_core::Digest;
use landbridge_core::digest::{Algorithm, Hasher};
use landbridge_testkit::{S3, Server};

use crate::client::{BYTES, Client};
use crate::random::Random;
use crate::running::{LIMIT, landbridge};

const MIB: u64 = 1 << 20;
/// How large the layer is in a directory.
const IN_A_DIRECTORY: u64 = 2 << 30;
/// Over S3, whose server, in this process and not optimised, would take minutes for 2 GiB; still
/// many times the memory. The variable gives another number of MiB.
const IN_S3: u64 = 256 * MIB;
const S3_VARIABLE: &str = "LANDBRIDGE_S3_LAYER_MIB";
const MOST_MEMORY: u64 = 64 * MIB;
/// No piece of the connection is silent for longer.
const SILENCE: Duration = Duration::from_mins(1);

#[test]
fn a_layer_of_2_gib_passes_through_64_mib_of_memory() {
    let directory = tempfile::tempdir().unwrap();
    let mut command = landbridge();
    command.args(["origin", "--listen", "127.0.0.1:0", "--store"]).arg(directory.path());
    let origin = Server::spawn(&mut command).unwrap();
    let address = origin.wait_for("listening on http://", LIMIT).unwrap();
    push_and_pull(&address, &origin, "a directory", IN_A_DIRECTORY);
}

#[test]
fn a_layer_passes_through_64_mib_of_memory_into_s3() {
    let directory = tempfile::tempdir().unwrap();
    let server = S3::start(directory.path(), &["bucket"]).unwrap();
    let mut command = landbridge();
    command.args(["origin", "--listen", "127.0.0.1:0", "--store", "s3://bucket/registry"]);
    let origin = Server::spawn(command.envs(server.environment())).unwrap();
    let address = origin.wait_for("listening on http://", LIMIT).unwrap();
    let wanted = std::env::var(S3_VARIABLE).ok().and_then(|text| text.parse::<u64>().ok());
    push_and_pull(&address, &origin, "S3", wanted.map_or(IN_S3, |mebibytes| mebibytes * MIB));
}

/// A layer is sent as clients send one whose size they do not know, and fetched again.
fn push_and_pull(address: &str, origin: &Server, over: &str, size: u64) {
    let at_rest = peak(origin).unwrap();
    let began = Instant::now();
    let mut client = Client::new(address);
    let begun = client.ask("POST", "/v2/large/blobs/uploads/", &[], b"").unwrap();
    let upload = begun.header("location").unwrap().to_owned();
    let digest = send(address, &upload, size).unwrap();
    let end = format!("{upload}?digest={digest}");
    let ended = client.ask("PUT", &end, &[BYTES], b"").unwrap();
    assert_eq!(ended.status, 201, "{ended}");
    let (pushed, after_push) = (began.elapsed(), peak(origin).unwrap());

    let began = Instant::now();
    let found = fetch(address, &format!("/v2/large/blobs/{digest}")).unwrap();
    assert_eq!(found, digest);
    let (pulled, after_pull) = (began.elapsed(), peak(origin).unwrap());
    tell(&format!(
        "{} MiB over {over}: pushed in {pushed:?}, pulled in {pulled:?}; peak memory in MiB: {} at rest, {} after the push, {} after the pull",
        size / MIB,
        at_rest / MIB,
        after_push / MIB,
        after_pull / MIB
    ));
    assert!(after_pull <= MOST_MEMORY, "{after_pull} bytes of memory over {over}");
}

/// The most memory that a process has ever had, in bytes, without the pages of its own program,
/// which the kernel may drop: of an unoptimised one there are twice as many as of a release.
fn peak(process: &Server) -> Result<u64> {
    let status = fs::read_to_string(format!("/proc/{}/status", process.id()))?;
    let bytes = |name: &str| {
        let line =
            status.lines().find_map(|line| line.strip_prefix(name)).context("no such line")?;
        Ok::<_, anyhow::Error>(line.trim().trim_end_matches(" kB").parse::<u64>()? * 1024)
    };
    Ok(bytes("VmHWM:")?.saturating_sub(bytes("RssFile:")?))
}

/// Sends a layer in one `PATCH` of unknown length, and returns its digest.
fn send(address: &str, upload: &str, size: u64) -> Result<Digest> {
    let mut stream = connect(address)?;
    write!(
        stream,
        "PATCH {upload} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\
         Content-Type: application/octet-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
    )?;
    let mut hasher = Hasher::new(Algorithm::Sha256);
    let mut piece = Random::new(1).bytes(usize::try_from(MIB)?);
    for number in 0..size / MIB {
        piece[..8].copy_from_slice(&number.to_le_bytes());
        hasher.update(&piece);
        write!(stream, "{MIB:x}\r\n")?;
        stream.write_all(&piece)?;
        stream.write_all(b"\r\n")?;
    }
    stream.write_all(b"0\r\n\r\n")?;
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line)?;
    ensure!(line.starts_with("HTTP/1.1 202"), "{line}");
    Ok(hasher.finish())
}

/// Reads a blob without keeping it, and returns its digest.
fn fetch(address: &str, target: &str) -> Result<Digest> {
    let mut stream = connect(address)?;
    write!(stream, "GET {target} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")?;
    let mut stream = BufReader::with_capacity(1 << 20, stream);
    let mut line = String::new();
    stream.read_line(&mut line)?;
    ensure!(line.starts_with("HTTP/1.1 200"), "{line}");
    while line != "\r\n" {
        line.clear();
        ensure!(stream.read_line(&mut line)? > 0, "closed within the head");
    }
    let mut hasher = Hasher::new(Algorithm::Sha256);
    loop {
        let piece = stream.fill_buf()?;
        if piece.is_empty() {
            return Ok(hasher.finish());
        }
        hasher.update(piece);
        let length = piece.len();
        stream.consume(length);
    }
}

fn connect(address: &str) -> Result<TcpStream> {
    let stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(SILENCE))?;
    stream.set_write_timeout(Some(SILENCE))?;
    Ok(stream)
}

#[expect(clippy::print_stdout, reason = "seen if the test fails")]
fn tell(text: &str) {
    println!("{text}");
}
