//! The address a program tells others, where it listens on all of its addresses.
//! Opens no socket.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};

/// The address others can reach a listener at: its own, or, when it listens on every address of
/// the machine, the one its hostname leads to, as in Mesos; loopback when that is unknown.
pub fn address(listening: SocketAddr, hostname: &str) -> SocketAddr {
    if !listening.ip().is_unspecified() {
        return listening;
    }
    let found = (hostname, listening.port()).to_socket_addrs();
    let mut candidates = found.into_iter().flatten();
    candidates
        .find(|address| address.is_ipv4() == listening.is_ipv4())
        .unwrap_or_else(|| SocketAddr::new(loopback(listening.ip()), listening.port()))
}

fn loopback(like: IpAddr) -> IpAddr {
    match like {
        IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(listening: &str, hostname: &str) -> String {
        address(listening.parse().unwrap(), hostname).to_string()
    }

    #[test]
    fn a_listeners_own_address_is_told() {
        assert_eq!(told("10.1.2.3:5050", "localhost"), "10.1.2.3:5050");
    }

    #[test]
    fn every_address_becomes_that_of_the_hostname() {
        assert_eq!(told("0.0.0.0:5050", "10.1.2.3"), "10.1.2.3:5050");
        assert_eq!(told("0.0.0.0:5050", "localhost"), "127.0.0.1:5050");
    }

    #[test]
    fn an_unknown_hostname_leads_to_loopback() {
        assert_eq!(told("0.0.0.0:5050", ""), "127.0.0.1:5050");
        assert_eq!(told("[::]:5050", "10.1.2.3"), "[::1]:5050");
    }
}
