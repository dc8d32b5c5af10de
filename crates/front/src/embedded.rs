//! A bucket's public face, served by the front itself: `/-/mirror/NAME/` and the bucket's own keys.
//!
//! It stands for a cloud's object store where there is none: whole objects and single ranges,
//! conditional requests, `HEAD`. Only objects are served, by their exact keys.

use std::sync::Arc;

use landbridge_core::condition::Wanted;
use landbridge_core::oci_error::{Code, OciError};

use crate::answer::{Answer, By, is_known};
use crate::body::Body;
use crate::pull::Asked;
use crate::reader::{ReadError, Reader};
use crate::relay::Relay;
use crate::settings::Face;
use crate::snapshot::EMBEDDED_PATH;
use crate::world::World;

/// Answers a request below [`EMBEDDED_PATH`].
pub(crate) async fn answer(world: &Arc<World>, asked: &Asked<'_>) -> Result<Answer, OciError> {
    let unknown = || OciError::new(Code::NotFound, "there is no such object");
    let path = asked.head.uri.path();
    let (name, key) = path
        .strip_prefix(EMBEDDED_PATH)
        .and_then(|rest| rest.split_once('/'))
        .ok_or_else(unknown)?;
    let copy = world.snapshot.copy_named(name).ok_or_else(unknown)?;
    let Face::Embedded { layout, .. } = world.snapshot.settings.copies[copy.id.index()].face else {
        return Err(unknown());
    };
    let digest = layout.parse_key(key).ok_or_else(unknown)?;
    if world.is_withdrawn_anywhere(&digest) {
        return Err(unknown());
    }
    let reader: &Reader = world.running.reader(copy.id);
    let size = match reader.size("", &digest).await {
        Ok(size) => size.ok_or_else(unknown)?,
        Err(ReadError::Absent) => return Err(unknown()),
        Err(ReadError::WrongBytes(why) | ReadError::Failing(why)) => {
            tracing::warn!(copy = name, %digest, why, "an embedded mirror cannot be read");
            return Err(OciError::new(Code::Unavailable, "the object cannot be read now"));
        }
    };
    if is_known(asked.head.headers, &digest) {
        return Ok(Answer::not_modified(&digest, By::Digest));
    }
    let range = match asked.head.wanted(&digest, size) {
        Wanted::Whole => None,
        Wanted::Part(from, to) => Some((from, to)),
        Wanted::Unsatisfiable => return Ok(Answer::range_not_satisfiable(size)),
    };
    if asked.head.is_head() {
        return Ok(Answer::object(&digest, size, range, Body::Empty));
    }
    let (from, to) = range.unwrap_or((0, size));
    let relay = Relay::open(&world.running, "", &digest, vec![copy.id], from)
        .await
        .map_err(|_| unknown())?;
    let body = Body::Stream { bytes: relay.until(to), left: to - from };
    let mut answer = Answer::object(&digest, size, range, body);
    answer.copy = Some(copy.id);
    Ok(answer)
}
