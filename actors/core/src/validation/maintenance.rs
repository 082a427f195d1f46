//! Rules for maintenance schedules and lists of machines; the texts are Mesos's
//! (`maintenance::validation`). Changes no schedule.

use core::net::IpAddr;
use std::collections::BTreeSet;

use tepui_protocol::v1::maintenance::Schedule;
use tepui_protocol::v1::{MachineId, Unavailability};

use crate::maintenance::{MachineKey, Maintenance, Mode};

/// Checks a schedule that is to replace the present one.
///
/// # Errors
/// What is wrong with it, in Mesos's words.
pub fn schedule(schedule: &Schedule, present: &Maintenance) -> Result<(), String> {
    let mut seen = BTreeSet::new();
    for window in &schedule.windows {
        if window.machine_ids.is_empty() {
            return Err("List of machines in the maintenance window is empty".to_string());
        }
        unavailability(&window.unavailability)?;
        unique(&window.machine_ids, &mut seen)?;
    }
    for (key, machine) in &present.machines {
        if machine.mode == Mode::Down && !seen.contains(key) {
            return Err(format!(
                "Machine '{}' is deactivated and cannot be removed from the schedule",
                name(&machine.id)
            ));
        }
    }
    Ok(())
}

/// Checks a list of machines that are to go down.
///
/// # Errors
/// What is wrong with it, in Mesos's words.
pub fn start(machines: &[MachineId], present: &Maintenance) -> Result<Vec<MachineKey>, String> {
    let problem = "is not in DRAINING mode and cannot be brought down";
    in_mode(machines, present, Mode::Draining, problem)
}

/// Checks a list of machines that are to come up.
///
/// # Errors
/// What is wrong with it, in Mesos's words.
pub fn stop(machines: &[MachineId], present: &Maintenance) -> Result<Vec<MachineKey>, String> {
    let problem = "is not in DOWN mode and cannot be brought up";
    in_mode(machines, present, Mode::Down, problem)
}

fn in_mode(
    machines: &[MachineId],
    present: &Maintenance,
    mode: Mode,
    problem: &str,
) -> Result<Vec<MachineKey>, String> {
    if machines.is_empty() {
        return Err("List of machines is empty".to_string());
    }
    unique(machines, &mut BTreeSet::new())?;
    let mut keys = Vec::with_capacity(machines.len());
    for id in machines {
        let key = MachineKey::from(id);
        let Some(machine) = present.machines.get(&key) else {
            return Err(format!(
                "Machine '{}' is not part of a maintenance schedule",
                name(id)
            ));
        };
        if machine.mode != mode {
            return Err(format!("Machine '{}' {problem}", name(id)));
        }
        keys.push(key);
    }
    Ok(keys)
}

fn unavailability(unavailability: &Unavailability) -> Result<(), String> {
    let duration = unavailability.duration.as_ref();
    match duration.is_some_and(|duration| duration.nanoseconds < 0) {
        true => Err("Unavailability 'duration' is negative".to_string()),
        false => Ok(()),
    }
}

fn unique(machines: &[MachineId], seen: &mut BTreeSet<MachineKey>) -> Result<(), String> {
    for id in machines {
        machine(id)?;
        if !seen.insert(MachineKey::from(id)) {
            return Err(format!(
                "Machine '{}' appears more than once in the schedule",
                name(id)
            ));
        }
    }
    Ok(())
}

/// Mesos takes IPv4 addresses only; agents here may have IPv6 ones.
fn machine(id: &MachineId) -> Result<(), String> {
    let ip = id.ip();
    if id.hostname().is_empty() && ip.is_empty() {
        return Err("Both 'hostname' and 'ip' for a machine are empty".to_string());
    }
    match ip.is_empty() || ip.parse::<IpAddr>().is_ok() {
        true => Ok(()),
        false => Err(format!("Failed to parse IPv4: {ip}")),
    }
}

/// A machine as JSON, which is how Mesos's messages name it.
fn name(id: &MachineId) -> String {
    String::from_utf8_lossy(&tepui_protocol::json::to_vec(id)).into_owned()
}
