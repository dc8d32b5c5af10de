//! Documents of a generation, holdings and pointers: what is read is what would be written, and
//! nothing unsigned is believed.
#![no_main]

use std::sync::LazyLock;

use ed25519_dalek::SigningKey;
use landbridge_core::generation::{Document, Parts, Repository, Root};
use landbridge_core::holding::Holding;
use landbridge_core::pointer::{Keys, PublicKey, VerifyError};
use libfuzzer_sys::fuzz_target;

/// A key with which nothing was ever signed.
static KEYS: LazyLock<Keys> = LazyLock::new(|| {
    let key = SigningKey::from_bytes(&[7; 32]).verifying_key();
    Keys::new(vec![PublicKey::from(key)], 1).expect("one of one")
});

fuzz_target!(|bytes: &[u8]| {
    if let Ok(root) = Root::decode(bytes) {
        assert_eq!(root.encode(), bytes);
        assert_eq!(Root::new(root.repositories.clone()), root);
    }
    if let Ok(parts) = Parts::decode(bytes) {
        assert_eq!(parts.encode(), bytes);
    }
    if let Ok(repository) = Repository::decode(bytes) {
        assert_eq!(repository.encode(), bytes);
        assert_eq!(repository.clone().sorted(), repository);
        for tag in &repository.tags {
            assert!(repository.manifest(&tag.digest).is_some(), "a tag leads somewhere");
        }
    }
    if let Ok(holding) = Holding::decode(bytes) {
        assert_eq!(Holding::decode(&holding.encode()).ok(), Some(holding));
    }
    match KEYS.verify(bytes) {
        Ok(pointer) => panic!("believed without a signature: {pointer:?}"),
        Err(VerifyError::Untrusted { good, wanted }) => assert_eq!((good, wanted), (0, 1)),
        Err(VerifyError::Malformed(_) | VerifyError::WrongType { .. }) => {}
    }
});
