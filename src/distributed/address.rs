//! The address at which the other ranks reach this one.

use std::{
    env,
    net::{IpAddr, ToSocketAddrs, UdpSocket},
};

use crate::libtorch::Listen;

/// A network for documentation (RFC 5737): the route to it is the default route. Nothing is sent there.
const ANY_REMOTE: (&str, u16) = ("192.0.2.1", 9);

/// Where Gloo listens: on the interface that `GLOO_SOCKET_IFNAME` names, else at the address from which
/// this host reaches `host`. The default of Gloo is the address of the host's own name, which is 127.0.1.1 on
/// many systems.
pub(super) fn listen(host: &str, port: u16) -> Listen {
    let interface = env::var("GLOO_SOCKET_IFNAME").unwrap_or_default();
    match interface.split(',').next().filter(|name| !name.is_empty()) {
        Some(name) => Listen::Interface(name.to_owned()),
        None => Listen::Address(own_address(host, port)),
    }
}

fn own_address(host: &str, port: u16) -> String {
    let found = source_address((host, port));
    let is_local = host == "localhost" || host.parse().is_ok_and(|ip: IpAddr| ip.is_loopback());
    let found = match found {
        // The name of this host, which its own list of hosts maps to a loopback address.
        Some(ip) if ip.is_loopback() && !is_local => source_address(ANY_REMOTE).or(Some(ip)),
        found => found,
    };
    found.map_or_else(|| "127.0.0.1".to_owned(), |ip| ip.to_string())
}

/// The address of this host on the route to `remote`. Connecting a UDP socket sends nothing.
fn source_address(remote: (&str, u16)) -> Option<IpAddr> {
    let remote = remote.to_socket_addrs().ok()?.next()?;
    let any = if remote.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
    let socket = UdpSocket::bind(any).ok()?;
    socket.connect(remote).ok()?;
    Some(socket.local_addr().ok()?.ip())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_local_store_is_reached_from_the_loopback_address() {
        assert_eq!(own_address("127.0.0.1", 29500), "127.0.0.1");
    }

    #[test]
    fn an_unknown_host_leaves_the_loopback_address() {
        assert_eq!(own_address("no-such-host.invalid", 29500), "127.0.0.1");
    }
}
