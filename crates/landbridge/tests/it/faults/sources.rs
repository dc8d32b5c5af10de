//! Registries that let nobody finish: tokens that expire in the middle, lists and bodies without end.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use landbridge_testkit::{Forwarder, Reply};

use super::trouble::Trouble;
use super::world::{Kind, World};

/// What stands before the registry does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Source {
    Honest,
    /// Every list, beginning with this, has a next page, which is the same.
    Repeats(&'static str, &'static str),
    /// The same, with a thousand names that nobody was told before.
    EndlessPages(&'static str),
    /// What is asked for with this in its target never ends; `true`: it says how long it will be.
    EndlessBody(&'static str, bool),
}

const PIECE: &str = "                                                                             ";

/// Lists that repeat themselves or never end, and bodies without end, of every kind that a registry
/// is asked for: the run ends, says what it was given, and publishes nothing.
///
/// Seen to fail: with a repeated page of tags that is taken for the end (exit 0), and without the limit
/// of referrers (the run did not end).
#[test]
fn a_registry_without_end_is_given_up_and_named() {
    let source = Arc::new(Mutex::new(Source::Honest));
    let (told, number) = (Arc::clone(&source), AtomicU64::new(0));
    let world = World::new(Kind::Directory).only(&["east", "south"]);
    let mut proxy = None;
    let mut trouble = Trouble::new(world, 20_000, |registry| {
        let meddler = Forwarder::start_meddling(registry.address(), move |head| {
            let target = head.split(' ').nth(1).unwrap_or_default();
            told.lock().unwrap().answer(target, &number)
        });
        proxy.insert(meddler.unwrap()).address().to_owned()
    });
    let lists = [
        (Source::Repeats("/_catalog", r#"{"repositories":["app"]}"#), "catalog", "repeat"),
        (
            Source::Repeats("/tags/list", r#"{"name":"app","tags":["v0"]}"#),
            "tag list of `app`",
            "repeat",
        ),
        (Source::Repeats("/referrers/", r#"{"manifests":[]}"#), "referrers of `app@", "repeat"),
        (Source::EndlessPages("/_catalog"), "catalog", "never ends"),
        (Source::EndlessPages("/tags/list"), "tag list of `app`", "never ends"),
        (Source::EndlessPages("/referrers/"), "referrers of `app@", "never ends"),
    ];
    let bodies = [
        ("/_catalog", "catalog", "limit"),
        ("/tags/list", "tag list of `app`", "limit"),
        ("/referrers/", "referrers of `app@", "limit"),
        ("/manifests/sha256:", "manifest `app@sha256:", "limit"),
        ("/blobs/", "app", "sha256:"),
    ];
    let bodies = bodies.iter().flat_map(|(part, who, why)| {
        [true, false].map(|is_told| (Source::EndlessBody(part, is_told), *who, *why))
    });
    for (fault, who, why) in lists.into_iter().chain(bodies) {
        let tag = trouble.push();
        *source.lock().unwrap() = fault;
        trouble.refused(&format!("{fault:?}"), &[who, why]);
        *source.lock().unwrap() = Source::Honest;
        trouble.heals(&format!("{fault:?}"), &tag);
    }
}

impl Source {
    fn answer(self, target: &str, number: &AtomicU64) -> Option<Reply> {
        match self {
            Self::Repeats(part, list) if target.contains(part) => Some(page(target, list)),
            Self::EndlessPages(part) if target.contains(part) => {
                let first = number.fetch_add(1_000, Ordering::SeqCst);
                let names = |name: &dyn Fn(u64) -> String| {
                    (first..first + 1_000).map(name).collect::<Vec<_>>().join(",")
                };
                let list = match part {
                    "/_catalog" => {
                        format!(r#"{{"repositories":[{}]}}"#, names(&|it| format!("\"n{it}\"")))
                    }
                    "/tags/list" => {
                        let tags = names(&|it| format!("\"t{it}\""));
                        format!(r#"{{"name":"app","tags":[{tags}]}}"#)
                    }
                    _ => {
                        let named = names(&|it| format!(r#"{{"digest":"sha256:{it:064x}"}}"#));
                        format!(r#"{{"manifests":[{named}]}}"#)
                    }
                };
                Some(page(target, &list))
            }
            Self::EndlessBody(part, is_told) if target.contains(part) => {
                let length = if is_told { "Content-Length: 1000000000000\r\n" } else { "" };
                let start = format!(
                    "HTTP/1.1 200 OK\r\n\
                     Content-Type: application/vnd.oci.image.manifest.v1+json\r\n\
                     {length}Connection: close\r\n\r\n"
                );
                Some(Reply::Endless(start, PIECE))
            }
            Self::Honest | Self::Repeats(..) | Self::EndlessPages(_) | Self::EndlessBody(..) => {
                None
            }
        }
    }
}

/// A page of a list that has a next one.
fn page(target: &str, list: &str) -> Reply {
    let path = target.split('?').next().unwrap_or_default();
    Reply::Whole(format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/vnd.oci.image.index.v1+json\r\n\
         Link: <{path}?n=1000&last=more>; rel=\"next\"\r\nContent-Length: {}\r\n\
         Connection: close\r\n\r\n{list}",
        list.len()
    ))
}

/// Whose tokens are good for so many requests each; after the `most`th nobody gets another one.
#[derive(Debug)]
struct Tokens {
    /// The number of the token that is good now.
    current: u64,
    left: u64,
    each: u64,
    most: u64,
}

impl Tokens {
    fn answer(&mut self, head: &str) -> Option<Reply> {
        let target = head.split(' ').nth(1).unwrap_or_default();
        let header = |name: &str| {
            let is_it = |line: &&str| line.to_ascii_lowercase().starts_with(name);
            head.lines().find(is_it).map(|line| line[name.len()..].trim())
        };
        if target.starts_with("/token") {
            if self.current == self.most {
                return Some(whole("403 Forbidden", "", "{}"));
            }
            (self.current, self.left) = (self.current + 1, self.each);
            let token = format!(r#"{{"token":"number-{}","expires_in":300}}"#, self.current);
            return Some(whole("200 OK", "", &token));
        }
        let wanted = format!("Bearer number-{}", self.current);
        if self.left > 0 && header("authorization:") == Some(&*wanted) {
            self.left -= 1;
            return None;
        }
        let host = header("host:").unwrap_or_default();
        let challenge = format!(
            "WWW-Authenticate: Bearer realm=\"http://{host}/token\",service=\"s\",\
             scope=\"repository:app:pull\"\r\n"
        );
        Some(whole("401 Unauthorized", &challenge, "{}"))
    }
}

fn whole(status: &str, headers: &str, body: &str) -> Reply {
    Reply::Whole(format!(
        "HTTP/1.1 {status}\r\n{headers}Content-Type: application/json\r\nContent-Length: {}\r\n\
         Connection: close\r\n\r\n{body}",
        body.len()
    ))
}

/// More than are under way at once, so that a new token is not used up before it is used.
const EACH: u64 = 24;
const LAYERS: usize = 40;
/// In steps of this, the last token lives a little longer each time.
const LONGER: usize = 9;

/// A token that lives for some requests costs another one and nothing else; one after which there
/// is no other stops the run wherever it is, and the next run goes on from there.
///
/// Seen to fail: with a client that keeps the token that it got first (`is refused` where it should go
/// on).
#[test]
fn a_source_whose_token_expires_in_the_middle_is_read_on_with_another_or_named() {
    let endless = Tokens { current: 0, left: 0, each: EACH, most: u64::MAX };
    let tokens = Arc::new(Mutex::new(endless));
    let given = Arc::clone(&tokens);
    let world = World::new(Kind::Directory).only(&["east", "south"]);
    let mut proxy = None;
    let mut trouble = Trouble::new(world, 21_000, |registry| {
        let meddler = Forwarder::start_meddling(registry.address(), move |head| {
            given.lock().unwrap().answer(head)
        });
        proxy.insert(meddler.unwrap()).address().to_owned()
    });
    let set = |each, more| {
        let mut tokens = tokens.lock().unwrap();
        let most = tokens.current.saturating_add(more);
        *tokens = Tokens { left: 0, each, most, ..*tokens };
        tokens.current
    };
    let tag = trouble.push_layers(LAYERS);
    let before = set(EACH, u64::MAX);
    trouble.heals("with other tokens", &tag);
    let used = tokens.lock().unwrap().current - before;
    assert!(used >= 2, "{used} token was enough");
    for requests in (0..).step_by(LONGER) {
        let tag = trouble.push_layers(LAYERS);
        set(requests, 1);
        let in_force = trouble.look();
        let run = trouble.world.replicate(&trouble.file);
        if run.code == Some(0) {
            assert!(requests > LAYERS as u64, "{requests} requests cannot be enough");
            break;
        }
        assert_eq!(run.code, Some(3), "{requests}: {run:?}");
        assert!(run.stderr.contains("refused"), "{requests}: {run:?}");
        trouble.unchanged(&format!("{requests} requests"), &in_force);
        set(EACH, u64::MAX);
        trouble.heals(&format!("{requests} requests"), &tag);
    }
}
