//! `linux/capabilities`: which of root's rights a container has, and can ever get.
//! (Mesos: `LinuxCapabilitiesIsolatorProcess`.)

use tepui_protocol::v1::capability_info::Capability;
use tepui_protocol::v1::{CapabilityInfo, LinuxInfo};

use crate::agent::containerizer::isolator::{Capabilities, Container, Isolator, Plan};

/// The API counts from here what the kernel counts from 0.
const FIRST: i32 = 1000;

/// Takes rights away.
pub(in super::super) struct LinuxCapabilities {
    /// What containers have where the framework says nothing.
    effective: Option<u64>,
    /// What containers can get at most.
    bounding: Option<u64>,
}

impl LinuxCapabilities {
    /// From the flags `effective_capabilities` and `bounding_capabilities`.
    ///
    /// # Errors
    /// When they do not fit together.
    pub(in super::super) fn new(
        effective: Option<&CapabilityInfo>,
        bounding: Option<&CapabilityInfo>,
    ) -> Result<Self, String> {
        let effective = effective.map(bits).transpose()?;
        let bounding = bounding.map(bits).transpose()?;
        if let (Some(effective), Some(bounding)) = (effective, bounding)
            && effective & !bounding != 0
        {
            return Err(format!(
                "--effective_capabilities must be among --bounding_capabilities, which {} are not",
                names(effective & !bounding)
            ));
        }
        Ok(LinuxCapabilities {
            effective,
            bounding,
        })
    }

    fn plan(&self, linux: Option<&LinuxInfo>) -> Result<Option<Capabilities>, String> {
        let (asked, bounds) = linux.map_or(Ok((None, None)), asked)?;
        let effective = asked.or(self.effective);
        if let (Some(bounds), Some(allowed)) = (bounds, self.bounding)
            && bounds & !allowed != 0
        {
            return Err(format!(
                "Bounding capabilities '{}', but only '{}' are allowed",
                names(bounds),
                names(allowed)
            ));
        }
        let Some(bounding) = bounds.or(self.bounding).or(effective) else {
            return Ok(None);
        };
        match effective {
            Some(effective) if effective & !bounding != 0 => Err(format!(
                "Requested capabilities '{}', but only '{}' are allowed",
                names(effective),
                names(bounding)
            )),
            effective => Ok(Some(Capabilities {
                effective,
                bounding,
            })),
        }
    }
}

/// What a framework asks for: what the container has, and what it can get.
#[allow(
    deprecated,
    reason = "still part of the API, and older frameworks use it"
)]
fn asked(linux: &LinuxInfo) -> Result<(Option<u64>, Option<u64>), String> {
    if linux.capability_info.is_some() && linux.effective_capabilities.is_some() {
        let why = "Only one of 'capability_info' or 'effective_capabilities' is allowed";
        return Err(why.to_owned());
    }
    let effective = linux
        .capability_info
        .as_ref()
        .or(linux.effective_capabilities.as_ref());
    let effective = effective.map(bits).transpose()?;
    let bounding = linux.bounding_capabilities.as_ref().map(bits).transpose()?;
    Ok((effective, bounding))
}

fn bits(info: &CapabilityInfo) -> Result<u64, String> {
    let mut all = 0;
    for number in &info.capabilities {
        let bit = number.checked_sub(FIRST);
        let bit = bit.and_then(|bit| u32::try_from(bit).ok());
        let bit = bit.filter(|bit| *bit < u64::BITS);
        let bit = bit.ok_or_else(|| format!("Unknown capability {number}"))?;
        all |= 1 << bit;
    }
    Ok(all)
}

/// The names of capabilities, for messages.
fn names(bits: u64) -> String {
    let numbers = (0..u64::BITS).filter(|bit| bits & (1 << bit) != 0);
    let names = numbers.map(|bit| {
        let number = i32::try_from(bit).unwrap_or(0) + FIRST;
        match Capability::try_from(number) {
            Ok(known) => known.as_str_name().to_owned(),
            Err(_) => number.to_string(),
        }
    });
    format!("{{{}}}", names.collect::<Vec<_>>().join(", "))
}

impl Isolator for LinuxCapabilities {
    fn name(&self) -> &'static str {
        "linux/capabilities"
    }

    fn prepare(&self, container: &Container, plan: &mut Plan) -> Result<(), String> {
        let info = container.info.as_ref();
        plan.capabilities = self.plan(info.and_then(|info| info.linux_info.as_ref()))?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info(all: &[Capability]) -> CapabilityInfo {
        CapabilityInfo {
            capabilities: all.iter().map(|it| *it as i32).collect(),
        }
    }

    fn linux(effective: Option<&[Capability]>, bounding: Option<&[Capability]>) -> LinuxInfo {
        LinuxInfo {
            effective_capabilities: effective.map(info),
            bounding_capabilities: bounding.map(info),
            ..LinuxInfo::default()
        }
    }

    const CHOWN: u64 = 1;
    const KILL: u64 = 1 << 5;

    #[test]
    fn nothing_asked_changes_nothing() {
        let isolator = LinuxCapabilities::new(None, None).unwrap();
        assert_eq!(isolator.plan(None), Ok(None));
        assert_eq!(isolator.plan(Some(&LinuxInfo::default())), Ok(None));
    }

    #[test]
    fn what_is_asked_for_is_also_the_bound() {
        let isolator = LinuxCapabilities::new(None, None).unwrap();
        let asked = linux(Some(&[Capability::Chown, Capability::Kill]), None);
        let planned = isolator.plan(Some(&asked)).unwrap().unwrap();
        assert_eq!(planned.effective, Some(CHOWN | KILL));
        assert_eq!(planned.bounding, CHOWN | KILL);
    }

    #[test]
    fn the_operators_bounds_hold() {
        let allowed = info(&[Capability::Chown]);
        let isolator = LinuxCapabilities::new(None, Some(&allowed)).unwrap();
        let planned = isolator.plan(None).unwrap().unwrap();
        assert_eq!((planned.effective, planned.bounding), (None, CHOWN));
        let asked = linux(Some(&[Capability::Kill]), None);
        assert_eq!(
            isolator.plan(Some(&asked)),
            Err("Requested capabilities '{KILL}', but only '{CHOWN}' are allowed".to_owned())
        );
        let asked = linux(None, Some(&[Capability::Kill]));
        assert_eq!(
            isolator.plan(Some(&asked)),
            Err("Bounding capabilities '{KILL}', but only '{CHOWN}' are allowed".to_owned())
        );
        let refused = LinuxCapabilities::new(Some(&info(&[Capability::Kill])), Some(&allowed));
        assert!(refused.is_err());
    }
}
