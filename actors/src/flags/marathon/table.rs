//! How a flag of the app manager is declared: name, kind, default, help, what this version does.
//! Holds no flag itself; `tables` does.

use super::kind::Kind;

/// What this version does with a flag that is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Support {
    /// Its value takes effect.
    Yes,
    /// Only these values are accepted: they name what this version does anyway. The text says why.
    Only(&'static [&'static str], &'static str),
    /// Accepted with a logged note that says why no value makes a difference.
    Inert(&'static str),
    /// Refused, for this reason.
    No(&'static str),
}

/// The part of the help text a flag stands in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Group {
    /// Help and version.
    General,
    /// The master, and what the framework says of itself.
    Mesos,
    /// Roles and features of services.
    Services,
    /// The HTTP side.
    Http,
    /// Several instances.
    Leading,
    /// Where state is kept.
    Storage,
    /// Offers and launches.
    Matching,
    /// Deployments.
    Deployments,
    /// Tasks and instances.
    Tasks,
    /// Parts loaded at start.
    Plugins,
    /// Logs.
    Logging,
    /// What is measured.
    Metrics,
}

impl Group {
    /// The heading above the group's flags.
    pub(super) fn title(self) -> &'static str {
        match self {
            Group::General => "General",
            Group::Mesos => "Master and framework",
            Group::Services => "Services: roles, ports, networks, features",
            Group::Http => "HTTP",
            Group::Leading => "Several instances",
            Group::Storage => "Storage",
            Group::Matching => "Offers and launches",
            Group::Deployments => "Deployments",
            Group::Tasks => "Tasks",
            Group::Plugins => "Plugins",
            Group::Logging => "Logging",
            Group::Metrics => "Metrics",
        }
    }
}

/// One flag.
#[derive(Debug, Clone, Copy)]
pub(super) struct Flag {
    /// Its name, without dashes in front.
    pub name: &'static str,
    /// Another name of Tepui's own.
    pub alias: Option<&'static str>,
    /// The kind of its value.
    pub kind: Kind,
    /// Marathon's default; none where it has none or finds it out when it starts.
    pub default: Option<&'static str>,
    /// What this version does with it.
    pub support: Support,
    /// Where it stands in the help text.
    pub group: Group,
    /// What it means.
    pub help: &'static str,
}

/// Declares a list of flags: `name | other_name: kind, default, support, "help";`.
macro_rules! flags {
    ($list:ident; $(
        [$group:ident]
        $($name:ident $(| $alias:ident)?: $kind:expr, $default:expr, $support:expr, $help:literal;)*
    )*) => {
        pub(super) const $list: &[Flag] = &[$($(
            Flag {
                name: stringify!($name),
                alias: flags!(@alias $($alias)?),
                kind: $kind,
                default: $default,
                support: $support,
                group: Group::$group,
                help: $help,
            },
        )*)*];
    };
    (@alias) => { None };
    (@alias $alias:ident) => { Some(stringify!($alias)) };
}

pub(super) use flags;
