//! The machine's own limit for `bench/replicate.sh`: every layer of some images read once from a
//! registry, hashed once, and written once for each copy.
//!
//! Nothing else is done: no questions, no documents, no confirmation. Files are synced, as those of a
//! bucket are, and get their names at the end. Threads and blocking calls, several layers at a time.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Instant;

use anyhow::{Context as _, ensure};
use landbridge_core::Digest;
use landbridge_core::digest::Hasher;

const USAGE: &str = "usage: bench_copy HOST:PORT DIRECTORY COPIES THREADS REPOSITORY...";
/// Read and written at once.
const PIECE: usize = 256 << 10;

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [host, directory, copies, threads, repositories @ ..] = arguments.as_slice() else {
        anyhow::bail!(USAGE)
    };
    let copies: usize = copies.parse().context(USAGE)?;
    let threads: usize = threads.parse().context(USAGE)?;
    let directories: Vec<PathBuf> =
        (0..copies).map(|copy| Path::new(directory).join(format!("copy{copy}"))).collect();
    for directory in &directories {
        fs::create_dir_all(directory)?;
    }
    let began = Instant::now();
    let mut layers = Vec::new();
    for repository in repositories {
        let mut manifest = Vec::new();
        get(host, &format!("/v2/{repository}/manifests/latest"))?.read_to_end(&mut manifest)?;
        let manifest: serde_json::Value = serde_json::from_slice(&manifest)?;
        for layer in manifest["layers"].as_array().context("a manifest without layers")? {
            let digest: Digest = layer["digest"].as_str().context("no digest")?.parse()?;
            layers.push((repository, digest));
        }
    }
    let open = Mutex::new(layers.into_iter());
    std::thread::scope(|scope| {
        let work = || -> anyhow::Result<()> {
            loop {
                let next = open.lock().map_err(|_| anyhow::anyhow!("a thread failed"))?.next();
                let Some((repository, digest)) = next else { return Ok(()) };
                copy(host, repository, &digest, &directories)?;
            }
        };
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        threads.into_iter().try_for_each(|thread| {
            thread.join().map_err(|_| anyhow::anyhow!("a thread panicked"))?
        })
    })?;
    #[expect(clippy::print_stdout, reason = "the result")]
    {
        println!("{:.4}", began.elapsed().as_secs_f64());
    }
    Ok(())
}

fn copy(
    host: &str,
    repository: &str,
    digest: &Digest,
    directories: &[PathBuf],
) -> anyhow::Result<()> {
    let name = digest.hex().to_string();
    let mut files = Vec::new();
    for directory in directories {
        let draft = directory.join(format!("{name}#1"));
        files.push((File::create(&draft)?, draft, directory.join(&name)));
    }
    let mut body = get(host, &format!("/v2/{repository}/blobs/{digest}"))?;
    let mut hasher = Hasher::new(digest.algorithm());
    let mut piece = vec![0; PIECE];
    loop {
        let read = body.read(&mut piece)?;
        if read == 0 {
            break;
        }
        let piece = piece.get(..read).unwrap_or_default();
        hasher.update(piece);
        for (file, ..) in &mut files {
            file.write_all(piece)?;
        }
    }
    ensure!(hasher.finish() == *digest, "{digest} has other bytes");
    for (file, draft, name) in files {
        file.sync_all()?;
        fs::rename(draft, &name)?;
        File::open(name.parent().context("no directory")?)?.sync_all()?;
    }
    Ok(())
}

/// The content of an answer that is a 200.
fn get(host: &str, target: &str) -> anyhow::Result<impl std::io::Read + use<>> {
    let mut connection = TcpStream::connect(host)?;
    let accept = "application/vnd.oci.image.manifest.v1+json, */*";
    write!(
        connection,
        "GET {target} HTTP/1.1\r\nHost: {host}\r\nAccept: {accept}\r\nConnection: close\r\n\r\n"
    )?;
    let mut answer = BufReader::with_capacity(PIECE, connection);
    let mut line = String::new();
    answer.read_line(&mut line)?;
    ensure!(line.contains(" 200 "), "{target}: {line}");
    let mut size = None;
    while !line.trim_end().is_empty() {
        line.clear();
        answer.read_line(&mut line)?;
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            size = Some(value.trim().parse()?);
        }
    }
    Ok(answer.take(size.context("an answer without its length")?))
}
