//! Host ports of an instance, taken from the ranges of an offer.
//! Scalars are `matching`'s; discovery and variables are `task`'s.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use tepui_protocol::marathon::{App, NetworkMode};
use tepui_protocol::v1;

use crate::ids::IdSource;
use crate::resources::{Amount, Entry, Format, Name, Resources};

#[cfg(test)]
mod tests;

/// From which the number of a port without host and container port is drawn; it exists in
/// variables only. Marathon.
const NUMBERS_FOR_VARIABLES: std::ops::RangeInclusive<u16> = 1025..=u16::MAX;

/// One port that an app declares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PortWish {
    /// What the app says: the port of a port definition, or the container port of a mapping.
    pub declared: u16,
    /// What is needed on the host.
    pub host: HostPort,
    /// Port of the container, 0 for any; none with host networking.
    pub container: Option<u16>,
}

/// What a declared port needs on the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HostPort {
    /// No port at all.
    None,
    /// Any port.
    Any,
    /// This one.
    Fixed(u16),
}

/// One declared port with the numbers it got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AssignedPort {
    /// What the app says, see [`PortWish::declared`].
    pub declared: u16,
    /// Port on the host, if it has one.
    pub host: Option<u16>,
    /// Port of the container; none with host networking. 0 only without a host port.
    pub container: Option<u16>,
    /// The number in variables: the host port, else the container port, else a random one.
    pub variable: u16,
}

impl AssignedPort {
    /// Where the task itself listens: the container port, with host networking the host port.
    pub fn inside(&self) -> Option<u16> {
        self.container.or(self.host).filter(|port| *port != 0)
    }
}

/// Ports of one instance.
#[derive(Debug, Clone, Default)]
pub struct Ports {
    /// In the order in which the app declares them.
    pub assigned: Vec<AssignedPort>,
    /// What they take from the offer, with the reservations it has there.
    pub consumed: Resources,
}

/// Why an offer's ports do not do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PortsLacking {
    /// These fixed ports are not offered; sorted.
    Fixed(Vec<u16>),
    /// There are too few besides the fixed ones.
    Any {
        /// How many random ports the app needs.
        wanted: usize,
        /// How many there are.
        offered: usize,
    },
}

/// The ports that an app declares: of port definitions with host networking, else of mappings.
pub fn wishes(app: &App) -> Vec<PortWish> {
    if is_on_host_network(app) {
        let definitions = app.port_definitions.iter().flatten();
        let wish = |port: u16| PortWish {
            declared: port,
            host: match app.require_ports && port != 0 {
                true => HostPort::Fixed(port),
                false => HostPort::Any,
            },
            container: None,
        };
        return definitions
            .map(|definition| wish(definition.port))
            .collect();
    }
    let container = app.container.iter();
    let mappings = container.flat_map(|container| container.port_mappings.iter().flatten());
    let wish = |container: u16, host: Option<u16>| PortWish {
        declared: container,
        host: match host {
            None => HostPort::None,
            Some(0) => HostPort::Any,
            Some(port) => HostPort::Fixed(port),
        },
        container: Some(container),
    };
    mappings
        .map(|mapping| wish(mapping.container_port, mapping.host_port))
        .collect()
}

/// Whether an app's tasks share the host's network.
pub fn is_on_host_network(app: &App) -> bool {
    app.networks
        .iter()
        .all(|network| network.mode == NetworkMode::Host)
}

/// Finds a port for each wish among the `ports` of `offered`, all of which may be used.
///
/// Random ports follow each other within a range, starting at a random place of a random range,
/// and leave out the fixed ones. Two wishes for one fixed port share it: one may be for UDP.
/// Marathon.
///
/// # Errors
/// When ports are lacking.
pub fn assign(
    wishes: &[PortWish],
    offered: &Resources,
    random: &mut IdSource,
) -> Result<Ports, PortsLacking> {
    let fixed: BTreeSet<u16> = wishes.iter().filter_map(|wish| wish.host.fixed()).collect();
    let any = wishes
        .iter()
        .filter(|wish| wish.host == HostPort::Any)
        .count();
    let mut taken = Taken::default();
    if !fixed.is_empty() || any > 0 {
        let pools = pools(offered);
        taken.fixed(&fixed, &pools)?;
        taken.any(any, &fixed, pools, random)?;
    }
    Ok(Ports {
        assigned: numbered(wishes, &taken.any, random),
        consumed: taken.consumed(offered),
    })
}

impl HostPort {
    fn fixed(self) -> Option<u16> {
        match self {
            HostPort::Fixed(port) => Some(port),
            HostPort::None | HostPort::Any => None,
        }
    }
}

/// A range of one entry of the offer: position of the entry, first and last port.
#[derive(Debug, Clone, Copy)]
struct Pool {
    entry: usize,
    first: u16,
    last: u16,
}

/// The ranges of ports offered; what is no port number is left out.
fn pools(offered: &Resources) -> Vec<Pool> {
    let mut pools = Vec::new();
    for (entry, one) in offered.iter().enumerate() {
        let (Name::Ports, Amount::Ranges(ranges)) = (one.kind(), one.amount()) else {
            continue;
        };
        for (begin, end) in ranges.iter() {
            let last = u16::try_from(*end).unwrap_or(u16::MAX);
            if let Ok(first) = u16::try_from((*begin).max(1))
                && first <= last
            {
                pools.push(Pool { entry, first, last });
            }
        }
    }
    pools
}

/// What has been taken so far.
#[derive(Default)]
struct Taken {
    /// Which entry a port is taken from; several wishes may share a fixed one.
    from: BTreeMap<u16, usize>,
    /// The random ones, in order.
    any: Vec<u16>,
}

impl Taken {
    fn fixed(&mut self, fixed: &BTreeSet<u16>, pools: &[Pool]) -> Result<(), PortsLacking> {
        let mut lacking = Vec::new();
        for port in fixed {
            let holder = |pool: &&Pool| (pool.first..=pool.last).contains(port);
            match pools.iter().find(holder) {
                Some(pool) => {
                    self.from.insert(*port, pool.entry);
                }
                None => lacking.push(*port),
            }
        }
        match lacking.is_empty() {
            true => Ok(()),
            false => Err(PortsLacking::Fixed(lacking)),
        }
    }

    fn any(
        &mut self,
        wanted: usize,
        fixed: &BTreeSet<u16>,
        mut pools: Vec<Pool>,
        random: &mut IdSource,
    ) -> Result<(), PortsLacking> {
        if wanted == 0 {
            return Ok(());
        }
        shuffle(&mut pools, random);
        for pool in turned(&pools, random) {
            for port in pool.first..=pool.last {
                if self.any.len() == wanted {
                    return Ok(());
                }
                // Ranges of different reservations may overlap in a broken offer.
                if fixed.contains(&port) || self.from.contains_key(&port) {
                    continue;
                }
                self.from.insert(port, pool.entry);
                self.any.push(port);
            }
        }
        match self.any.len() {
            found if found == wanted => Ok(()),
            offered => Err(PortsLacking::Any { wanted, offered }),
        }
    }

    fn consumed(&self, offered: &Resources) -> Resources {
        let mut by_entry: BTreeMap<usize, Vec<u16>> = BTreeMap::new();
        for (port, entry) in &self.from {
            by_entry.entry(*entry).or_default().push(*port);
        }
        let entries = offered.iter().enumerate();
        entries
            .filter_map(|(at, entry)| part_of(entry, by_entry.get(&at)?))
            .collect()
    }
}

/// The same entry with only these ports.
fn part_of(entry: &Entry, ports: &[u16]) -> Option<Entry> {
    let mut resource = entry.to_v1(Format::PostRefinement);
    let range = ports.iter().map(|port| v1::value::Range {
        begin: u64::from(*port),
        end: u64::from(*port),
    });
    resource.ranges = Some(v1::value::Ranges {
        range: joined(range),
    });
    Entry::from_v1(&resource).ok()
}

/// Joins neighbours of sorted ranges.
fn joined(ranges: impl Iterator<Item = v1::value::Range>) -> Vec<v1::value::Range> {
    let mut joined: Vec<v1::value::Range> = Vec::new();
    for range in ranges {
        match joined.last_mut() {
            Some(last) if last.end + 1 == range.begin => last.end = range.end,
            _ => joined.push(range),
        }
    }
    joined
}

fn shuffle(pools: &mut [Pool], random: &mut IdSource) {
    for at in (1..pools.len()).rev() {
        pools.swap(at, below(random, at + 1));
    }
}

/// The ranges from a random port of the first one on, what was before it last.
fn turned(pools: &[Pool], random: &mut IdSource) -> Vec<Pool> {
    let Some((first, others)) = pools.split_first() else {
        return Vec::new();
    };
    let size = usize::from(first.last - first.first) + 1;
    let start = first.first + u16::try_from(below(random, size)).unwrap_or(0);
    let from = |port| Pool {
        first: port,
        ..*first
    };
    let mut turned = vec![from(start)];
    turned.extend_from_slice(others);
    if start > first.first {
        turned.push(Pool {
            last: start - 1,
            ..*first
        });
    }
    turned
}

/// A random number below `limit`, which is not 0.
fn below(random: &mut IdSource, limit: usize) -> usize {
    (random.next_u64() % limit.max(1) as u64) as usize
}

/// Gives each wish its numbers; `any` holds a port for each wish for a random one.
fn numbered(wishes: &[PortWish], any: &[u16], random: &mut IdSource) -> Vec<AssignedPort> {
    let mut any = any.iter().copied();
    let mut assigned: Vec<AssignedPort> = wishes
        .iter()
        .map(|wish| {
            let host = match wish.host {
                HostPort::None => None,
                HostPort::Any => any.next(),
                HostPort::Fixed(port) => Some(port),
            };
            let container = wish.container.map(|port| match (port, host) {
                (0, Some(host)) => host,
                (port, _) => port,
            });
            AssignedPort {
                declared: wish.declared,
                host,
                container,
                variable: host.or(container).unwrap_or(0),
            }
        })
        .collect();
    let mut used: BTreeSet<u16> = assigned.iter().map(|port| port.variable).collect();
    for port in assigned.iter_mut().filter(|port| port.variable == 0) {
        port.variable = free_number(&used, random);
        used.insert(port.variable);
    }
    assigned
}

/// A random number for variables that is not used yet; when all are, any.
fn free_number(used: &BTreeSet<u16>, random: &mut IdSource) -> u16 {
    let (first, last) = NUMBERS_FOR_VARIABLES.into_inner();
    let size = usize::from(last - first) + 1;
    let start = first + u16::try_from(below(random, size)).unwrap_or(0);
    let mut numbers = (start..=last).chain(first..start);
    numbers
        .find(|number| !used.contains(number))
        .unwrap_or(start)
}

impl fmt::Display for PortsLacking {
    /// E.g. `wanted 2 random ports, offered 1`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PortsLacking::Fixed(ports) => {
                let texts: Vec<String> = ports.iter().map(u16::to_string).collect();
                let noun = if ports.len() == 1 { "port" } else { "ports" };
                write!(f, "wanted {noun} {}, not offered", texts.join(", "))
            }
            PortsLacking::Any { wanted, offered } => {
                let noun = if *wanted == 1 { "port" } else { "ports" };
                write!(f, "wanted {wanted} random {noun}, offered {offered}")
            }
        }
    }
}
