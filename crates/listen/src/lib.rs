//! The door through which clients come in: listening sockets and certificates.
//!
//! It knows nothing of what is served; rooms bring their own limits and answers.

mod tls;

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

pub use tls::{Protocols, Tls, TlsError, TlsFiles};

/// Connections that may wait to be accepted. The system has a limit of its own.
const BACKLOG: i32 = 4096;

/// Binds an address, and tells one that is in use from one that is not ours. The socket does not
/// block, and is bound without `SO_REUSEPORT`: a second server on the same port is told so.
pub fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let domain = socket2::Domain::for_address(address);
    let socket = socket2::Socket::new(domain, socket2::Type::STREAM, Some(socket2::Protocol::TCP))?;
    // A server that was killed must be able to come back while old connections linger.
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Bytes of what was sent that may wait in the system before they are on their way.
const UNSENT: u32 = 128 << 10;

/// Bounds what clients that take nothing cost the system, on connections that are accepted from
/// now on: no more is taken from a writer at once than the other end takes, and a little, so that
/// it is told early that nobody reads; and what the other end has not taken after `stall` is
/// thrown away, even if the connection was closed before.
pub fn limit_untaken(listener: &TcpListener, stall: Duration) -> io::Result<()> {
    let socket = socket2::SockRef::from(listener);
    socket.set_tcp_notsent_lowat(UNSENT)?;
    socket.set_tcp_user_timeout(Some(stall))
}

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;

    use super::*;

    #[test]
    fn an_address_that_is_in_use_is_told_from_one_that_is_not_ours() {
        let first = bind(([127, 0, 0, 1], 0).into()).unwrap();
        let taken = bind(first.local_addr().unwrap()).unwrap_err();
        assert_eq!(taken.kind(), ErrorKind::AddrInUse);
        // TEST-NET-1 (RFC 5737) is nobody's.
        let foreign = bind(([192, 0, 2, 1], 0).into()).unwrap_err();
        assert_eq!(foreign.kind(), ErrorKind::AddrNotAvailable);
    }
}
