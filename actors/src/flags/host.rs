//! The address to listen on, the name told to others, and the fault domain.
//! Opens no socket.

use std::net::{IpAddr, Ipv4Addr, ToSocketAddrs};
use std::path::Path;
use std::time::Duration;

use tepui_protocol::{json, v1};

use super::error::FlagError;
use super::values::Values;

/// Where the machine lists names of addresses.
const HOSTS_FILE: &str = "/etc/hosts";

/// Shorter sessions than any ZooKeeper grants.
const MIN_SESSION_TIMEOUT: Duration = Duration::from_secs(1);

/// The flag `ip`; loopback when not given, so that nothing is open to others by accident.
pub(super) fn ip(values: &mut Values) -> Result<IpAddr, FlagError> {
    let ip: Option<IpAddr> = values.optional("ip", "an IP address such as 127.0.0.1", |text| {
        text.trim().parse().ok()
    })?;
    let ip = ip.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST));
    if !ip.is_loopback() {
        values.note(format!(
            "listening on {ip}, which others can reach: whoever can connect can run programs on this \
             cluster, as there is no authentication in this version"
        ));
    }
    Ok(ip)
}

/// The flag `hostname`; else, as in Mesos, the name that belongs to the address, else the address.
pub(super) fn hostname(values: &Values, ip: IpAddr) -> Result<String, FlagError> {
    if let Some(hostname) = values.text("hostname") {
        let hostname = hostname.trim();
        if hostname.is_empty() {
            return Err(values.bad("hostname", "a name"));
        }
        return Ok(hostname.to_owned());
    }
    let found = if values.bool("hostname_lookup")? {
        lookup(ip)
    } else {
        None
    };
    Ok(found.unwrap_or_else(|| ip.to_string()))
}

/// The flag `zk_session_timeout`. ZooKeeper itself grants no less than twice its tick, usually 4 s.
pub(super) fn zk_session_timeout(values: &Values) -> Result<Duration, FlagError> {
    let timeout = values.duration("zk_session_timeout")?;
    if timeout < MIN_SESSION_TIMEOUT {
        return Err(values.bad("zk_session_timeout", "a duration of at least 1secs"));
    }
    Ok(timeout)
}

/// The flag `domain`; it must name a fault domain, the one kind there is.
pub(super) fn domain(values: &Values) -> Result<Option<v1::DomainInfo>, FlagError> {
    const EXAMPLE: &str = "a fault domain such as \
        {\"fault_domain\":{\"region\":{\"name\":\"R\"},\"zone\":{\"name\":\"Z\"}}}";
    let Some(text) = values.text("domain") else {
        return Ok(None);
    };
    let domain: v1::DomainInfo = json::from_slice(text.as_bytes())
        .map_err(|error| values.bad("domain", &format!("{EXAMPLE} ({error})")))?;
    match &domain.fault_domain {
        Some(place) if !place.region.name.is_empty() && !place.zone.name.is_empty() => {
            Ok(Some(domain))
        }
        Some(_) => Err(values.bad("domain", "a region and a zone with names")),
        None => Err(values.bad("domain", EXAMPLE)),
    }
}

/// The name of an address, from the machine's own knowledge: its hosts file, and its own name when
/// that leads to the address. No name server is asked for the name of an address.
pub(super) fn lookup(ip: IpAddr) -> Option<String> {
    if let Some(name) = std::fs::read_to_string(Path::new(HOSTS_FILE))
        .ok()
        .and_then(|hosts| name_in_hosts(&hosts, ip))
    {
        return Some(name);
    }
    let own = nix::unistd::gethostname().ok()?.into_string().ok()?;
    let leads_here = || {
        let mut addresses = (own.as_str(), 0).to_socket_addrs().ok()?;
        addresses.any(|address| address.ip() == ip).then_some(())
    };
    (ip.is_unspecified() || leads_here().is_some()).then_some(own)
}

/// The first name of an address in a hosts file.
pub(super) fn name_in_hosts(hosts: &str, ip: IpAddr) -> Option<String> {
    hosts.lines().find_map(|line| {
        let line = line.split('#').next()?;
        let mut words = line.split_whitespace();
        let address: IpAddr = words.next()?.parse().ok()?;
        if address == ip {
            words.next().map(str::to_owned)
        } else {
            None
        }
    })
}
