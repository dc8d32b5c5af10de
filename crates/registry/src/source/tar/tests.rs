use std::io::Cursor;

use proptest::prelude::*;

use super::*;

fn header(path: &str, kind: EntryType, size: u64) -> Header {
    let mut header = Header::new_gnu();
    header.as_old_mut().name[..path.len()].copy_from_slice(path.as_bytes());
    header.set_entry_type(kind);
    header.set_size(size);
    header.set_mode(0o644);
    header.set_cksum();
    header
}

/// An archive written without the writer's own checks of paths.
fn archive(entries: &[(Header, &[u8])]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (header, content) in entries {
        bytes.extend_from_slice(header.as_bytes());
        bytes.extend_from_slice(content);
        bytes.resize(bytes.len().next_multiple_of(512), 0);
    }
    bytes.resize(bytes.len() + 1024, 0);
    bytes
}

fn file(path: &str, content: &'static [u8]) -> (Header, &'static [u8]) {
    (header(path, EntryType::Regular, content.len() as u64), content)
}

fn link(path: &str, kind: EntryType, target: &str) -> (Header, &'static [u8]) {
    let mut header = header(path, kind, 0);
    header.as_old_mut().linkname[..target.len()].copy_from_slice(target.as_bytes());
    header.set_cksum();
    (header, b"")
}

fn read(bytes: &[u8]) -> Result<TarIndex, TarError> {
    TarIndex::read(&mut Cursor::new(bytes), bytes.len() as u64, 100)
}

fn content<'a>(bytes: &'a [u8], path: &str) -> Result<&'a [u8], NoFile> {
    let Extent { offset, size } = read(bytes).unwrap().find(path)?;
    Ok(&bytes[usize::try_from(offset).unwrap()..][..usize::try_from(size).unwrap()])
}

#[test]
fn files_are_found_through_links_and_the_later_of_two_counts() {
    let bytes = archive(&[
        file("./a/layer.tar", b"old"),
        file("a/layer.tar", b"layer"),
        link("b/layer.tar", EntryType::Symlink, "../a/layer.tar"),
        link("c/layer.tar", EntryType::Link, "b/layer.tar"),
        link("round", EntryType::Symlink, "round"),
        (header("d", EntryType::Directory, 0), b""),
        (header("pipe", EntryType::Fifo, 0), b""),
    ]);
    for path in ["a/layer.tar", "./a//layer.tar", "b/layer.tar", "c/layer.tar"] {
        assert_eq!(content(&bytes, path), Ok(b"layer".as_slice()), "{path}");
    }
    assert_eq!(content(&bytes, "d"), Err(NoFile::Other("a directory")));
    assert_eq!(content(&bytes, "pipe"), Err(NoFile::Other("a FIFO")));
    assert_eq!(content(&bytes, "round"), Err(NoFile::Other("a circle of links")));
    assert_eq!(content(&bytes, "../a/layer.tar"), Err(NoFile::Absent));
}

#[test]
fn long_names_come_from_either_kind_of_extension() {
    let long = format!("{}/layer.tar", "d".repeat(150));
    let mut builder = tar::Builder::new(Vec::new());
    let mut plain = Header::new_gnu();
    plain.set_size(3);
    builder.append_data(&mut plain, &long, b"gnu".as_slice()).unwrap();
    let pax = format!("pax/{long}");
    builder.append_pax_extensions([("path", pax.as_bytes())]).unwrap();
    let (short, _) = file("short", b"pax");
    builder.append(&short, b"pax".as_slice()).unwrap();
    let bytes = builder.into_inner().unwrap();
    assert_eq!(content(&bytes, &long), Ok(b"gnu".as_slice()));
    assert_eq!(content(&bytes, &pax), Ok(b"pax".as_slice()));
    assert_eq!(content(&bytes, "short"), Err(NoFile::Absent));
}

#[test]
fn an_archive_that_means_harm_is_refused() {
    for path in ["/etc/passwd", "../x", "a/../../x"] {
        let bytes = archive(&[file(path, b"x")]);
        assert!(matches!(read(&bytes), Err(TarError::Escapes(found)) if found == path));
        let bytes = archive(&[link("a/b", EntryType::Link, path)]);
        assert!(matches!(read(&bytes), Err(TarError::Escapes(_))), "{path}");
    }
    let many: Vec<_> = (0..101).map(|_| file("a", b"")).collect();
    assert!(matches!(read(&archive(&many)), Err(TarError::TooMany(100))));
    let long = vec![b'a'; 70_000];
    let extension = header("x", EntryType::GNULongName, 70_000);
    assert!(matches!(read(&archive(&[(extension, &long)])), Err(TarError::LongExtension(512))));
    let huge = archive(&[(header("a", EntryType::Regular, u64::MAX), b"")]);
    assert!(matches!(read(&huge), Err(TarError::Truncated { .. })));
    assert!(matches!(read(b""), Err(TarError::NotTar(0))));
    assert!(matches!(read(&[b'x'; 1024]), Err(TarError::NotTar(0))));
}

#[test]
fn a_cut_in_the_middle_of_a_file_names_it() {
    let bytes = archive(&[file("a", b"first"), file("b", b"second")]);
    let cut = &bytes[..512 + 512 + 512 + 3];
    let error = read(cut).unwrap_err().to_string();
    assert!(error.contains("`b` should end at byte 1542"), "{error}");
    for between in [700, 1024, 1100, 2048, 2500] {
        let error = read(&bytes[..between]).unwrap_err().to_string();
        assert!(error.contains("the end mark should end at"), "{between}: {error}");
    }
    assert!(read(&bytes[..2560]).is_ok());
}

proptest! {
    #[test]
    fn strangers_cannot_make_it_panic_or_read_beyond_the_end(
        cut in 0..3000usize,
        flips in prop::collection::vec((0..3000usize, any::<u8>()), 0..8),
    ) {
        let mut bytes = archive(&[file("a", b"first"), link("b", EntryType::Symlink, "a")]);
        for (at, value) in flips {
            if let Some(byte) = bytes.get_mut(at) {
                *byte = value;
            }
        }
        bytes.truncate(cut);
        if let Ok(index) = read(&bytes) {
            for node in index.nodes.values() {
                if let Node::File(extent) = node {
                    prop_assert!(extent.offset + extent.size <= bytes.len() as u64);
                }
            }
        }
    }
}
