//! Real servers, real clients and small real images for Landbridge's tests.
//!
//! Why: what a registry client does with an answer is decided by the client, not by a specification; a test that lets
//! the client itself pull is the only one that can fail for the right reason. So almost nothing here imitates: the
//! registries are Debian's `docker-registry` and Landbridge's own origin, the clients are the distribution's own
//! packages. [`Gcs`] alone is a double, of a store for which there is no other.
//!
//! Invariant: everything runs in a private temporary directory, speaks to loopback only, has a deadline, and is gone
//! when its value is dropped. A program that is not installed is an error, never a skipped test.

pub mod attack;
mod azurite;
mod buildah;
mod certificate;
mod containerd;
mod counter;
mod dockerd;
mod forwarder;
mod garage;
mod gcs;
pub mod h2;
mod hello;
mod honest;
pub mod http;
pub mod image;
mod layout;
mod origin;
mod podman;
mod process;
mod program;
mod pulled;
mod registry;
mod s3;
mod skopeo;
mod stores;
mod tmpfs;

pub use azurite::Azurite;
pub use buildah::Buildah;
pub use certificate::Certificate;
pub use containerd::Containerd;
pub use counter::{Counted, Counter};
pub use dockerd::Dockerd;
pub use forwarder::{Fault, Forwarder, Reply};
pub use garage::Garage;
pub use gcs::Gcs;
pub use honest::{Honest, Waited};
pub use layout::Layout;
pub use origin::Origin;
pub use podman::Podman;
pub use process::{Finished, Server, Signal, run};
pub use pulled::{Layers, Platforms, Pulled};
pub use registry::{DockerRegistry, Login};
pub use s3::{Conditions, S3, S3Fault};
pub use skopeo::{Skopeo, Synced};
pub use stores::{StoreAddress, StoreKind};
pub use tmpfs::Tmpfs;
