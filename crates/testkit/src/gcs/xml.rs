//! The few documents of the XML API.

use std::fmt::Write as _;

use http_body_util::Full;
use hyper::Response;
use hyper::body::Bytes;
use hyper::header::{CONTENT_TYPE, HeaderValue};

/// An object's entry in a listing.
pub(super) struct Listed {
    pub(super) name: String,
    pub(super) etag: String,
    pub(super) generation: u64,
    pub(super) modified: String,
    pub(super) size: usize,
}

/// A document, with the status 200.
pub(super) fn answer(element: &str) -> Response<Full<Bytes>> {
    let text = format!("<?xml version='1.0' encoding='UTF-8'?>{element}");
    let mut answer = Response::new(Full::from(text));
    let media_type = HeaderValue::from_static("application/xml; charset=UTF-8");
    answer.headers_mut().insert(CONTENT_TYPE, media_type);
    answer
}

pub(super) fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// <https://cloud.google.com/storage/docs/xml-api/get-bucket-list#response_body_elements>
pub(super) fn listing(
    bucket: &str,
    objects: &[Listed],
    directories: &[String],
    token: Option<&str>,
) -> Response<Full<Bytes>> {
    let mut text = format!(
        "<ListBucketResult xmlns='http://doc.s3.amazonaws.com/2006-03-01'><Name>{}</Name>\
         <IsTruncated>{}</IsTruncated>",
        escape(bucket),
        token.is_some()
    );
    for object in objects {
        let Listed { name, etag, generation, modified, size } = object;
        write!(
            text,
            "<Contents><Key>{}</Key><Generation>{generation}</Generation>\
             <MetaGeneration>1</MetaGeneration><LastModified>{modified}</LastModified>\
             <ETag>{}</ETag><Size>{size}</Size></Contents>",
            escape(name),
            escape(etag)
        )
        .ok();
    }
    for directory in directories {
        let directory = escape(directory);
        write!(text, "<CommonPrefixes><Prefix>{directory}</Prefix></CommonPrefixes>").ok();
    }
    if let Some(token) = token {
        let token = escape(token);
        write!(text, "<NextContinuationToken>{token}</NextContinuationToken>").ok();
    }
    text.push_str("</ListBucketResult>");
    answer(&text)
}

/// The numbers and tags of an upload's parts, in the one form in which the client writes them.
/// <https://cloud.google.com/storage/docs/xml-api/post-object-complete#request_body_elements>
pub(super) fn parse_parts(document: &[u8]) -> Option<Vec<(u32, String)>> {
    let list = std::str::from_utf8(document).ok()?;
    let list = list.strip_prefix("<CompleteMultipartUpload>")?;
    let list = list.strip_suffix("</CompleteMultipartUpload>")?;
    let part = |part: &str| {
        let (etag, number) =
            part.strip_prefix("<Part><ETag>")?.split_once("</ETag><PartNumber>")?;
        Some((number.strip_suffix("</PartNumber>")?.parse().ok()?, etag.to_owned()))
    };
    list.split_terminator("</Part>").map(part).collect()
}
