//! What stands before the server and lets requests through, spoils them, or refuses them.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Mutex, PoisonError};

use http_body_util::BodyExt as _;
use hyper::body::{Body, Bytes, Frame, Incoming, SizeHint};
use hyper::header::{CONTENT_LENGTH, ETAG, HeaderValue, IF_NONE_MATCH, LAST_MODIFIED, RETRY_AFTER};
use hyper::{Method, Request, Response, StatusCode};
use s3s::service::S3Service;

use super::short::short;

const LONG_AGO: HeaderValue = HeaderValue::from_static("Sun, 22 Nov 2026 00:00:00 GMT");
const NO_TAG: HeaderValue = HeaderValue::from_static("\"never\"");
/// Of an answer without end.
const PIECE: &[u8] = &[b' '; 64 << 10];

/// What a server does wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum S3Fault {
    /// Writes are answered like this; with a `Retry-After` in seconds, if there is one.
    Refuses(u16, Option<u32>),
    /// Of what is written nothing is read, and nothing is answered.
    Stalls,
    /// Writes are answered as if all were well, and forgotten.
    Forgets,
    /// Of what was written the last byte is lost.
    Truncates,
    /// Of what was written the first byte becomes another one, and what was known of it is lost.
    Rots,
    /// Everything is said to be there, and of this size.
    Claims(u64),
    /// What is read never ends.
    Endless,
    /// Every page of a list has more names of this directory, and a next page.
    EndlessList(&'static str),
}

impl S3Fault {
    const fn is_of_reads(self) -> bool {
        match self {
            Self::Claims(_) | Self::Endless | Self::EndlessList(_) => true,
            Self::Refuses(..) | Self::Stalls | Self::Forgets | Self::Truncates | Self::Rots => {
                false
            }
        }
    }
}

/// Who asks.
#[derive(Debug, Clone, Copy)]
pub(super) enum Face {
    /// With a key.
    Signed,
    /// Anybody.
    Public,
}

struct Failing {
    fault: S3Fault,
    part: String,
    times: u32,
}

pub(super) struct Gate {
    directory: PathBuf,
    signed: S3Service,
    public: S3Service,
    failing: Mutex<Option<Failing>>,
    conditional: tokio::sync::Mutex<()>,
    writes: AtomicI64,
    reads: AtomicI64,
    listed: AtomicI64,
}

type Answer = Result<Response<s3s::Body>, s3s::HttpError>;

impl Gate {
    pub(super) fn new(directory: &Path, signed: S3Service, public: S3Service) -> Self {
        Self {
            directory: directory.to_owned(),
            signed,
            public,
            failing: Mutex::default(),
            conditional: tokio::sync::Mutex::new(()),
            writes: AtomicI64::new(i64::MAX),
            reads: AtomicI64::new(i64::MAX),
            listed: AtomicI64::new(0),
        }
    }

    pub(super) fn fail(&self, part: &str, fault: S3Fault, times: u32) {
        let failing = Failing { fault, part: part.to_owned(), times };
        *self.failing.lock().unwrap_or_else(PoisonError::into_inner) =
            Some(failing).filter(|_| times > 0);
    }

    pub(super) fn allow_writes(&self, count: i64) {
        self.writes.store(count, Ordering::SeqCst);
    }

    pub(super) fn allow_reads(&self, count: i64) {
        self.reads.store(count, Ordering::SeqCst);
    }

    pub(super) async fn answer(&self, face: Face, request: Request<Incoming>) -> Answer {
        let is_read = [Method::GET, Method::HEAD].contains(request.method());
        let left = if is_read { &self.reads } else { &self.writes };
        if left.fetch_sub(1, Ordering::SeqCst) <= 0 {
            return Ok(empty(StatusCode::FORBIDDEN));
        }
        let target = request.uri().path_and_query().map_or("", |target| target.as_str());
        if let Some(fault) = self.next_fault(is_read, target) {
            return self.spoil(fault, face, request).await;
        }
        self.pass(face, request).await
    }

    async fn pass(&self, face: Face, request: Request<Incoming>) -> Answer {
        let is_conditional = request.headers().contains_key(IF_NONE_MATCH);
        let _turn = if is_conditional { Some(self.conditional.lock().await) } else { None };
        let service = match face {
            Face::Signed => &self.signed,
            Face::Public => &self.public,
        };
        service.call(request.map(s3s::Body::from)).await
    }

    fn next_fault(&self, is_read: bool, target: &str) -> Option<S3Fault> {
        let mut failing = self.failing.lock().unwrap_or_else(PoisonError::into_inner);
        let next = failing.as_mut()?;
        let fault = next.fault;
        if fault.is_of_reads() != is_read || !target.contains(&next.part) {
            return None;
        }
        next.times -= 1;
        failing.take_if(|failing| failing.times == 0);
        Some(fault)
    }

    async fn spoil(&self, fault: S3Fault, face: Face, request: Request<Incoming>) -> Answer {
        let mut answer = empty(StatusCode::OK);
        let headers = answer.headers_mut();
        match fault {
            S3Fault::Refuses(status, retry_after) => {
                headers.extend(retry_after.map(|rest| (RETRY_AFTER, rest.into())));
                *answer.status_mut() =
                    StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            }
            S3Fault::Stalls => std::future::pending::<()>().await,
            S3Fault::Forgets => {
                // Whoever is not listened to notices.
                request.into_body().collect().await.ok();
                headers.insert(ETAG, NO_TAG);
            }
            S3Fault::Claims(size) if request.method() == Method::HEAD => {
                headers.insert(CONTENT_LENGTH, size.into());
                headers.insert(LAST_MODIFIED, LONG_AGO);
            }
            S3Fault::Claims(_) => *answer.status_mut() = StatusCode::NOT_FOUND,
            S3Fault::Endless => {
                headers.insert(ETAG, NO_TAG);
                headers.insert(LAST_MODIFIED, LONG_AGO);
                // Without a length clients of S3 do not even begin.
                if matches!(face, Face::Signed) {
                    headers.insert(CONTENT_LENGTH, (1_u64 << 40).into());
                }
                *answer.body_mut() = s3s::Body::http_body(Endless);
            }
            S3Fault::EndlessList(directory) => *answer.body_mut() = self.page(directory).into(),
            S3Fault::Truncates | S3Fault::Rots => {
                let key = request.uri().path().to_owned();
                let answer = self.pass(face, request).await?;
                self.damage(fault, &key);
                return Ok(answer);
            }
        }
        Ok(answer)
    }

    /// A thousand names that nobody was told before.
    fn page(&self, directory: &str) -> String {
        let first = self.listed.fetch_add(1000, Ordering::SeqCst);
        let entries = (first..first + 1000).map(|number| {
            format!(
                "<Contents><Key>{directory}/{number:020}</Key>\
                 <LastModified>2026-11-22T00:00:00.000Z</LastModified><ETag>&quot;e&quot;</ETag>\
                 <Size>1</Size><StorageClass>STANDARD</StorageClass></Contents>"
            )
        });
        let entries = entries.collect::<String>();
        format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?><ListBucketResult \
             xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Name>bucket</Name>\
             <MaxKeys>1000</MaxKeys><KeyCount>1000</KeyCount><IsTruncated>true</IsTruncated>\
             <NextContinuationToken>{first}</NextContinuationToken>{entries}</ListBucketResult>"
        )
    }

    fn damage(&self, fault: S3Fault, key: &str) {
        let file = self.directory.join(short(key.trim_start_matches('/')));
        let Ok(mut bytes) = std::fs::read(&file) else { return };
        if fault == S3Fault::Truncates {
            bytes.pop();
        } else if let Some(first) = bytes.first_mut() {
            *first ^= 1;
        }
        std::fs::write(&file, bytes).ok();
        // Beside the buckets `s3s-fs` keeps what it knows of each object.
        for known in std::fs::read_dir(&self.directory).into_iter().flatten().flatten() {
            if known.path().is_file() {
                std::fs::remove_file(known.path()).ok();
            }
        }
    }
}

fn empty(status: StatusCode) -> Response<s3s::Body> {
    let mut answer = Response::new(s3s::Body::empty());
    *answer.status_mut() = status;
    answer
}

/// A content that never ends.
struct Endless;

impl Body for Endless {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        std::task::Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(PIECE)))))
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }
}
