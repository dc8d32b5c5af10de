//! Manifests: whatever the bytes, what is read out of them is consistent.
//!
//! The input is the manifest, and before a line feed the type that came with it, if the first line
//! is one.
#![no_main]

use landbridge_core::manifest::{Kind, Manifest};
use landbridge_core::media_type::{MANIFESTS, is_media_type};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let (declared, bytes) = split(bytes);
    let Ok(manifest) = Manifest::parse(bytes, declared) else { return };

    assert!(MANIFESTS.contains(&manifest.media_type.as_str()));
    assert!(declared.is_none_or(|declared| declared == manifest.media_type));
    match manifest.kind {
        Kind::Image | Kind::Schema1 => assert!(manifest.children.is_empty()),
        Kind::Index => assert!(manifest.blobs.is_empty()),
    }
    // Nobody is made to copy what registries do not hand out.
    let handed_out = manifest.blobs.iter().filter(|blob| !blob.is_foreign()).count();
    assert_eq!(manifest.references().count(), handed_out + manifest.children.len());
    // Every descriptor takes more than its digest in the input: nothing is multiplied.
    assert!((manifest.blobs.len() + manifest.children.len()) * 71 <= bytes.len());
    // The type that was found is the type that the same bytes have when they are read back.
    let again = Manifest::parse(bytes, Some(&manifest.media_type));
    assert_eq!(again.ok(), Some(manifest));
});

fn split(bytes: &[u8]) -> (Option<&str>, &[u8]) {
    let line_end = bytes.iter().position(|&byte| byte == b'\n');
    line_end
        .and_then(|at| Some((str::from_utf8(&bytes[..at]).ok()?, &bytes[at + 1..])))
        .filter(|(line, _)| is_media_type(line))
        .map_or((None, bytes), |(line, rest)| (Some(line), rest))
}
