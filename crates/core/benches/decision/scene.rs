//! The data of a large project and the requests of its users, all from one seed.

#![expect(clippy::cast_possible_truncation, reason = "random bits are cut to size on purpose")]

use std::net::{IpAddr, Ipv4Addr};

use landbridge_core::Digest;
use landbridge_core::client_address::{
    ClientNetwork, ForwardedHeader, TrustedProxies, client_address,
};
use landbridge_core::digest::Algorithm;
use landbridge_core::place::{PlaceId, Places, PrefixMap, RangeFormat, RangeSet};
use landbridge_core::presence::{PresenceBuilder, PresenceIndex};
use landbridge_core::request::{Request, parse};
use landbridge_core::route::{Candidate, Plan, Reason, RoutingTable, StickyKey, Tier};
use landbridge_core::topology::{CopyId, CopySet, MAX_COPIES};

use crate::synthetic::{Random, inside, ranges};

pub(crate) const COPIES: usize = 24;
const OBJECTS: usize = 500_000;
const REPOSITORIES: usize = 500;
const REQUESTS: usize = 1 << 15;

/// The proxy that all requests come through.
const PROXY: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// One request: what comes over the wire, and what the parts of a decision are given.
#[derive(Debug)]
pub(crate) struct Ask {
    pub(crate) forwarded_for: String,
    pub(crate) path: String,
    pub(crate) address: IpAddr,
    pub(crate) place: PlaceId,
    pub(crate) network: ClientNetwork,
    pub(crate) repository: String,
    pub(crate) digest: Digest,
}

/// Everything that a front knows.
pub(crate) struct Scene {
    pub(crate) asks: Vec<Ask>,
    pub(crate) ranges: RangeSet,
    pub(crate) places: Places,
    pub(crate) objects: Vec<(Digest, u64, CopySet)>,
    pub(crate) weights: [u16; MAX_COPIES],
    pub(crate) routes: RoutingTable,
    prefixes: PrefixMap,
    presence: PresenceIndex,
    trusted: TrustedProxies,
    bases: Vec<String>,
}

impl Scene {
    pub(crate) fn new(seed: u64) -> Self {
        let mut random = Random(seed);
        let csv = ranges(&mut random);
        let ranges = RangeSet::parse(RangeFormat::Csv, csv.as_bytes(), None).expect("plain CSV");
        let mut places = Places::default();
        let prefixes = PrefixMap::build(&mut places, [&ranges]).expect("few places");
        let objects = objects(&mut random);
        let mut presence = PresenceBuilder::with_capacity(objects.len());
        for (digest, size, copies) in &objects {
            presence.add(digest, *size, *copies);
        }
        let weights = std::array::from_fn(|copy| [1, 2, 4][copy % 3]);
        let trusted = TrustedProxies::Cidrs(vec!["127.0.0.0/8".parse().expect("a network")]);
        let bases =
            (0..COPIES).map(|copy| format!("https://mirror-{copy}.example.org/containers/images/"));
        let mut scene = Self {
            asks: Vec::new(),
            routes: routes(&places, weights),
            presence: presence.build(),
            bases: bases.collect(),
            ranges,
            places,
            objects,
            weights,
            prefixes,
            trusted,
        };
        scene.asks = (0..REQUESTS).map(|_| scene.ask(&mut random)).collect();
        scene
    }

    /// Who asks.
    pub(crate) fn locate(&self, ask: &Ask) -> (PlaceId, ClientNetwork) {
        let line = [ask.forwarded_for.as_bytes()];
        let client = client_address(PROXY, ForwardedHeader::XForwardedFor, line, &self.trusted);
        (self.prefixes.locate(client), ClientNetwork::of(client))
    }

    /// From which copy.
    pub(crate) fn route(
        &self,
        place: PlaceId,
        network: ClientNetwork,
        repository: &str,
        digest: &Digest,
    ) -> Option<Candidate> {
        let presence = self.presence.get(digest)?;
        let key = StickyKey::new(network.key(), repository);
        self.routes.candidates(place, key, presence.copies, CopySet::ALL).next()
    }

    /// A whole decision.
    pub(crate) fn decide(&self, ask: &Ask) -> Option<Candidate> {
        let (place, network) = self.locate(ask);
        match parse(&ask.path, None) {
            Ok(Request::Blob { repository, digest }) => {
                self.route(place, network, repository, &digest)
            }
            Ok(_) | Err(_) => None,
        }
    }

    /// Writes where the client is sent to. Returns its length.
    pub(crate) fn write_location(&self, to: Candidate, ask: &Ask, out: &mut Vec<u8>) -> usize {
        out.clear();
        out.extend_from_slice(self.bases[to.copy.index()].as_bytes());
        ask.digest.append_to(b':', out);
        out.len()
    }

    /// Whether clients at `place` are served by its own copy or a neighbour.
    pub(crate) fn has_own_tiers(&self, place: PlaceId) -> bool {
        self.routes.tiers(place) != self.routes.tiers(PlaceId::UNKNOWN)
    }

    fn ask(&self, random: &mut Random) -> Ask {
        // Half of the clients are in a cloud, half are at home.
        let address = if random.below(2) == 0 {
            let at = random.below(self.ranges.len());
            let prefix = self.ranges.iter().nth(at).map_or(PROXY, |(prefix, _)| prefix.addr());
            inside(prefix, random)
        } else {
            IpAddr::V4(Ipv4Addr::from_bits(random.next() as u32 | 1 << 30))
        };
        let (digest, ..) = self.objects[random.below(self.objects.len())];
        let repository = format!("group-{}/image-{}", random.below(20), random.below(REPOSITORIES));
        Ask {
            forwarded_for: address.to_string(),
            path: format!("/v2/{repository}/blobs/{digest}"),
            address,
            place: self.prefixes.locate(address),
            network: ClientNetwork::of(address),
            repository,
            digest,
        }
    }
}

/// Objects that most copies have.
fn objects(random: &mut Random) -> Vec<(Digest, u64, CopySet)> {
    let every = (1_u32 << COPIES) - 1;
    let object = |_| {
        let hash: Vec<u8> = (0..4).flat_map(|_| random.next().to_le_bytes()).collect();
        let digest = Digest::from_hash(Algorithm::Sha256, &hash).expect("32 bytes");
        let lacking =
            if random.below(4) == 0 { random.next() as u32 & random.next() as u32 } else { 0 };
        (digest, random.next() >> 40, CopySet::from_bits(every & !lacking))
    };
    (0..OBJECTS).map(object).collect()
}

/// A third of the regions have a copy of their own, a third have neighbours; everybody else and
/// everything else has the weighted default.
fn routes(places: &Places, weights: [u16; MAX_COPIES]) -> RoutingTable {
    let default = Tier { copies: CopySet::from_bits((1 << COPIES) - 1), reason: Reason::Default };
    let plan = |own| Plan { own, ..Plan::default() };
    let mut routes = RoutingTable::new(plan(vec![default]), weights);
    let copies = |list: &[usize]| list.iter().filter_map(|&at| CopyId::new(at % COPIES)).collect();
    for (n, (place, _)) in places.iter().enumerate() {
        let own = Tier { copies: copies(&[n]), reason: Reason::SameRegion };
        let near = Tier { copies: copies(&[n + 1, n + 2]), reason: Reason::Neighbour };
        match n % 3 {
            0 => routes.set(place, plan(vec![own, near, default])),
            1 => routes.set(place, plan(vec![near, default])),
            _ => {}
        }
    }
    routes
}
