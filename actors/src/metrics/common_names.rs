//! The names of what master and agent have in common: resources, the machine, the process.
//! Measures nothing itself.

use tepui_core::master::agent_sums::{Amounts, KINDS};

use super::marathon::process::Process;
use super::sink::{Family, Sink, counter, gauge};
use super::system::System;
use crate::http::version::TEPUI_VERSION;

/// Bytes of the unit in which Mesos counts memory and disk.
const MEGABYTE: f64 = 1024.0 * 1024.0;

/// The unit of a resource in base units, and how many of them one of Mesos's units is.
pub fn unit(resource: &str) -> (&'static str, f64) {
    match resource {
        "cpus" => ("cores", 1.0),
        "gpus" => ("devices", 1.0),
        "mem" | "disk" => ("bytes", MEGABYTE),
        // What others count is their owner's to know.
        _ => ("units", 1.0),
    }
}

/// What resources are told by: the first part of their keys, and their families.
pub struct ResourceNames {
    /// `master` or `slave`.
    pub prefix: &'static str,
    /// What there is.
    pub capacity: Family,
    /// What is used.
    pub used: Family,
}

/// Those of all agents, told by the master.
pub static OF_MASTER: ResourceNames = ResourceNames {
    prefix: "master",
    capacity: gauge(
        "tepui_master_resource_capacity",
        "What all admitted agents have of a resource.",
    ),
    used: gauge(
        "tepui_master_resource_used",
        "What tasks and executors on all admitted agents use of a resource.",
    ),
};

/// Those of one agent, told by itself.
pub static OF_AGENT: ResourceNames = ResourceNames {
    prefix: "slave",
    capacity: gauge(
        "tepui_agent_resource_capacity",
        "What this agent has of a resource.",
    ),
    used: gauge(
        "tepui_agent_resource_used",
        "What tasks and executors on this agent use of a resource.",
    ),
};

/// Tells what there is of resources and what is used of that.
pub fn resources(
    names: &'static ResourceNames,
    total: &Amounts,
    used: &Amounts,
    out: &mut impl Sink,
) {
    let plain = ("", "false", &total.plain, &used.plain);
    let revocable = ("_revocable", "true", &total.revocable, &used.revocable);
    for (infix, is_revocable, total, used) in [plain, revocable] {
        for ((kind, total), used) in KINDS.iter().zip(total).zip(used) {
            let key = format_args!("{}/{kind}{infix}", names.prefix);
            let (unit, scale) = unit(kind);
            let labels = [
                ("resource", *kind),
                ("unit", unit),
                ("revocable", is_revocable),
            ];
            let (total, used) = (*total as f64 / 1e3, *used as f64 / 1e3);
            out.key(format_args!("{key}_total"), total);
            out.key(format_args!("{key}_used"), used);
            let percent = if total > 0.0 { used / total } else { 0.0 };
            out.key(format_args!("{key}_percent"), percent);
            out.sample(&names.capacity, &labels, total * scale);
            out.sample(&names.used, &labels, used * scale);
        }
    }
}

static LOAD: Family = gauge(
    "tepui_system_load",
    "Average number of processes that run or want to.",
);
static CPUS: Family = gauge("tepui_system_cpus", "Processors that this process may use.");
static MEM_TOTAL: Family = gauge("tepui_system_mem_total_bytes", "Memory of the machine.");
static MEM_FREE: Family = gauge(
    "tepui_system_mem_free_bytes",
    "Memory of the machine that nothing uses.",
);

/// Tells the machine's figures.
pub fn system(system: &System, out: &mut impl Sink) {
    let load = system.load.unwrap_or_default();
    for (minutes, load) in ["1", "5", "15"].iter().zip(load) {
        if system.load.is_some() {
            let key = format_args!("system/load_{minutes}min");
            out.put(key, &LOAD, &[("minutes", minutes)], load);
        }
    }
    if let Some(cpus) = system.cpus_total {
        out.put(format_args!("system/cpus_total"), &CPUS, &[], cpus as f64);
    }
    if let Some(bytes) = system.mem_total_bytes {
        let key = format_args!("system/mem_total_bytes");
        out.put(key, &MEM_TOTAL, &[], bytes as f64);
    }
    if let Some(bytes) = system.mem_free_bytes {
        let key = format_args!("system/mem_free_bytes");
        out.put(key, &MEM_FREE, &[], bytes as f64);
    }
}

static INFO: Family = gauge("tepui_build_info", "1; the version is in the label.");
static THREADS: Family = gauge("tepui_process_threads", "Threads of this process.");
static RESIDENT: Family = gauge(
    "tepui_process_resident_bytes",
    "Memory that this process uses.",
);
static ANONYMOUS: Family = gauge(
    "tepui_process_anonymous_bytes",
    "The part of this process's memory that no file is behind: heap and stacks.",
);
static CPU: Family = counter(
    "tepui_process_cpu_seconds_total",
    "Processor time that this process has used.",
);

/// Tells the figures of this process; Mesos has none of them.
pub fn process(process: &Process, cpu_seconds: Option<f64>, out: &mut impl Sink) {
    out.sample(&INFO, &[("version", TEPUI_VERSION)], 1.0);
    let figures = [
        (&THREADS, process.threads),
        (&RESIDENT, process.resident_bytes),
        (&ANONYMOUS, process.anonymous_bytes),
    ];
    for (family, value) in figures {
        if let Some(value) = value {
            out.sample(family, &[], value as f64);
        }
    }
    if let Some(seconds) = cpu_seconds {
        out.sample(&CPU, &[], seconds);
    }
}
