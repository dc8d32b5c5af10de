//! The grammar of pushes: what is understood is exactly what was written, and nothing more.
//!
//! The input is a method, a space, a path, after a `?` a query, and after a line break the
//! `Content-Range` of a chunk.
#![no_main]

use landbridge_core::request::ManifestReference;
use landbridge_core::request::push::{
    ChunkRange, MAX_TAGS, Operation, Refusal, UploadStart, UploadStep, is_upload_id, parse,
};
use landbridge_core::{RepositoryName, Tag};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let (line, range) = text.split_once('\n').unwrap_or((text, ""));
    if let Ok(range) = ChunkRange::parse(range) {
        assert!(range.size_bytes() > 0 && range.first().checked_add(range.size_bytes()).is_some());
    }
    let Some((method, target)) = line.split_once(' ') else { return };
    let (path, query) = target.split_once('?').map_or((target, None), |(p, q)| (p, Some(q)));
    let operation = match parse(method, path, query) {
        Ok(operation) => operation,
        Err(refusal) => {
            let status = refusal.to_error().code.status();
            assert!((400..500).contains(&status), "{status} is not the client's fault");
            if let Refusal::Method { allow } = refusal {
                assert!(!allow.split(", ").any(|allowed| allowed == method));
            }
            return;
        }
    };
    if let Operation::PutManifest { tags, .. } = &operation {
        assert!(tags.len() <= MAX_TAGS && tags.iter().all(|tag| Tag::parse(tag).is_ok()));
    }
    let written = match operation {
        Operation::Read(_) => {
            assert!(method == "GET" || method == "HEAD");
            return;
        }
        Operation::StartUpload { repository, start } => {
            check_name(repository);
            if let UploadStart::Mount { from: Some(from), .. } = &start {
                check_name(from);
            }
            format!("/v2/{repository}/blobs/uploads/")
        }
        Operation::Upload { repository, id, step } => {
            check_name(repository);
            assert!(is_upload_id(id));
            let methods: &[&str] = match step {
                UploadStep::Status => &["GET", "HEAD"],
                UploadStep::Append => &["PATCH"],
                UploadStep::Finish(_) => &["PUT"],
                UploadStep::Cancel => &["DELETE"],
            };
            assert!(methods.contains(&method));
            format!("/v2/{repository}/blobs/uploads/{id}")
        }
        Operation::PutManifest { repository, reference, tags: _ }
        | Operation::DeleteManifest { repository, reference } => {
            check_name(repository);
            match reference {
                ManifestReference::Tag(tag) => format!("/v2/{repository}/manifests/{tag}"),
                ManifestReference::Digest(digest) => format!("/v2/{repository}/manifests/{digest}"),
            }
        }
        Operation::DeleteBlob { repository, digest } => {
            check_name(repository);
            format!("/v2/{repository}/blobs/{digest}")
        }
    };
    // The slash at the end of `uploads/` may be left out.
    assert!(written == path || written.strip_suffix('/') == Some(path));
});

fn check_name(name: &str) {
    assert!(RepositoryName::parse(name).is_ok());
    assert!(!name.contains("..") && !name.contains("//"));
}
