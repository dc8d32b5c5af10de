//! Access records of a month that never was, the same for the same seed.
//!
//! Clients in no known cloud take 27 TB on each day of a weekend and 40 TB on a working day; those
//! in AWS and Google Cloud take the rest, one and a half times as much. All follow the sun where they
//! are. Popularity is skewed: few repositories are most of the pulls, others most of the bytes.
//!
//! ```text
//! synthetic_month FILE [--seed N] [--days N]   rolled up to ten minutes; FILE.zst is compressed
//! synthetic_month FILE --raw LINES [--seed N]  a line for each answer, as many as LINES, of a day
//! ```

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::process::ExitCode;

use landbridge_core::Digest;
use landbridge_core::record::AccessRecord;

/// Monday, 2026-06-01, in seconds since 1970.
const MONDAY: u64 = 1_780_272_000;
const DAY: u64 = 86_400;
/// What is rolled up.
const SLOT: u64 = 600;
const TB: f64 = 1e12;
/// What clients in no known cloud take.
const WORKING_DAY: f64 = 40.0 * TB;
const WEEKEND_DAY: f64 = 27.0 * TB;

/// Where clients are: provider, region, hours from UTC, how much they take of what those in no
/// cloud take, and which copy serves them.
const PLACES: [(&str, &str, f64, f64, &str); 12] = [
    ("", "", 0.0, 1.0, "cdn"),
    ("aws", "us-east-1", -5.0, 0.40, "s3-us-east-1"),
    ("aws", "us-east-2", -5.0, 0.12, "s3-us-east-1"),
    ("aws", "us-west-2", -8.0, 0.20, "s3-us-west-2"),
    ("aws", "eu-central-1", 1.0, 0.16, "s3-eu-central-1"),
    ("aws", "eu-west-1", 0.0, 0.12, "s3-eu-central-1"),
    ("aws", "ap-south-1", 5.5, 0.06, "s3-ap-south-1"),
    ("gcp", "us-central1", -6.0, 0.18, "gcs-us-central1"),
    ("gcp", "us-east1", -5.0, 0.08, "gcs-us-central1"),
    ("gcp", "europe-west1", 1.0, 0.10, "gcs-europe-west1"),
    ("gcp", "europe-west4", 1.0, 0.05, "gcs-europe-west1"),
    ("gcp", "asia-east1", 8.0, 0.03, "gcs-us-central1"),
];

/// Repositories, the most popular first: kilobytes of a pull, and its blobs.
const REPOSITORIES: [(&str, u64, u64); 30] = [
    ("pause", 300, 2),
    ("coredns/coredns", 18_000, 4),
    ("kube-proxy", 30_000, 4),
    ("metrics-server/metrics-server", 20_000, 6),
    ("ingress-nginx/controller", 105_000, 15),
    ("ingress-nginx/kube-webhook-certgen", 24_000, 5),
    ("kube-state-metrics/kube-state-metrics", 16_000, 5),
    ("autoscaling/cluster-autoscaler", 45_000, 6),
    ("sig-storage/csi-node-driver-registrar", 11_000, 6),
    ("sig-storage/livenessprobe", 10_000, 6),
    ("sig-storage/csi-provisioner", 28_000, 6),
    ("sig-storage/csi-attacher", 25_000, 6),
    ("sig-storage/csi-resizer", 26_000, 6),
    ("sig-storage/csi-snapshotter", 26_000, 6),
    ("kube-apiserver", 32_000, 4),
    ("kube-controller-manager", 29_000, 4),
    ("kube-scheduler", 18_000, 4),
    ("etcd", 57_000, 8),
    ("external-dns/external-dns", 40_000, 5),
    ("provider-aws/cloud-controller-manager", 24_000, 5),
    ("dns/k8s-dns-node-cache", 34_000, 6),
    ("node-problem-detector/node-problem-detector", 90_000, 9),
    ("cluster-api/cluster-api-controller", 22_000, 5),
    ("kueue/kueue", 33_000, 5),
    ("nfd/node-feature-discovery", 60_000, 7),
    ("sig-storage/nfs-provisioner", 98_000, 8),
    ("e2e-test-images/agnhost", 51_000, 12),
    ("conformance", 250_000, 5),
    ("prometheus-adapter/prometheus-adapter", 27_000, 4),
    ("gateway-api/admission-server", 14_000, 5),
];

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    let Some(file) = args.next().filter(|it| !it.starts_with("--")) else { return usage() };
    let (mut seed, mut days, mut raw) = (1, 30, None);
    while let Some(name) = args.next() {
        let Some(number) = args.next().and_then(|it| it.parse::<u64>().ok()) else {
            return usage();
        };
        match name.as_str() {
            "--seed" => seed = number,
            "--days" => days = number,
            "--raw" => raw = Some(number),
            _ => return usage(),
        }
    }
    match write(&file, seed, days, raw) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "cannot write `{file}`: {error}");
            ExitCode::FAILURE
        }
    }
}

fn usage() -> ExitCode {
    let text = "synthetic_month FILE [--seed N] [--days N | --raw LINES]";
    let _ = writeln!(io::stderr(), "{text}");
    ExitCode::from(2)
}

fn write(file: &str, seed: u64, days: u64, raw: Option<u64>) -> io::Result<()> {
    let created = BufWriter::with_capacity(1 << 20, File::create(file)?);
    let month = Month::new(seed);
    if Path::new(file).extension().is_none_or(|it| it != "zst") {
        let mut out = created;
        month.write(&mut out, days, raw)?;
        return out.flush();
    }
    let mut out = zstd::Encoder::new(created, 6)?;
    month.write(&mut out, days, raw)?;
    out.finish()?.flush()
}

/// Draws that are the same for the same seed.
struct Dice(u64);

impl Dice {
    /// `SplitMix64`.
    fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut x = self.0;
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        x ^ (x >> 31)
    }

    /// Below one.
    fn unit(&mut self) -> f64 {
        (self.roll() >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn one_of<'a, T>(&mut self, all: &'a [T]) -> Option<&'a T> {
        all.get(usize::try_from(self.roll() % all.len().max(1) as u64).ok()?)
    }

    /// A whole number that is `mean` on the whole, and scatters.
    fn about(&mut self, mean: f64) -> u64 {
        let spread = mean.sqrt() * 3.0;
        let drawn = mean + (self.unit() - 0.5) * spread;
        // Below one it happens sometimes.
        let whole = drawn.max(0.0);
        floor(whole) + u64::from(self.unit() < whole.fract())
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "counts of pulls are small, and none is below zero"
)]
fn floor(number: f64) -> u64 {
    number as u64
}

struct Month {
    seed: u64,
    /// By repository: pulls for each byte of all.
    pulls_for_a_byte: Vec<f64>,
}

impl Month {
    fn new(seed: u64) -> Self {
        let weights: Vec<f64> = (1..=REPOSITORIES.len()).map(|rank| 1.0 / rank as f64).collect();
        let bytes: f64 = weights
            .iter()
            .zip(&REPOSITORIES)
            .map(|(weight, (_, size, _))| weight * *size as f64 * 1e3)
            .sum();
        let pulls_for_a_byte = weights.iter().map(|weight| weight / bytes).collect();
        Self { seed, pulls_for_a_byte }
    }

    fn write(&self, out: &mut impl Write, days: u64, raw: Option<u64>) -> io::Result<()> {
        match raw {
            Some(lines) => self.write_raw(out, lines),
            None => (0..days * DAY / SLOT).try_for_each(|slot| self.write_slot(out, slot)),
        }
    }

    /// Bytes that a place takes in a slot.
    fn demand(place: (f64, f64), slot: u64) -> f64 {
        let (hours, share) = place;
        let at = slot * SLOT;
        let day = at / DAY % 7;
        let total = if day < 5 { WORKING_DAY } else { WEEKEND_DAY };
        let hour = (at % DAY) as f64 / 3_600.0 + hours;
        // Most at three in the afternoon; who is nowhere is everywhere.
        let swing = if hours == 0.0 { 0.2 } else { 0.45 };
        let sun = ((hour - 15.0) / 24.0 * std::f64::consts::TAU).cos();
        total * share * (1.0 + swing * sun) * SLOT as f64 / DAY as f64
    }

    fn write_slot(&self, out: &mut impl Write, slot: u64) -> io::Result<()> {
        let mut dice = Dice(self.seed ^ slot << 20);
        let time = moment(MONDAY + slot * SLOT, 0);
        let mut line = Vec::new();
        for (provider, region, hours, share, copy) in PLACES {
            let demand = Self::demand((hours, share), slot);
            for ((repository, size, blobs), pulls) in
                REPOSITORIES.iter().zip(&self.pulls_for_a_byte)
            {
                let pulls = dice.about(demand * pulls);
                if pulls == 0 {
                    continue;
                }
                let record = AccessRecord {
                    time: &time,
                    site: "registry.example",
                    method: "GET",
                    kind: "manifest",
                    repository,
                    tag: "",
                    digest: None,
                    provider,
                    region,
                    copy: "",
                    status: 200,
                    bytes: pulls * (700 + blobs * 160),
                    agent: "containerd",
                };
                line.clear();
                append_row(&record, pulls, &mut line);
                let bytes = pulls * size * 1_000;
                let record = AccessRecord { kind: "blob", copy, status: 307, bytes, ..record };
                append_row(&record, pulls * blobs, &mut line);
                out.write_all(&line)?;
            }
        }
        Ok(())
    }

    /// The first day, thinned to so many answers: each manifest is followed by its blobs.
    fn write_raw(&self, out: &mut impl Write, lines: u64) -> io::Result<()> {
        let mut dice = Dice(self.seed);
        let digests: Vec<_> =
            (0..512_u32).map(|number| Digest::sha256_of(&number.to_le_bytes())).collect();
        let places: f64 = PLACES.iter().map(|place| place.3).sum();
        let popularity: f64 = self.pulls_for_a_byte.iter().sum();
        let mut line = Vec::new();
        let mut written = 0;
        while written < lines {
            let at = MONDAY * 1_000 + written * DAY * 1_000 / lines;
            let time = moment(at / 1_000, at % 1_000);
            let place = pick(dice.unit() * places, PLACES.iter().map(|place| place.3));
            let (provider, region, _, _, copy) = PLACES[place];
            let repository = pick(dice.unit() * popularity, self.pulls_for_a_byte.iter().copied());
            let (repository, size, blobs) = REPOSITORIES[repository];
            let record = AccessRecord {
                time: &time,
                site: "registry.example",
                method: "GET",
                kind: "manifest",
                repository,
                tag: "v1.2.3",
                digest: dice.one_of(&digests),
                provider,
                region,
                copy: "",
                status: 200,
                bytes: 700 + blobs * 160,
                agent: "containerd",
            };
            line.clear();
            record.append_json(&mut line);
            for _ in 0..blobs.min(lines - written - 1) {
                let digest = dice.one_of(&digests);
                let bytes = size * 1_000 / blobs;
                AccessRecord { kind: "blob", tag: "", copy, status: 307, bytes, digest, ..record }
                    .append_json(&mut line);
            }
            written += 1 + blobs.min(lines - written - 1);
            out.write_all(&line)?;
        }
        Ok(())
    }
}

/// Which of `weights` the point `at` of their sum falls on.
fn pick(mut at: f64, weights: impl IntoIterator<Item = f64>) -> usize {
    let is_there = |weight: f64| {
        at -= weight;
        at < 0.0
    };
    weights.into_iter().position(is_there).unwrap_or(0)
}

/// A line as a front writes it that rolls up.
fn append_row(record: &AccessRecord<'_>, answers: u64, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"time\":\"");
    out.extend_from_slice(record.time.as_bytes());
    out.push(b'"');
    record.append_fields(out);
    out.extend_from_slice(
        format!(",\"bytes\":{},\"answers\":{answers}}}\n", record.bytes).as_bytes(),
    );
}

fn moment(second: u64, millis: u64) -> String {
    let at = i64::try_from(second).ok().and_then(|at| jiff::Timestamp::from_second(at).ok());
    let text = at.map(|at| at.to_string()).unwrap_or_default();
    format!("{}.{millis:03}Z", text.trim_end_matches('Z'))
}
