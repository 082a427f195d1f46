//! What Mesos's library answers beside the master or agent itself: the machine's figures, the
//! processes, the profiler. Knows no state of either.

use std::collections::BTreeMap;

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse};
use serde::Serialize;

use super::help::Help;
use super::{json, text};
use crate::metrics::system::System;

/// `/system/stats.json`; figures that cannot be read are left out.
pub fn stats(request: &HttpRequest) -> HttpResponse {
    json::answer(request, &figures(&System::read()))
}

/// By name, in alphabetical order as in Mesos.
fn figures(system: &System) -> BTreeMap<&'static str, Figure> {
    let load = system.load.map(|load| load.map(Figure::Load));
    let [one, five, fifteen] = load.map_or([None; 3], |load| load.map(Some));
    let count = |count: u64| Figure::Count(count);
    [
        ("avg_load_1min", one),
        ("avg_load_5min", five),
        ("avg_load_15min", fifteen),
        (
            "cpus_total",
            system.cpus_total.map(|cpus| count(cpus as u64)),
        ),
        ("mem_total_bytes", system.mem_total_bytes.map(count)),
        ("mem_free_bytes", system.mem_free_bytes.map(count)),
    ]
    .into_iter()
    .filter_map(|(name, figure)| Some((name, figure?)))
    .collect()
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(untagged)]
enum Figure {
    Load(f64),
    Count(u64),
}

/// `/__processes__`: what answers requests here. Messages that wait are none of HTTP's: they are
/// counted in the metrics, so no process shows any.
pub fn processes(request: &HttpRequest, help: &Help) -> HttpResponse {
    #[derive(Serialize)]
    struct Process {
        id: &'static str,
        events: [(); 0],
    }
    let process = |id| Process { id, events: [] };
    let processes: Vec<Process> = help.processes().map(process).collect();
    json::answer(request, &processes)
}

/// `/profiler/start` and `/profiler/stop`, as a Mesos answers that was built without a profiler.
pub fn profiler() -> HttpResponse {
    text(
        StatusCode::BAD_REQUEST,
        "Perftools is disabled. To enable perftools, configure libprocess with \
         --enable-perftools.\n",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_read_is_left_out() {
        let mut system = System {
            load: Some([0.5, 1.0, 2.25]),
            cpus_total: Some(2),
            mem_total_bytes: Some(1024),
            mem_free_bytes: None,
        };
        let shown = serde_json::to_string(&figures(&system)).unwrap();
        let expected = "{\"avg_load_15min\":2.25,\"avg_load_1min\":0.5,\"avg_load_5min\":1.0,\
                        \"cpus_total\":2,\"mem_total_bytes\":1024}";
        assert_eq!(shown, expected);
        system.load = None;
        assert_eq!(figures(&system).len(), 2);
    }
}
