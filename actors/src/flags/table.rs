//! How a flag is declared: name, old name, type, default, help, and what this version does with it.
//! Holds no flag itself; `tables` does.

use super::kind::Kind;

/// What this version does with a flag that is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Support {
    /// Its value takes effect.
    Yes,
    /// Only these values are accepted: they name what this version does anyway.
    Only(&'static [&'static str]),
    /// Accepted with a logged note that says why no value makes a difference.
    Inert(&'static str),
    /// Refused.
    No,
}

/// The part of the help text a flag stands in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Group {
    /// Help, version, configuration directory.
    General,
    /// Addresses and names.
    Network,
    /// Where state is kept.
    Storage,
    /// What is logged.
    Logging,
    /// Frameworks, roles and what they may do.
    Frameworks,
    /// Offers and their division.
    Allocation,
    /// Agents as the master sees them.
    Agents,
    /// An agent's resources and attributes.
    Resources,
    /// Executors and tasks on an agent.
    Executors,
    /// Who may do what.
    Security,
    /// How containers are built and isolated.
    Containers,
    /// Parts loaded at start.
    Modules,
}

impl Group {
    /// The heading above the group's flags.
    pub(super) fn title(self) -> &'static str {
        match self {
            Group::General => "General",
            Group::Network => "Network",
            Group::Storage => "Storage",
            Group::Logging => "Logging",
            Group::Frameworks => "Frameworks and roles",
            Group::Allocation => "Offers and allocation",
            Group::Agents => "Agents",
            Group::Resources => "Resources and attributes",
            Group::Executors => "Executors",
            Group::Security => "Authentication and authorization",
            Group::Containers => "Containers",
            Group::Modules => "Modules",
        }
    }
}

/// One flag.
#[derive(Debug, Clone, Copy)]
pub(super) struct Flag {
    /// Its name, without dashes in front.
    pub name: &'static str,
    /// An old name, accepted with a warning.
    pub alias: Option<&'static str>,
    /// The type of its value.
    pub kind: Kind,
    /// Mesos's default, in the form in which Mesos prints it.
    pub default: Option<&'static str>,
    /// What this version does with it.
    pub support: Support,
    /// Where it stands in the help text.
    pub group: Group,
    /// What it means.
    pub help: &'static str,
}

/// The flags of one program.
#[derive(Debug)]
pub(super) struct Table {
    /// The program's name.
    pub program: &'static str,
    /// What the program is, for the help text.
    pub about: &'static str,
    /// The flags, in several lists so that those of both programs are declared once.
    pub lists: &'static [&'static [Flag]],
    /// Defaults that differ from Mesos's: what `/flags` shows for them, and why.
    pub own_defaults: &'static [(&'static str, &'static str)],
    /// Flags that Mesos has only in builds with an optional feature: not shown by `/flags`.
    pub build_conditional: &'static [&'static str],
}

impl Table {
    /// All flags.
    pub(super) fn flags(&self) -> impl Iterator<Item = &'static Flag> {
        self.lists.iter().flat_map(|list| list.iter())
    }

    /// The flag with this name or old name, and whether it was the old one.
    pub(super) fn find(&self, name: &str) -> Option<(&'static Flag, bool)> {
        self.flags().find_map(|flag| {
            if flag.name == name {
                Some((flag, false))
            } else {
                (flag.alias == Some(name)).then_some((flag, true))
            }
        })
    }

    /// The default in effect, if any.
    pub(super) fn default_of(&self, flag: &Flag) -> Option<&'static str> {
        let own = self
            .own_defaults
            .iter()
            .find(|(name, _)| *name == flag.name);
        own.map(|(_, value)| *value).or(flag.default)
    }
}

/// Declares a list of flags: `name | old_name: kind, default, support, "help";`.
macro_rules! flags {
    ($list:ident; $(
        [$group:ident]
        $($name:ident $(| $alias:ident)?: $kind:ident, $default:expr, $support:expr, $help:literal;)*
    )*) => {
        pub(in crate::flags) const $list: &[Flag] = &[$($(
            Flag {
                name: stringify!($name),
                alias: flags!(@alias $($alias)?),
                kind: Kind::$kind,
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
