//! Blobs from other repositories.

use landbridge_core::Digest;

use super::assert_created;
use crate::content::bytes;
use crate::served::{Served, Store, everywhere, expect};

#[test]
fn a_blob_is_mounted_from_a_named_repository_or_from_any() {
    everywhere(|served| {
        let blob = bytes(9, 700);
        let digest = served.push_blob("from/here", &blob);
        let mount = |to: &str, from: &str| {
            let target = format!("/v2/{to}/blobs/uploads/?mount={digest}{from}");
            served.ask("POST", &target, &[], b"")
        };
        assert_created(served, &mount("named", "&from=from/here"), &blob, &digest);
        assert_created(served, &mount("escaped", "&from=from%2Fhere"), &blob, &digest);
        assert_created(served, &mount("any", ""), &blob, &digest);
        assert_created(served, &mount("any", ""), &blob, &digest);
        expect(&mount("bad", "&from=../x"), 400, "NAME_INVALID");
    });
}

#[test]
fn what_cannot_be_mounted_becomes_an_upload() {
    everywhere(|served| {
        let blob = bytes(10, 700);
        let digest = Digest::sha256_of(&blob);
        served.push_blob("elsewhere", &blob);
        for from in ["&from=nobody", "&from=to"] {
            let target = format!("/v2/to/blobs/uploads/?mount={digest}{from}");
            let answer = served.ask("POST", &target, &[], b"");
            assert_eq!(answer.status, 202, "{answer}");
            assert_eq!(served.head(&format!("/v2/to/blobs/{digest}")).status, 404);
        }
        let unknown = Digest::sha256_of(b"nobody has this");
        let target = format!("/v2/to/blobs/uploads/?mount={unknown}");
        let answer = served.ask("POST", &target, &[], b"");
        let target = format!("{}?digest={digest}", answer.header("location").unwrap());
        assert_created(served, &served.ask("PUT", &target, &[], &blob), &blob, &digest);
    });
}

#[test]
fn the_search_for_a_blob_ends_at_its_limit() {
    let served = Served::start_with(Store::Memory, |settings| settings.pushes.mount_search = 2);
    for name in ["a", "b", "c"] {
        served.push_blob(name, name.as_bytes());
    }
    let status = |name: &str| {
        let digest = Digest::sha256_of(name.as_bytes());
        served.ask("POST", &format!("/v2/z/blobs/uploads/?mount={digest}"), &[], b"").status
    };
    assert_eq!((status("b"), status("c")), (201, 202));
}
