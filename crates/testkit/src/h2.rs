//! Frames of HTTP/2 as bytes, for whoever sends what no library would.
//!
//! <https://www.rfc-editor.org/rfc/rfc9113#name-frame-definitions>

/// What a client says first, and settings without any.
pub const BEGINNING: &[u8] =
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00";

/// The end of a request, which has no body.
const END_STREAM: u8 = 0x1;
/// The end of its head.
const END_HEADERS: u8 = 0x4;

/// A frame.
pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap_or(u32::MAX).to_be_bytes();
    let mut frame = length[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// A `GET` of a path below 127 bytes, with its end.
pub fn get(stream: u32, path: &str) -> Vec<u8> {
    frame(0x1, END_STREAM | END_HEADERS, stream, &head(path))
}

/// The same without an end: `CONTINUATION` must follow.
pub fn get_without_end(stream: u32, path: &str) -> Vec<u8> {
    frame(0x1, END_STREAM, stream, &head(path))
}

/// More of a head that does not end, in so many fields.
pub fn continuation(stream: u32, fields: usize) -> Vec<u8> {
    frame(0x9, 0, stream, &b"\x00\x01x\x01y".repeat(fields))
}

/// The end of a stream that nobody wants any more.
pub fn reset(stream: u32) -> Vec<u8> {
    let cancel = 8_u32.to_be_bytes();
    frame(0x3, 0, stream, &cancel)
}

/// Is somebody there?
pub fn ping() -> Vec<u8> {
    frame(0x6, 0, 0, &[0; 8])
}

/// What a server sent, as far as frames are whole: kind, flags, stream, payload.
pub fn frames(mut bytes: &[u8]) -> Vec<(u8, u8, u32, Vec<u8>)> {
    let mut frames = Vec::new();
    while let Some((head, rest)) = bytes.split_first_chunk::<9>() {
        let [a, b, c, kind, flags, stream @ ..] = *head;
        let length = u32::from_be_bytes([0, a, b, c]) as usize;
        let Some((payload, rest)) = rest.split_at_checked(length) else { break };
        frames.push((kind, flags, u32::from_be_bytes(stream), payload.to_vec()));
        bytes = rest;
    }
    frames
}

/// Method and scheme by their numbers in HPACK's table (RFC 7541, appendix A), path and authority
/// as they are.
fn head(path: &str) -> Vec<u8> {
    let mut head = vec![0x82, 0x86, 0x04, u8::try_from(path.len() & 0x7f).unwrap_or(0)];
    head.extend(path.as_bytes());
    head.extend(b"\x01\x05front");
    head
}
