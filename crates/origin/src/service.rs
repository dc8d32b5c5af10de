//! A request in, an answer out: understand, ask whether it may be, carry out.
//!
//! What changes anything runs in a task of its own, so that it comes to its end when the client
//! goes away in the middle: what had arrived of a chunk is kept for a client that resumes, and
//! what was begun is finished or taken back.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::SystemTime;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use http::header::{CACHE_CONTROL, WWW_AUTHENTICATE};
use http::request::Parts;
use http::uri::Authority;
use http::{HeaderValue, Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use landbridge_core::client_address::client_address;
use landbridge_core::oci_error::Code;
use landbridge_core::request::push::{self, Operation, UploadStep};
use landbridge_core::request::{self, Request as Read};
use tokio_util::task::TaskTracker;

use crate::access::{
    Access, Action, Asked, Caller, MAX_FORM_BYTES, TOKEN_PATH, TokenAnswer, TokenRequest,
};
use crate::answer::{Answer, Body};
use crate::body::RequestBody;
use crate::failure::Failure;
use crate::registry::{Registry, repository, tag};
use crate::settings::{ClientSettings, Writes};
use crate::uploads::Session;
use crate::{blobs, deletions, lists, manifests, pushes, referrers, uploads};

/// What a read is to give.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Want {
    /// `GET`.
    Whole,
    /// `HEAD`.
    Head,
}

/// Answers one request.
pub(crate) async fn answer(
    registry: Arc<Registry>,
    pushes: TaskTracker,
    peer: IpAddr,
    request: Request<Incoming>,
) -> Response<Body> {
    let (head, body) = request.into_parts();
    let body = RequestBody::new(body, &head.headers, registry.stall);
    if head.method == Method::HEAD {
        return carry_out(&registry, peer, &head, body).await.into_head();
    }
    if head.method == Method::GET {
        return carry_out(&registry, peer, &head, body).await.into_response();
    }
    let push =
        pushes.spawn(async move { carry_out(&registry, peer, &head, body).await.into_response() });
    push.await.unwrap_or_else(|_panic| {
        // Its panic was printed.
        let text = "the registry failed: tell its operator";
        Failure::new(Code::Unknown, text).into_answer().into_response()
    })
}

async fn carry_out(
    registry: &Registry,
    peer: IpAddr,
    head: &Parts,
    mut body: RequestBody,
) -> Answer {
    let answer = dispatch(registry, peer, head, &mut body).await;
    body.discard().await;
    answer.unwrap_or_else(Failure::into_answer)
}

/// Boxed, so that the futures of the endpoints are as large as they like.
fn dispatch<'a>(
    registry: &'a Registry,
    peer: IpAddr,
    head: &'a Parts,
    body: &'a mut RequestBody,
) -> BoxFuture<'a, Result<Answer, Failure>> {
    async move {
        let client = client_of(registry, peer, head);
        registry.limits.admit(client)?;
        // A change of the rules counts for requests that begin after it.
        let policy = registry.policy.load_full();
        if let (TOKEN_PATH, Access::Guarded(_)) = (head.uri.path(), &policy.access) {
            return token(&policy.access, head, body).await;
        }
        let operation = push::parse(head.method.as_str(), head.uri.path(), head.uri.query())?;
        let action =
            action(&operation).ok_or(Failure::new(Code::NotFound, "there is no such page"))?;
        let authority = head.uri.authority().map(Authority::as_str);
        let asked = Asked { headers: &head.headers, authority, now: SystemTime::now() };
        let caller = policy.access.decide(&asked, action).await?;
        let changes = match action {
            Action::Ping | Action::Catalog | Action::Pull(_) => false,
            Action::Push(_) | Action::Delete(_) => true,
        };
        if changes && policy.writes == Writes::Refused {
            let text = "this registry is read-only now: it takes neither pushes nor deletions";
            return Err(Failure::new(Code::Unsupported, text));
        }
        let is_upload = changes && !body.is_empty();
        let _turn = is_upload.then(|| registry.limits.begin_upload(client)).transpose()?;
        match operation {
            Operation::Read(request) => read(registry, &caller, head, request).await,
            Operation::StartUpload { repository: name, start } => {
                uploads::start(registry, &caller, &repository(name)?, start, body).await
            }
            Operation::Upload { repository: name, id, step } => {
                let upload = Session::open(registry, repository(name)?, id).await?;
                match step {
                    UploadStep::Status => Ok(uploads::status(&upload.0, &upload.1)),
                    UploadStep::Append => uploads::append(registry, upload, head, body).await,
                    UploadStep::Finish(digest) => {
                        uploads::finish(registry, &caller, upload, digest, head, body).await
                    }
                    UploadStep::Cancel => uploads::cancel(registry, &upload.0).await,
                }
            }
            Operation::PutManifest { repository: name, reference, tags } => {
                let tags = tags.iter().map(|text| tag(text)).collect::<Result<_, _>>()?;
                let push = pushes::Push { repository: repository(name)?, reference, tags };
                pushes::put_manifest(registry, &caller, push, head, body).await
            }
            Operation::DeleteManifest { repository: name, reference } => {
                deletions::manifest(registry, &caller, &repository(name)?, reference).await
            }
            Operation::DeleteBlob { repository: name, digest } => {
                deletions::blob(registry, &caller, &repository(name)?, digest).await
            }
        }
    }
    .boxed()
}

async fn read(
    registry: &Registry,
    caller: &Caller,
    head: &Parts,
    request: Read<'_>,
) -> Result<Answer, Failure> {
    let want = if head.method == Method::HEAD { Want::Head } else { Want::Whole };
    match request {
        Read::Ping => Ok(Answer::list(&serde_json::json!({}), None)),
        Read::Manifest { repository: name, reference } => {
            manifests::get(registry, &repository(name)?, reference, &head.headers, want).await
        }
        Read::Blob { repository: name, digest } => {
            blobs::get(registry, &repository(name)?, &digest, &head.headers, want).await
        }
        Read::Tags { repository: name, page } => {
            lists::tags(registry, &repository(name)?, &page).await
        }
        Read::Referrers { repository: name, subject, artifact_type, page } => {
            let wanted = artifact_type.as_deref();
            referrers::get(registry, &repository(name)?, &subject, wanted, &page).await
        }
        Read::Catalog { page } => lists::catalog(registry, caller, &page).await,
        Read::Page { .. } => Err(Failure::new(Code::NotFound, "there is no such page")),
    }
}

/// The client's address, as far as it is told by whom we trust.
fn client_of(registry: &Registry, peer: IpAddr, head: &Parts) -> IpAddr {
    let ClientSettings { trusted_proxies, forwarded_header } = &registry.clients;
    let lines = head.headers.get_all(forwarded_header.name());
    // Collected, since the lines are read from the last to the first.
    let lines: Vec<_> = lines.iter().map(HeaderValue::as_bytes).collect();
    client_address(peer, *forwarded_header, lines, trusted_proxies)
}

/// The answer of the token endpoint.
async fn token(access: &Access, head: &Parts, body: &mut RequestBody) -> Result<Answer, Failure> {
    let is_post = head.method == Method::POST;
    if !is_post && head.method != Method::GET {
        return Err(Failure::Method { allow: "GET, POST" });
    }
    let sent = body.collect(MAX_FORM_BYTES).await.map_err(|_| {
        let text = "the form is larger than 64 KiB or did not come in whole";
        Failure::new(Code::BodyTooLarge, text)
    })?;
    let query = head.uri.query().unwrap_or_default();
    let form = if is_post { &*sent } else { query.as_bytes() };
    let request = TokenRequest { form, is_post, headers: &head.headers };
    let answered = access.answer_token(request, SystemTime::now()).await;
    let TokenAnswer { status, challenge, body } =
        answered.ok_or(Failure::new(Code::NotFound, "there is no such page"))?;
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let answer = Answer::json(status, "application/json", body)
        .header(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(match challenge {
        Some(challenge) => answer.header(WWW_AUTHENTICATE, HeaderValue::from_static(challenge)),
        None => answer,
    })
}

/// What must be allowed for an operation; `None` for what is no part of a registry.
fn action<'a>(operation: &Operation<'a>) -> Option<Action<'a>> {
    Some(match operation {
        Operation::Read(request) => match request {
            request::Request::Ping => Action::Ping,
            request::Request::Manifest { repository, .. }
            | request::Request::Blob { repository, .. }
            | request::Request::Tags { repository, .. }
            | request::Request::Referrers { repository, .. } => Action::Pull(repository),
            request::Request::Catalog { .. } => Action::Catalog,
            request::Request::Page { .. } => return None,
        },
        Operation::StartUpload { repository, .. }
        | Operation::Upload { repository, .. }
        | Operation::PutManifest { repository, .. } => Action::Push(repository),
        Operation::DeleteManifest { repository, .. } | Operation::DeleteBlob { repository, .. } => {
            Action::Delete(repository)
        }
    })
}
