//! Flags of the master alone.
//! Declares them only.

use crate::flags::kind::Kind;
use crate::flags::table::Support::{Inert, No, Only, Yes};
use crate::flags::table::{Flag, Group, flags};

flags! {
    MASTER;
    [Network]
        cluster: Text, None, Yes, "Name of the cluster, shown to people.";
        master_contender: Text, None, No, "Contender module name; use with master_detector.";
        port: Port, Some("5050"), Yes, "Port to listen on; 0 takes a free one.";
        webui_dir: Text, Some("/usr/local/share/mesos/webui"), No, "Web UI files.";
        zk: Text, None, Yes,
            "Where masters meet to elect the one that leads: zk://[user:pass@]host:port,.../path, \
             or file:///path of a file that holds that. Without it this master leads at once.";
    [Storage]
        log_auto_initialize: Bool, Some("true"),
            Inert("the registry is no replicated log that needs to be initialised"),
            "Initialise an empty replicated log without manual step.";
        quorum: Int, None,
            Inert("the registry has no replicas at the masters that would need one"),
            "Majority of the masters.";
        registry: Text, Some("replicated_log"), Yes,
            "Where the master keeps what must outlive it: 'file' (one crash-safe file below \
             --work_dir), 'zk' (in ZooKeeper, for all masters that meet there) or 'in_memory'. \
             Mesos's name 'replicated_log', which is also the default, means 'zk' with --zk, and \
             'file' without.";
        registry_fetch_timeout: Duration, Some("1mins"), Yes,
            "The master ends when reading its registry from ZooKeeper takes longer.";
        registry_gc_interval: Duration, Some("15mins"), Yes,
            "How often it is looked for agents that are unreachable or gone for too long.";
        registry_max_agent_age: Duration, Some("2weeks"), Yes,
            "Age after which unreachable and gone agents are forgotten.";
        registry_max_agent_count: Uint, Some("102400"), Yes,
            "Unreachable agents that are remembered, and as many that are gone; the oldest of more \
             are forgotten.";
        registry_store_timeout: Duration, Some("20secs"), Yes,
            "The master ends when writing its registry to ZooKeeper takes longer.";
        registry_strict: Bool, Some("false"), Only(&["false"]),
            "Removed feature; only false accepted.";
    [Frameworks]
        max_completed_frameworks: Uint, Some("50"), Yes, "Completed frameworks remembered.";
        max_completed_tasks_per_framework: Uint, Some("1000"), Yes,
            "Completed tasks remembered per framework.";
        max_operator_event_stream_subscribers: Uint, Some("1000"), Yes,
            "Streams of the operator API's SUBSCRIBE open at a time; one more ends the oldest.";
        max_unreachable_tasks_per_framework: Uint, Some("1000"), Yes,
            "Tasks on unreachable agents remembered per framework.";
        publish_per_framework_metrics: Bool, Some("true"), Yes, "Publish metrics per framework.";
        rate_limits: Json, None, No, "Message rate limits per driver framework principal.";
        roles: Text, None, Yes,
            "The only roles frameworks may use, with commas between (deprecated by Mesos). \
             Default: all.";
        root_submissions: Bool, Some("true"), Yes, "Whether frameworks may run as root.";
    [Allocation]
        allocation_interval: Duration, Some("1secs"), Yes,
            "Longest time between two allocations; what becomes free is offered at once.";
        allocator: Text, Some("hierarchical"), Only(&["hierarchical", "HierarchicalDRF"]),
            "Allocator; there is one, and the second is its old name.";
        allocator_agent_recovery_factor: Double, Some("0.8"), Yes,
            "After a restart of the master, when some role has a quota: share of the known agents, \
             from 0 to 1, to wait for before anything is offered.";
        allocator_recovery_timeout: Duration, Some("10mins"), Yes, "Longest time of that wait.";
        fair_sharing_excluded_resource_names: List, None, Yes,
            "Resources that do not count in a dominant share.";
        filter_gpu_resources: Bool, Some("true"), Yes,
            "Keep agents with GPUs for frameworks with the capability GPU_RESOURCES.";
        framework_sorter: Text, Some("drf"), Only(&["drf", "random"]),
            "Which frameworks of a role are served first: 'drf', those with the smallest dominant \
             share, or 'random', any.";
        min_allocatable_resources: Text, Some("cpus:0.01|mem:32"), Yes,
            "Smallest offers worth making, as name:amount;name:amount; '|' separates \
             alternatives.";
        offer_constraints_re2_max_mem: Bytes, Some("4KB"), Yes,
            "Memory that one regular expression of an offer constraint may take.";
        offer_constraints_re2_max_program_size: Int, Some("100"), Yes,
            "Size that one compiled regular expression of an offer constraint may have.";
        offer_timeout: Duration, None, Yes,
            "Time after which an offer without answer is rescinded. Default: never.";
        role_sorter | user_sorter: Text, Some("drf"), Only(&["drf", "random"]),
            "Which roles are served first: 'drf', those with the smallest dominant share, or \
             'random', any; both follow the weights.";
        weights: Text, None, Yes,
            "Weights of roles as role=weight,role=weight (deprecated by Mesos), which count until \
             weights are stored in the registry. Default: 1 for each.";
        whitelist: Path, None, Yes,
            "File with the names of the hosts whose agents are offered, one in each line; it is \
             read again every 5 seconds. Default, and '*': all agents.";
    [Agents]
        agent_ping_timeout | slave_ping_timeout: Duration, Some("15secs"), Yes,
            "Time between two pings of an agent, from 1secs to 15mins.";
        agent_removal_rate_limit | slave_removal_rate_limit: Text, None, Yes,
            "Pace of marking agents unreachable, such as 1/10mins; who answers or comes back before \
             its turn is spared. Default: no limit.";
        agent_reregister_timeout | slave_reregister_timeout: Duration, Some("10mins"), Yes,
            "Time agents have to come back after a lost connection or a restart of the master; at \
             least 10mins.";
        mass_removal_limit: Text, Some("50%"), Yes,
            "Share of the agents, or of the tasks, that may be given up within 10mins because agents \
             do not answer, do not come back, or are not wanted back. Beyond it, from the fifth \
             agent on, they are kept until an operator says otherwise at /api/tepui/v1/guard; 100% \
             gives up all, as Mesos does.";
        max_agent_ping_timeouts | max_slave_ping_timeouts: Uint, Some("5"), Yes,
            "Pings in a row that may stay unanswered before an agent is unreachable; at least 1.";
        max_executors_per_agent | max_executors_per_slave: Uint, None, No,
            "Cap of executors per agent; only with the port mapping isolator build.";
        recovery_agent_removal_limit | recovery_slave_removal_limit: Text, Some("100%"),
            Yes,
            "The master ends when more than this share of the agents it knew did not return after it \
             started, instead of giving up their tasks.";
        require_agent_domain: Bool, Some("false"), Yes,
            "Ignore agents that do not say their domain.";
    [Security]
        authenticate_agents | authenticate_slaves: Bool, Some("false"), Only(&["false"]),
            "Agents must authenticate.";
        authenticate_frameworks | authenticate: Bool, Some("false"), Only(&["false"]),
            "Driver frameworks must authenticate.";
        authenticate_http_frameworks: Bool, Some("false"), Only(&["false"]),
            "HTTP schedulers must authenticate; needs http_framework_authenticators.";
        authenticate_http_readwrite | authenticate_http: Bool, Some("false"), Only(&["false"]),
            "Require HTTP authentication on read-write routes.";
        authentication_v0_timeout: Duration, Some("15secs"), No,
            "Limit for one driver/agent authentication.";
        authenticators: Text, Some("crammd5"), No, "SASL authenticator name.";
        authorizers: Text, Some("local"), Only(&["local"]), "Authorizer name.";
        credentials: Path, None, No, "File of principals and secrets (JSON)";
        http_authenticators: Text, Some("basic"), No, "HTTP authenticator names.";
        http_framework_authenticators: Text, None, No, "Authenticators for /api/v1/scheduler.";
}
