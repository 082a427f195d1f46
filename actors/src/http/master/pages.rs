//! What `/help` says of the master's routes.
//! The routes themselves are in the table of `mod.rs`, which a test compares with this.

use crate::http::help::{Help, Page};

/// The pages of a master.
pub(super) const HELP: Help = Help {
    delegate: "master",
    pages: PAGES,
};

const fn page(
    process: &'static str,
    path: &'static str,
    summary: &'static str,
    description: &'static str,
) -> Page {
    Page {
        process,
        path,
        summary,
        description,
    }
}

const fn of_master(path: &'static str, summary: &'static str, description: &'static str) -> Page {
    page("master", path, summary, description)
}

const PAGES: &[Page] = &[
    page(
        "allocator",
        "/offer_constraints_debug",
        "Shows which agents are not offered because of offer constraints.",
        "For each framework: its suppressed roles, and for each of its roles the ids of the agents \
         that its constraints exclude now.",
    ),
    page(
        "files",
        "/browse",
        "Lists a directory.",
        "`path=PATH` names it, as `/files/debug` lists them.",
    ),
    page(
        "files",
        "/debug",
        "Lists the paths that can be looked at.",
        "",
    ),
    page(
        "files",
        "/download",
        "Sends a file whole.",
        "`path=PATH` names it.",
    ),
    page(
        "files",
        "/read",
        "Shows a part of a file.",
        "`path=PATH` names it; `offset=N` and `length=N` say which part. Without an offset only the \
         size is told.",
    ),
    page(
        "logging",
        "/toggle",
        "Shows or sets how much is logged.",
        "POST with `level=N&duration=5mins` in the query; afterwards it is as before.",
    ),
    page(
        "metrics",
        "/prometheus",
        "Shows all metrics in Prometheus's text form.",
        "",
    ),
    page(
        "metrics",
        "/snapshot",
        "Shows all metrics.",
        "`timeout=5secs` bounds the time it may take.",
    ),
    page(
        "profiler",
        "/start",
        "Would start a profiler.",
        "There is none, so the answer is 400.",
    ),
    page(
        "profiler",
        "/stop",
        "Would end a profile.",
        "There is none, so the answer is 400.",
    ),
    page(
        "registrar(1)",
        "/registry",
        "Shows what is stored of the cluster.",
        "A master that does not lead shows an empty object.",
    ),
    page(
        "system",
        "/stats.json",
        "Shows load, processors and memory of the machine.",
        "",
    ),
    page("version", "/", "Shows the version.", ""),
    of_master(
        "/api/v1",
        "Takes calls of operators.",
        "POST a `mesos.v1.master.Call` as `application/json` or `application/x-protobuf`.",
    ),
    of_master(
        "/api/v1/scheduler",
        "Takes calls of schedulers.",
        "POST a `mesos.v1.scheduler.Call` as `application/json` or `application/x-protobuf`. A \
         SUBSCRIBE is answered with a stream of events.",
    ),
    of_master(
        "/create-volumes",
        "Creates persistent volumes on reserved disk.",
        "POST `slaveId=ID&volumes=JSON`, where JSON is an array of resources. The answer is 202 \
         when the agent was told, 409 when the resources are not free.",
    ),
    of_master(
        "/destroy-volumes",
        "Destroys persistent volumes.",
        "POST `slaveId=ID&volumes=JSON`, where JSON is an array of resources. The answer is 202 \
         when the agent was told, 409 when the resources are not free.",
    ),
    of_master(
        "/flags",
        "Shows the flags this master was started with.",
        "Every master answers for itself.",
    ),
    of_master(
        "/frameworks",
        "Shows frameworks with their tasks.",
        "`framework_id=ID` selects one.",
    ),
    of_master(
        "/health",
        "Answers 200 while the master runs.",
        "Every master answers for itself.",
    ),
    of_master(
        "/machine/down",
        "Takes draining machines down.",
        "POST a JSON array of `{\"hostname\": NAME, \"ip\": ADDRESS}`. Their agents are removed.",
    ),
    of_master(
        "/machine/up",
        "Says that machines are back.",
        "POST a JSON array of `{\"hostname\": NAME, \"ip\": ADDRESS}`. They leave the schedule.",
    ),
    of_master(
        "/maintenance/schedule",
        "Shows or replaces the maintenance schedule.",
        "GET shows it. POST a `mesos.maintenance.Schedule` as JSON to replace it.",
    ),
    of_master(
        "/maintenance/status",
        "Shows which machines drain or are down.",
        "For those that drain it tells what frameworks answered to inverse offers.",
    ),
    of_master(
        "/quota",
        "Shows, sets or removes quota.",
        "GET shows quotas. POST `{\"role\": ROLE, \"guarantee\": [RESOURCES], \"force\": BOOL}` \
         gives a role quota that has none. DELETE `/quota/ROLE` ends it.",
    ),
    of_master("/redirect", "Leads to the master that leads.", ""),
    of_master(
        "/reserve",
        "Reserves resources of an agent.",
        "POST `slaveId=ID&resources=JSON`, where JSON is an array of resources with the \
         reservation. `source=JSON` names the reservation they have now. The answer is 202 when \
         the agent was told, 409 when the resources are not free.",
    ),
    of_master(
        "/roles",
        "Shows roles with weight, quota and what they hold.",
        "",
    ),
    of_master(
        "/slaves",
        "Shows agents with their resources.",
        "`slave_id=ID` selects one.",
    ),
    of_master(
        "/state",
        "Shows the whole cluster.",
        "It may be long; `/state-summary` is short.",
    ),
    of_master(
        "/state-summary",
        "Shows agents and frameworks with counts of tasks.",
        "",
    ),
    of_master(
        "/tasks",
        "Shows tasks.",
        "`framework_id=ID` and `task_id=ID` select, `order=asc` puts the oldest first, `limit` \
         (100 when not given) and `offset` page through them.",
    ),
    of_master(
        "/teardown",
        "Ends a framework and all its tasks.",
        "POST `frameworkId=ID`.",
    ),
    of_master(
        "/unreserve",
        "Ends reservations on an agent.",
        "POST `slaveId=ID&resources=JSON`, where JSON is an array of reserved resources. The \
         answer is 202 when the agent was told, 409 when the resources are not free.",
    ),
    of_master(
        "/weights",
        "Shows or sets weights of roles.",
        "GET shows those that were set. PUT a JSON array of `{\"role\": ROLE, \"weight\": \
         NUMBER}`.",
    ),
    of_master(
        "/api/tepui/v1/guard",
        "Shows agents that are not given up without a word of an operator.",
        "POST `{\"release\": true}` as `application/json` gives them up. Not in Mesos.",
    ),
    of_master(
        "/api/tepui/v1/why",
        "Tells why a framework or a role is offered nothing.",
        "Not in Mesos.",
    ),
];
