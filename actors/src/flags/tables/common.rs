//! Flags that master and agent share.
//! Declares them only.

use crate::flags::kind::Kind;
use crate::flags::table::Support::{Inert, No, Only, Yes};
use crate::flags::table::{Flag, Group, flags};

flags! {
    COMMON;
    [General]
        config_dir: Path, None, Yes,
            "Directory with one file per flag: the file's name is the flag, its content the \
             value; '?flag' and '?no-flag' switch booleans on and off. The command line and the \
             environment win over it. (Tepui's own flag.)";
        help: Bool, Some("false"), Yes, "Print this text and end.";
        version: Bool, Some("false"), Yes, "Print the version and end.";
    [Network]
        advertise_ip: Text, None, No, "Address told to peers.";
        advertise_port: Text, None, No, "Port told to peers.";
        domain: Json, None, Yes,
            "Fault domain, as {\"fault_domain\":{\"region\":{\"name\":\"R\"},\"zone\":{\"name\":\"Z\"}}}. \
             An agent of another region than the master's is offered to frameworks with the \
             capability REGION_AWARE only, and an agent with a domain needs a master with one.";
        hostname: Text, None, Yes,
            "Name told to others. Default: the name that belongs to the address, or the address.";
        hostname_lookup: Bool, Some("true"), Yes,
            "Whether to look for the name of the address when no hostname is given; otherwise the \
             address itself is told to others.";
        ip: Text, None, Yes,
            "Address to listen on. Default: 127.0.0.1, so that nothing is reachable from outside \
             unless it is asked for; 0.0.0.0 listens everywhere.";
        ip_discovery_command: Text, None, No, "Executable printing the ip to bind; excludes ip.";
        master_detector: Text, None, No, "Detector module name.";
        memory_profiling: Bool, Some("false"), Only(&["false"]), "Enable /memory-profiler routes.";
        zk_session_timeout: Duration, Some("10secs"), Yes,
            "Time without an answer of ZooKeeper after which a master stops to lead, and after \
             which the others may elect another one.";
    [Storage]
        work_dir: Text, None, Yes,
            "Directory for what must outlive the process. The agent's sandboxes live below it. \
             Required for the agent, and for the master unless --registry=in_memory.";
    [Logging]
        external_log_file: Text, None, Yes, "Log file written by something else, shown by /files.";
        initialize_driver_logging: Bool, Some("true"),
            Inert("no scheduler or executor driver runs in this process"),
            "Driver sets up its own logging.";
        log_dir: Text, None, No, "Directory for log files; none written when unset.";
        logbufsecs: Int, Some("0"), Only(&["0"]), "Seconds log lines may be buffered.";
        logging_level: Text, Some("INFO"), Yes,
            "Lowest level that is logged: INFO, WARNING or ERROR.";
        quiet: Bool, Some("false"), Yes, "Log nothing.";
    [Security]
        acls: Json, None, No, "Local authorizer rules, inline JSON or file.";
        authenticate_http_readonly: Bool, Some("false"), Only(&["false"]),
            "Require HTTP authentication on read-only routes.";
        firewall_rules: Json, None, No, "Endpoint rules, e.g. disabled_endpoints paths.";
    [Modules]
        hooks: Text, None, No, "Comma list of hook modules.";
        modules: Json, None, No, "Modules to load, inline JSON or file.";
        modules_dir: Text, None, No,
            "Directory of module JSON files, read in name order; excludes modules.";
}
