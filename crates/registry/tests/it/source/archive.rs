//! OCI archives: plain, compressed, cut.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;
use landbridge_registry::{Source, SourceError, SourceLimits};
use landbridge_testkit::Layout;

use super::layout::{bytes, digest, layout, open};

fn archive(layout: &Layout) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    builder.append_dir_all(".", layout.dir()).unwrap();
    builder.into_inner().unwrap()
}

fn gzip(content: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

fn write(dir: &Path, content: &[u8]) -> (PathBuf, String) {
    let file = dir.join("image.tar");
    fs::write(&file, content).unwrap();
    let reference = format!("oci-archive:{}", file.display());
    (file, reference)
}

#[tokio::test]
async fn an_archive_reads_as_its_layout_compressed_or_not() {
    let (dir, layout, image) = layout();
    let plain = archive(&layout);
    let zstd = zstd::encode_all(plain.as_slice(), 1).unwrap();
    for content in [&plain, &gzip(&plain), &zstd] {
        let (_, reference) = write(dir.path(), content);
        let source = open(&format!("{reference}:v1")).await.unwrap();
        let (raw, manifest) = source.manifest(&source.images()[0].descriptor).await.unwrap();
        assert_eq!(raw, image.manifest.bytes);
        let layer = &manifest.blobs[1].digest;
        assert_eq!(bytes(&source, layer).await.unwrap(), image.layers[0].bytes);
    }
}

#[tokio::test]
async fn every_cut_is_noticed() {
    let (dir, layout, image) = layout();
    let whole = archive(&layout);
    for size in (0..whole.len() - 1024).step_by(3333) {
        let (file, reference) = write(dir.path(), &whole[..size]);
        let failed = match open(&reference).await {
            Err(error) => error,
            Ok(source) => {
                let mut missing = Vec::new();
                for blob in image.blobs() {
                    missing.extend(bytes(&source, &digest(&blob.digest)).await.err());
                }
                missing.pop().expect("a cut archive lacks something")
            }
        };
        assert!(failed.to_string().contains(&*file.to_string_lossy()), "{failed}");
    }
}

#[tokio::test]
async fn compressed_data_that_is_cut_or_too_large_is_refused() {
    let (dir, layout, _) = layout();
    let packed = gzip(&archive(&layout));
    let (_, reference) = write(dir.path(), &packed[..packed.len() / 2]);
    assert!(matches!(open(&reference).await, Err(SourceError::Archive { .. })));

    let (_, reference) = write(dir.path(), &gzip(&vec![0; 10 << 20]));
    let limits = SourceLimits { unpacked_bytes: 1 << 20, ..SourceLimits::default() };
    let error = Source::open(&reference.parse().unwrap(), limits).await.unwrap_err();
    assert!(error.to_string().contains("more than 1048576 bytes (`unpacked_bytes`)"), "{error}");

    let (_, reference) = write(dir.path(), b"BZh91AY");
    let error = open(&reference).await.unwrap_err();
    assert!(error.to_string().contains("run `bunzip2` first"), "{error}");
}
