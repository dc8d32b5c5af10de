//! What `landbridge serve` says when it is ready.

use std::fmt::Write as _;
use std::net::SocketAddr;

use landbridge_front::Front;
use landbridge_front::settings::{RangeLocation, RangeSource, Settings};

use super::Origin;
use crate::cli::DEFAULT_DATA;
use crate::own::{Own, reachable};

/// What the greeting says of the settings.
pub(super) struct Served {
    /// `http` or `https`.
    scheme: &'static str,
    /// Names of ranges that are no provider's own.
    demonstrations: Vec<String>,
    /// Where the origin beside the front listens, and what it speaks there, if there is one.
    own: Option<(SocketAddr, &'static str)>,
}

impl Served {
    pub(super) fn of(settings: &Settings, own: Option<&Own>) -> Self {
        let is_demonstration =
            |source: &&RangeSource| source.location == RangeLocation::Demonstration;
        let demonstrations = settings.ranges.iter().filter(is_demonstration);
        Self {
            scheme: if settings.listen.tls.is_some() { "https" } else { "http" },
            demonstrations: demonstrations.map(|source| source.name.clone()).collect(),
            own: own.map(|own| (own.address(), own.scheme())),
        }
    }
}

/// What is said when the front is ready. The lines before the first empty one are for programs too.
pub(super) fn greeting(front: &Front, origin: &Origin, served: &Served) -> String {
    let (public, admin) = front.addresses();
    let scheme = served.scheme;
    let mut text = format!("listening on {scheme}://{public}\nadmin on http://{admin}\n");
    if let Some((own, scheme)) = served.own {
        let _ = writeln!(text, "origin on {scheme}://{own}");
    }
    text.push('\n');
    match origin {
        Origin::File(file) => {
            let _ = writeln!(text, "configuration: {}", file.display());
        }
        Origin::Data(data, _) => {
            let mirrors: Vec<_> = data.mirrors().map(|(name, ..)| name).collect();
            let (path, mirrors) = (data.path().display(), mirrors.join(", "));
            let _ = writeln!(text, "data: {path}: the origin and the mirrors {mirrors}");
        }
    }
    for (name, prefixes) in front.ranges() {
        let _ = write!(text, "address ranges: {name}, {prefixes} prefixes");
        let is_demonstration = served.demonstrations.contains(&name);
        text.push_str(if is_demonstration {
            ", built in for trying it out; --ranges published fetches what AWS and Google publish\n"
        } else {
            "\n"
        });
    }
    text.push_str("\ntry:\n");
    for command in commands(reachable(public), reachable(admin), origin, scheme) {
        let _ = writeln!(text, "  {command}");
    }
    if let Some(own) = served.own.map(|(own, _)| reachable(own)) {
        let public = reachable(public);
        let _ = write!(
            text,
            "\npush, and pull it through the front:\n  \
             skopeo copy --dest-tls-verify=false oci:IMG docker://{own}/demo:1\n  \
             skopeo inspect --tls-verify=false docker://{public}/demo:1\n"
        );
    }
    text
}

/// Three commands to try; the second shows the routing.
fn commands(public: SocketAddr, admin: SocketAddr, origin: &Origin, scheme: &str) -> [String; 3] {
    let program = std::env::args().next().unwrap_or_else(|| "landbridge".to_owned());
    match origin {
        Origin::Data(data, _) => {
            let is_default =
                std::path::absolute(DEFAULT_DATA).is_ok_and(|path| path == data.path());
            let place = if is_default {
                String::new()
            } else {
                format!(" --data {}", data.path().display())
            };
            [
                format!("skopeo inspect --tls-verify=false docker://{public}/landbridge:latest"),
                format!(
                    "{program} explain landbridge:latest --from 3.5.140.1{place}     # an AWS address"
                ),
                format!("podman pull --tls-verify=false {public}/landbridge:latest"),
            ]
        }
        Origin::File(_) => [
            format!("curl -i {scheme}://{public}/v2/"),
            format!(
                "{program} explain NAME:TAG --from 3.5.140.1 --server http://{admin}     # an AWS address"
            ),
            format!("curl http://{admin}/readyz"),
        ],
    }
}
