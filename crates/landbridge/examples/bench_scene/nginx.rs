//! nginx's side of the comparison: a fixed answer, and the nearest that its own modules come to
//! what the front does. It knows no objects: it redirects whatever has the shape of a blob.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use crate::{MIRRORS, neighbour_of, provider_of, public_url, weight_of};

/// The grammar of repository names.
const NAME: &str =
    r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*";

/// Writes `nginx-fixed.conf`, `nginx-equal.conf` and what the second includes.
pub(crate) fn write(root: &Path, csv: &str) -> anyhow::Result<()> {
    let fixed = format!(
        "access_log off;\nserver {{\n  listen 127.0.0.1:18101 backlog=4096;\n  location / {{ return 307 {}/blobs/sha256/{}; }}\n}}\n",
        public_url(0),
        "0123456789abcdef".repeat(4)
    );
    fs::write(root.join("nginx-fixed.conf"), main(root, "fixed", &fixed))?;
    fs::write(root.join("nginx-equal.conf"), main(root, "equal", &equal(root)?))?;
    let places: String = csv.lines().filter_map(|line| line.split_once(',')).fold(
        String::new(),
        |mut all, (prefix, place)| {
            let _infallible = writeln!(all, "{prefix} {};", place.replace(',', "/"));
            all
        },
    );
    fs::write(root.join("places.geo"), places)?;
    Ok(())
}

fn main(root: &Path, name: &str, http: &str) -> String {
    let at = root.display();
    format!(
        "daemon off;\nworker_processes 1;\nworker_cpu_affinity 1;\npid {at}/nginx-{name}.pid;\nerror_log {at}/nginx-{name}.error;\npcre_jit on;\n\
         events {{ worker_connections 4096; }}\n\
         http {{\nkeepalive_requests 1000000000;\nkeepalive_timeout 60s;\n\
         client_body_temp_path {at}/temp;\nproxy_temp_path {at}/temp;\nfastcgi_temp_path {at}/temp;\nuwsgi_temp_path {at}/temp;\nscgi_temp_path {at}/temp;\n\
         {http}}}\n"
    )
}

fn equal(root: &Path) -> anyhow::Result<String> {
    let at = root.display();
    let mut http = String::from(
        "log_format record escape=json '{\"time\":\"$time_iso8601\",\"site\":\"bench\",\"method\":\"$request_method\",\
         \"kind\":\"blob\",\"repository\":\"$repository\",\"place\":\"$place\",\"copy\":\"$target\",\
         \"agent\":\"$http_user_agent\",\"digest\":\"sha256:$hex\",\"status\":$status,\"bytes\":$body_bytes_sent}';\n",
    );
    writeln!(http, "access_log {at}/nginx-equal.log record buffer=256k flush=250ms;")?;
    writeln!(http, "map_hash_max_size 4096;\nmap_hash_bucket_size 128;")?;
    writeln!(
        http,
        "geo $place {{\n  proxy 127.0.0.0/8;\n  proxy_recursive;\n  default '';\n  include {at}/places.geo;\n}}"
    )?;
    let total: usize = (0..MIRRORS).map(weight_of).sum();
    writeln!(http, "split_clients \"$http_x_forwarded_for$repository\" $default {{")?;
    for mirror in 0..MIRRORS {
        // Hundredths of a per cent are the finest that nginx takes; the last takes the rest.
        let share = weight_of(mirror) * 10_000 / total;
        let share = if mirror + 1 == MIRRORS {
            "*".to_owned()
        } else {
            format!("{}.{:02}%", share / 100, share % 100)
        };
        writeln!(http, "  {share} {};", public_url(mirror))?;
    }
    writeln!(http, "}}\nmap $place $target {{\n  default $default;")?;
    for region in 0..2 * MIRRORS {
        if let Some(mirror) = neighbour_of(region) {
            writeln!(http, "  {}/region-{region} {};", provider_of(region), public_url(mirror))?;
        }
    }
    writeln!(
        http,
        "}}\nserver {{\n  listen 127.0.0.1:18102 backlog=4096;\n  \
         location ~ \"^/v2/(?<repository>{NAME})/blobs/sha256:(?<hex>[a-f0-9]{{64}})$\" {{\n    \
         add_header Cache-Control no-store always;\n    return 307 $target/blobs/sha256/$hex;\n  }}\n  \
         location / {{ return 404; }}\n}}"
    )?;
    Ok(http)
}
