//! What the double holds, and what requests do to it.

use std::collections::BTreeMap;
use std::ops::Bound;

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::http::response::Builder;
use hyper::{Response, StatusCode};
use jiff::Timestamp;
use sha2::{Digest as _, Sha256};

use super::request::{Call, Listing, Metadata, Place, Refusal};
use super::xml::{self, Listed};

/// The real store gives up to 1,000 entries at once, but may give fewer: so few, every listing has several pages.
const PAGE: usize = 10;
/// Every part but the last has at least 5 MiB. <https://cloud.google.com/storage/quotas#requests>
const SMALLEST_PART: usize = 5 << 20;

type Answer = Result<Response<Full<Bytes>>, Refusal>;

#[derive(Debug, Default)]
pub(super) struct Objects {
    buckets: BTreeMap<String, BTreeMap<String, Object>>,
    uploads: BTreeMap<String, Upload>,
    generations: u64,
}

#[derive(Debug, Clone)]
struct Object {
    bytes: Bytes,
    metadata: Metadata,
    etag: String,
    generation: u64,
    modified: Timestamp,
}

#[derive(Debug)]
struct Upload {
    place: Place,
    metadata: Metadata,
    parts: BTreeMap<u32, Bytes>,
}

impl Objects {
    pub(super) fn carry_out(&mut self, call: Call, body: Bytes) -> Answer {
        match call {
            Call::CreateBucket { bucket } => {
                self.buckets.entry(bucket).or_default();
                Ok(Response::default())
            }
            Call::List(listing) => self.list(&listing),
            Call::Head { place } => {
                let object = self.object(&place)?;
                Ok(finish(object.head(StatusCode::OK, object.bytes.len()), Bytes::new()))
            }
            Call::Get { place, range, known } => {
                let object = self.object(&place)?;
                if known.is_some_and(|known| known == object.etag) {
                    let head = Response::builder().status(StatusCode::NOT_MODIFIED);
                    return Ok(finish(head.header("etag", &object.etag), Bytes::new()));
                }
                object.read(range)
            }
            Call::Put { place, metadata, generation } => {
                self.check(&place, generation)?;
                let etag = etag_of(&body);
                Ok(self.put(&place, metadata, body, etag)?.written())
            }
            Call::Copy { from, to, generation } => {
                self.check(&to, generation)?;
                let Object { bytes, metadata, etag, .. } = self.object(&from)?.clone();
                let copy = self.put(&to, metadata, bytes, etag)?;
                Ok(xml::answer(&format!(
                    "<CopyObjectResult><LastModified>{}</LastModified><ETag>{}</ETag></CopyObjectResult>",
                    copy.modified,
                    xml::escape(&copy.etag)
                )))
            }
            Call::Delete { place } => {
                self.object(&place)?;
                self.bucket(&place.bucket)?.remove(&place.name);
                Ok(finish(Response::builder().status(StatusCode::NO_CONTENT), Bytes::new()))
            }
            Call::Initiate { place, metadata } => self.initiate(place, metadata),
            Call::Part { place, upload, number } => {
                let etag = etag_of(&body);
                self.upload(&place, &upload)?.parts.insert(number, body);
                Ok(finish(Response::builder().header("etag", etag), Bytes::new()))
            }
            Call::Complete { place, upload } => self.complete(&place, &upload, &body),
            Call::Abort { place, upload } => {
                self.upload(&place, &upload)?;
                self.uploads.remove(&upload);
                Ok(finish(Response::builder().status(StatusCode::NO_CONTENT), Bytes::new()))
            }
        }
    }

    fn bucket(&mut self, name: &str) -> Result<&mut BTreeMap<String, Object>, Refusal> {
        let missing = || not_found("NoSuchBucket", name);
        self.buckets.get_mut(name).ok_or_else(missing)
    }

    fn object(&mut self, place: &Place) -> Result<&Object, Refusal> {
        let object = self.bucket(&place.bucket)?.get(&place.name);
        object.ok_or_else(|| not_found("NoSuchKey", &place.name))
    }

    fn upload(&mut self, place: &Place, id: &str) -> Result<&mut Upload, Refusal> {
        let upload = self.uploads.get_mut(id).filter(|upload| upload.place == *place);
        upload.ok_or_else(|| not_found("NoSuchUpload", id))
    }

    /// <https://cloud.google.com/storage/docs/request-preconditions>
    fn check(&mut self, place: &Place, generation: Option<u64>) -> Result<(), Refusal> {
        let there = self.bucket(&place.bucket)?.get(&place.name).map_or(0, |it| it.generation);
        match generation {
            Some(wanted) if wanted != there => {
                let why = format!("the generation is {there}, not {wanted}");
                Err(Refusal(StatusCode::PRECONDITION_FAILED, "PreconditionFailed", why))
            }
            _ => Ok(()),
        }
    }

    fn put(
        &mut self,
        place: &Place,
        metadata: Metadata,
        bytes: Bytes,
        etag: String,
    ) -> Result<&Object, Refusal> {
        self.generations += 1;
        let generation = self.generations;
        let object = Object { bytes, metadata, etag, generation, modified: Timestamp::now() };
        let bucket = self.bucket(&place.bucket)?;
        Ok(bucket.entry(place.name.clone()).insert_entry(object).into_mut())
    }

    fn initiate(&mut self, place: Place, metadata: Metadata) -> Answer {
        self.bucket(&place.bucket)?;
        self.generations += 1;
        let id = format!("upload-{}", self.generations);
        let answer = xml::answer(&format!(
            "<InitiateMultipartUploadResult><Bucket>{}</Bucket><Key>{}</Key>\
             <UploadId>{id}</UploadId></InitiateMultipartUploadResult>",
            xml::escape(&place.bucket),
            xml::escape(&place.name)
        ));
        self.uploads.insert(id, Upload { place, metadata, parts: BTreeMap::new() });
        Ok(answer)
    }

    /// <https://cloud.google.com/storage/docs/xml-api/post-object-complete>
    fn complete(&mut self, place: &Place, id: &str, document: &[u8]) -> Answer {
        let upload = self.upload(place, id)?;
        let named = xml::parse_parts(document).filter(|parts| !parts.is_empty());
        let named = named.ok_or_else(|| Refusal::mistake("MalformedXML", "no list of parts"))?;
        if !named.is_sorted_by(|(one, _), (next, _)| one < next) {
            return Err(Refusal::mistake("InvalidPartOrder", "the parts are not in order"));
        }
        let (mut whole, last) = (Vec::new(), named.len() - 1);
        for (at, (number, etag)) in named.iter().enumerate() {
            let part = upload.parts.get(number).filter(|part| etag_of(part) == *etag);
            let why = || format!("part {number} was not uploaded so");
            let part = part.ok_or_else(|| Refusal::mistake("InvalidPart", why()))?;
            if at < last && part.len() < SMALLEST_PART {
                let why = format!("part {number} has only {} bytes", part.len());
                return Err(Refusal::mistake("EntityTooSmall", why));
            }
            whole.extend_from_slice(part);
        }
        let metadata = upload.metadata.clone();
        self.uploads.remove(id);
        // No hash of the bytes: what was uploaded in parts has a tag of another kind.
        let etag = format!("\"{id}-{}\"", named.len());
        let object = self.put(place, metadata, whole.into(), etag)?;
        let mut answer = xml::answer(&format!(
            "<CompleteMultipartUploadResult><Bucket>{}</Bucket><Key>{}</Key><ETag>{}</ETag>\
             </CompleteMultipartUploadResult>",
            xml::escape(&place.bucket),
            xml::escape(&place.name),
            xml::escape(&object.etag)
        ));
        answer.headers_mut().insert("x-goog-generation", object.generation.into());
        Ok(answer)
    }

    /// <https://cloud.google.com/storage/docs/xml-api/get-bucket-list>
    fn list(&mut self, listing: &Listing) -> Answer {
        let Listing { bucket, prefix, is_by_directory, after, token } = listing;
        let (mut objects, mut directories) = (Vec::new(), Vec::new());
        let mut last = "";
        let start = Bound::Excluded(if token.is_empty() { after.as_str() } else { token.as_str() });
        for (name, object) in self.bucket(bucket)?.range::<str, _>((start, Bound::Unbounded)) {
            let Some(rest) = name.strip_prefix(prefix.as_str()) else { continue };
            let end = rest.find('/').filter(|_| *is_by_directory);
            // An entry is an object or all that lies in a directory.
            let entry = end.map_or(name.as_str(), |at| &name[..=prefix.len() + at]);
            if entry == last || entry == token {
                continue;
            }
            if objects.len() + directories.len() == PAGE {
                return Ok(xml::listing(bucket, &objects, &directories, Some(last)));
            }
            last = entry;
            if end.is_some() {
                directories.push(entry.to_owned());
            } else {
                objects.push(object.listed(name));
            }
        }
        Ok(xml::listing(bucket, &objects, &directories, None))
    }
}

impl Object {
    fn head(&self, status: StatusCode, length: usize) -> Builder {
        let modified = self.modified.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
        let mut head = Response::builder()
            .status(status)
            .header("content-length", length)
            .header("etag", &self.etag)
            .header("last-modified", modified)
            .header("x-goog-generation", self.generation)
            .header("x-goog-metageneration", 1)
            .header("x-goog-stored-content-length", self.bytes.len());
        if let Some(content_type) = &self.metadata.content_type {
            head = head.header("content-type", content_type);
        }
        if let Some(cache_control) = &self.metadata.cache_control {
            head = head.header("cache-control", cache_control);
        }
        head
    }

    fn read(&self, range: Option<(u64, Option<u64>)>) -> Answer {
        let size = self.bytes.len();
        let Some((first, last)) = range else {
            return Ok(finish(self.head(StatusCode::OK, size), self.bytes.clone()));
        };
        let end = last.map_or(usize::MAX, |last| usize::try_from(last).unwrap_or(usize::MAX));
        let end = end.saturating_add(1).min(size);
        let start = usize::try_from(first).unwrap_or(usize::MAX);
        if start >= end {
            let why = "The requested range cannot be satisfied.".to_owned();
            return Err(Refusal(StatusCode::RANGE_NOT_SATISFIABLE, "InvalidRange", why));
        }
        let head = self.head(StatusCode::PARTIAL_CONTENT, end - start);
        let head = head.header("content-range", format!("bytes {start}-{}/{size}", end - 1));
        Ok(finish(head, self.bytes.slice(start..end)))
    }

    fn written(&self) -> Response<Full<Bytes>> {
        let head = Response::builder()
            .header("etag", &self.etag)
            .header("x-goog-generation", self.generation)
            .header("x-goog-metageneration", 1);
        finish(head, Bytes::new())
    }

    fn listed(&self, name: &str) -> Listed {
        Listed {
            name: name.to_owned(),
            etag: self.etag.clone(),
            generation: self.generation,
            // Finer than what a request for the object itself is told.
            modified: self.modified.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string(),
            size: self.bytes.len(),
        }
    }
}

/// The real store takes the MD5; equal bytes have equal tags here too.
fn etag_of(bytes: &[u8]) -> String {
    use std::fmt::Write as _;

    let mut text = String::from('"');
    for byte in &Sha256::digest(bytes)[..16] {
        write!(text, "{byte:02x}").ok();
    }
    text + "\""
}

fn not_found(code: &'static str, what: &str) -> Refusal {
    Refusal(StatusCode::NOT_FOUND, code, format!("`{what}` does not exist"))
}

/// A header that cannot be sent is the double's own mistake, and loud.
fn finish(head: Builder, body: Bytes) -> Response<Full<Bytes>> {
    head.body(Full::new(body)).unwrap_or_else(|error| {
        Refusal(StatusCode::INTERNAL_SERVER_ERROR, "InternalError", error.to_string()).answer()
    })
}
