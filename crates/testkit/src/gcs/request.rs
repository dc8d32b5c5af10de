//! What is asked: every request that the double knows, and nothing beside.

use std::collections::BTreeMap;

use http_body_util::Full;
use hyper::http::request::Parts;
use hyper::{Method, Response, StatusCode, body::Bytes};
use percent_encoding::percent_decode_str;

use super::xml;

/// <https://cloud.google.com/storage/docs/objects#naming>
const LONGEST_NAME: usize = 1024;
/// <https://cloud.google.com/storage/quotas#requests>
const MOST_PARTS: u32 = 10_000;

/// An object's place: a bucket and a name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) bucket: String,
    pub(super) name: String,
}

/// What an object is served with.
#[derive(Debug, Clone, Default)]
pub(super) struct Metadata {
    pub(super) content_type: Option<String>,
    pub(super) cache_control: Option<String>,
}

/// A request.
#[derive(Debug)]
pub(super) enum Call {
    CreateBucket {
        bucket: String,
    },
    List(Listing),
    Head {
        place: Place,
    },
    /// `known` is the tag of what the client has already.
    Get {
        place: Place,
        range: Option<(u64, Option<u64>)>,
        known: Option<String>,
    },
    /// `generation` is the one that must be there, 0 for none.
    Put {
        place: Place,
        metadata: Metadata,
        generation: Option<u64>,
    },
    Copy {
        from: Place,
        to: Place,
        generation: Option<u64>,
    },
    Delete {
        place: Place,
    },
    Initiate {
        place: Place,
        metadata: Metadata,
    },
    Part {
        place: Place,
        upload: String,
        number: u32,
    },
    Complete {
        place: Place,
        upload: String,
    },
    Abort {
        place: Place,
        upload: String,
    },
}

/// A listing's parameters.
#[derive(Debug)]
pub(super) struct Listing {
    pub(super) bucket: String,
    pub(super) prefix: String,
    pub(super) is_by_directory: bool,
    pub(super) after: String,
    pub(super) token: String,
}

/// Why a request was not carried out: status, code and explanation.
/// <https://cloud.google.com/storage/docs/xml-api/reference-status>
#[derive(Debug)]
pub(super) struct Refusal(pub(super) StatusCode, pub(super) &'static str, pub(super) String);

impl Refusal {
    pub(super) fn mistake(code: &'static str, why: impl Into<String>) -> Self {
        Self(StatusCode::BAD_REQUEST, code, why.into())
    }

    pub(super) fn is_a_mistake(&self) -> bool {
        self.0 == StatusCode::BAD_REQUEST
    }

    pub(super) fn answer(&self) -> Response<Full<Bytes>> {
        let Self(status, code, why) = self;
        let mut answer = xml::answer(&format!(
            "<Error><Code>{code}</Code><Message>{}</Message></Error>",
            xml::escape(why)
        ));
        *answer.status_mut() = *status;
        answer
    }
}

impl Call {
    /// What it is called in [`super::Gcs::answered`].
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::CreateBucket { .. } => "create bucket",
            Self::List(listing) if !listing.token.is_empty() => "list on",
            Self::List(_) => "list",
            Self::Head { .. } => "head",
            Self::Get { known: Some(_), .. } => "get if",
            Self::Get { range: Some(_), .. } => "get range",
            Self::Get { .. } => "get",
            Self::Put { generation: None, .. } => "put",
            Self::Put { .. } => "put if",
            Self::Copy { .. } => "copy",
            Self::Delete { .. } => "delete",
            Self::Initiate { .. } => "initiate",
            Self::Part { .. } => "part",
            Self::Complete { .. } => "complete",
            Self::Abort { .. } => "abort",
        }
    }
}

/// Understands a request's head, and checks its token.
pub(super) fn parse(head: &Parts, token: &str) -> Result<Call, Refusal> {
    let mut headers = Headers::new(head)?;
    match headers.take("authorization") {
        Some(given) if given == format!("Bearer {token}") => {}
        Some(_) => {
            let why = "Invalid credentials.".to_owned();
            return Err(Refusal(StatusCode::UNAUTHORIZED, "AuthenticationRequired", why));
        }
        None => {
            let why = "Anonymous caller does not have access.".to_owned();
            return Err(Refusal(StatusCode::FORBIDDEN, "AccessDenied", why));
        }
    }
    let path = head.uri.path().strip_prefix('/').unwrap_or_default();
    let place = match path.split_once('/') {
        Some(_) => Some(parse_place(path)?),
        None => None,
    };
    let mut query = parse_query(head.uri.query().unwrap_or_default())?;
    let names: Vec<String> = query.keys().cloned().collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut value = |name: &str| query.remove(name).unwrap_or_default();
    let call = match (&head.method, place, names.as_slice()) {
        (&Method::PUT, None, []) => Call::CreateBucket { bucket: decode(path)? },
        (&Method::GET, None, names) if names.contains(&"list-type") => {
            parse_listing(path, names, value)?
        }
        (&Method::HEAD, Some(place), []) => Call::Head { place },
        (&Method::GET, Some(place), []) => {
            let range = headers.take("range").map(|it| parse_range(&it)).transpose()?;
            Call::Get { place, range, known: headers.take("if-none-match") }
        }
        (&Method::PUT, Some(place), []) => {
            let generation = headers.take("x-goog-if-generation-match").map(|it| number(&it));
            let generation = generation.transpose()?;
            match headers.take("x-goog-copy-source") {
                Some(from) => Call::Copy { from: parse_place(&from)?, to: place, generation },
                None => Call::Put { place, metadata: headers.take_metadata(), generation },
            }
        }
        (&Method::DELETE, Some(place), []) => Call::Delete { place },
        (&Method::POST, Some(place), ["uploads"]) => {
            Call::Initiate { place, metadata: headers.take_metadata() }
        }
        (&Method::PUT, Some(place), ["partNumber", "uploadId"]) => {
            let number = number(&value("partNumber"))?;
            let number =
                u32::try_from(number).ok().filter(|number| (1..=MOST_PARTS).contains(number));
            let number = number.ok_or_else(|| Refusal::mistake("InvalidArgument", "partNumber"))?;
            Call::Part { place, upload: value("uploadId"), number }
        }
        (&Method::POST, Some(place), ["uploadId"]) => {
            Call::Complete { place, upload: value("uploadId") }
        }
        (&Method::DELETE, Some(place), ["uploadId"]) => {
            Call::Abort { place, upload: value("uploadId") }
        }
        _ => return Err(Refusal::mistake("InvalidArgument", "this request is not known here")),
    };
    headers.nothing_more()?;
    Ok(call)
}

fn parse_listing(
    bucket: &str,
    names: &[&str],
    mut value: impl FnMut(&str) -> String,
) -> Result<Call, Refusal> {
    let known = ["list-type", "delimiter", "prefix", "continuation-token", "start-after"];
    if let Some(name) = names.iter().find(|name| !known.contains(name)) {
        return Err(Refusal::mistake("InvalidArgument", format!("`{name}` is not known here")));
    }
    let (kind, delimiter) = (value("list-type"), value("delimiter"));
    if kind != "2" || !matches!(&*delimiter, "" | "/") {
        return Err(Refusal::mistake("InvalidArgument", "list-type or delimiter"));
    }
    Ok(Call::List(Listing {
        bucket: decode(bucket)?,
        prefix: value("prefix"),
        is_by_directory: !delimiter.is_empty(),
        after: value("start-after"),
        token: value("continuation-token"),
    }))
}

/// `BUCKET/NAME`, escaped.
fn parse_place(text: &str) -> Result<Place, Refusal> {
    let (bucket, name) = text.split_once('/').unwrap_or_default();
    let (bucket, name) = (decode(bucket)?, decode(name)?);
    if bucket.is_empty() || name.is_empty() || name.len() > LONGEST_NAME {
        return Err(Refusal::mistake("InvalidArgument", format!("`{text}` is no object's name")));
    }
    Ok(Place { bucket, name })
}

fn parse_query(text: &str) -> Result<BTreeMap<String, String>, Refusal> {
    let mut query = BTreeMap::new();
    for (name, value) in form_urlencoded::parse(text.as_bytes()).into_owned() {
        if query.insert(name, value).is_some() {
            return Err(Refusal::mistake("InvalidArgument", "a parameter comes twice"));
        }
    }
    Ok(query)
}

fn parse_range(text: &str) -> Result<(u64, Option<u64>), Refusal> {
    let range = text.strip_prefix("bytes=").and_then(|text| text.split_once('-'));
    let (first, last) = range.ok_or_else(|| Refusal::mistake("InvalidArgument", "range"))?;
    let last = if last.is_empty() { None } else { Some(number(last)?) };
    Ok((number(first)?, last))
}

fn number(text: &str) -> Result<u64, Refusal> {
    text.parse().map_err(|_| Refusal::mistake("InvalidArgument", format!("`{text}` is no number")))
}

fn decode(text: &str) -> Result<String, Refusal> {
    let decoded = percent_decode_str(text).decode_utf8();
    decoded.map(Into::into).map_err(|_| Refusal::mistake("InvalidURI", "not UTF-8"))
}

/// The headers that mean something to the store and were not taken yet.
struct Headers(BTreeMap<String, String>);

impl Headers {
    /// What any HTTP client may send, and means nothing here.
    const PLAIN: [&str; 6] =
        ["accept", "accept-encoding", "connection", "content-length", "host", "user-agent"];

    fn new(head: &Parts) -> Result<Self, Refusal> {
        let mut headers = BTreeMap::new();
        for (name, value) in &head.headers {
            if Self::PLAIN.contains(&name.as_str()) {
                continue;
            }
            let value = value.to_str();
            let value = value.map_err(|_| Refusal::mistake("InvalidArgument", name.as_str()))?;
            if headers.insert(name.to_string(), value.to_owned()).is_some() {
                return Err(Refusal::mistake("InvalidArgument", format!("{name} comes twice")));
            }
        }
        Ok(Self(headers))
    }

    fn take(&mut self, name: &str) -> Option<String> {
        self.0.remove(name)
    }

    fn take_metadata(&mut self) -> Metadata {
        Metadata {
            content_type: self.take("content-type"),
            cache_control: self.take("cache-control"),
        }
    }

    fn nothing_more(mut self) -> Result<(), Refusal> {
        // The client says of what type the bodies are, also where no object gets them.
        self.take("content-type");
        match self.0.into_keys().next() {
            None => Ok(()),
            Some(name) => {
                let why = format!("the header `{name}` is not known here");
                Err(Refusal::mistake("InvalidArgument", why))
            }
        }
    }
}
