//! Flags of the agent alone, except those of its containers.
//! Declares them only.

use crate::flags::kind::Kind;
use crate::flags::table::Support::{Inert, No, Only, Yes};
use crate::flags::table::{Flag, Group, flags};

flags! {
    AGENT;
    [Network]
        ip6: Text, None, No, "IPv6 address advertised for tasks on host network.";
        ip6_discovery_command: Text, None, No, "Executable printing ip6.";
        master: Text, None, Yes,
            "The master as host:port, the masters that meet in ZooKeeper as \
             zk://[user:pass@]host:port,.../path, or file:///path of a file that holds either.";
        port: Port, Some("5051"), Yes, "Port to listen on; 0 takes a free one.";
        registration_backoff_factor: Duration, Some("1secs"), Yes,
            "Base of the random delay before the agent registers again.";
    [Storage]
        disk_watch_interval: Duration, Some("1mins"), Yes,
            "Time between two looks at how full the disk of the work directory is.";
        gc_delay: Duration, Some("1weeks"), Yes,
            "Longest time sandboxes are kept after the end of what ran in them; shorter on a full disk: \
             gc_delay * max(0, 1 - gc_disk_headroom - share of the disk that is used).";
        gc_disk_headroom: Double, Some("0.1"), Yes,
            "Share of the disk that is to stay free, from 0 to 1; see gc_delay.";
        gc_non_executor_container_sandboxes: Bool, Some("false"), Yes,
            "Remove the sandboxes of containers that were launched by calls, also those of members of \
             groups, gc_delay after their end; else they stay until they are removed by a call, or \
             with the sandbox around them.";
        reconfiguration_policy: Text, Some("equal"), Yes,
            "How an agent that starts again may differ from what it was: 'equal' not at all, or \
             'additive', with more resources and attributes.";
        recover: Text, Some("reconnect"), Yes,
            "What becomes of executors that an earlier run has left: 'reconnect' takes them up, \
             'cleanup' ends them, and the agent then.";
        recovery_timeout: Duration, Some("15mins"), Yes,
            "Time executors of frameworks that ask for checkpoints wait for the agent.";
        runtime_dir: Text, None, No, "State valid until reboot.";
        strict: Bool, Some("true"),
            Inert("a damaged journal is set aside with an error, and what it held before the damage \
                   is recovered"),
            "Treat recovery errors as fatal.";
    [Resources]
        agent_features: Json, None, No, "Agent capabilities to announce (some mandatory)";
        attributes: Text, None, Yes, "The agent's attributes, as name:value;name:value.";
        default_role: Text, Some("*"), Yes, "Role of resources given without one.";
        disk_profile_adaptor: Text, None, No, "Disk profile adaptor module.";
        nvidia_gpu_devices: Text, None, No, "Gpu indices to use, with gpus resource.";
        oversubscribed_resources_interval: Duration, Some("15secs"), No,
            "Period of oversubscription reports.";
        qos_controller: Text, None, No, "QoS controller module.";
        qos_correction_interval_min: Duration, Some("0ns"), No,
            "Least time between QoS corrections.";
        resource_estimator: Text, None, No, "Oversubscription estimator module.";
        resource_provider_config_dir: Text, None, No,
            "Directory of local resource provider JSON configs.";
        resources: Text, None, Yes,
            "The agent's resources, as name(role):value;name:value or as JSON, or file:///path of \
             a file that holds that. What is not named is detected.";
    [Executors]
        domain_socket_location: Text, None, No, "Unix socket for executors.";
        executor_environment_variables: Json, None, Yes,
            "Environment of executors instead of the agent's own, as a JSON object of strings.";
        executor_registration_timeout: Duration, Some("1mins"), Yes,
            "Time a started executor has to register.";
        executor_reregistration_retry_interval: Duration, None, No,
            "Resend period of reconnect requests to driver executors.";
        executor_reregistration_timeout: Duration, Some("2secs"), Yes,
            "Time executors have to come back after a restart of the agent; at most 15secs.";
        executor_shutdown_grace_period: Duration, Some("5secs"), Yes,
            "Time an executor has to end when it is told to.";
        fetcher_cache_dir: Text, Some("/tmp/mesos/fetch"), Yes,
            "Directory in which every agent keeps the cache of its fetcher in one of its own, which \
             is emptied when the agent starts.";
        fetcher_cache_size: Bytes, Some("2GB"), Yes, "Size of the fetcher's cache.";
        fetcher_stall_timeout: Duration, Some("1mins"), Yes,
            "Time after which a download is given up when no byte comes.";
        frameworks_home: Text, Some(""), Yes,
            "Directory of URIs that are relative paths.";
        hadoop_home: Text, None, No, "Hadoop client location for hdfs URIs.";
        http_command_executor: Bool, Some("false"),
            Inert("the built-in executor always speaks the HTTP API"),
            "Command executor speaks v1 HTTP.";
        http_executor_domain_sockets: Bool, Some("false"), Only(&["false"]),
            "Executors use unix socket.";
        http_heartbeat_interval: Duration, Some("30secs"), No,
            "Heartbeats of attach input/output streams.";
        launcher_dir: Text, Some("/usr/local/libexec/mesos"), Yes,
            "Directory of the program tepui-executor. Default: the directory of the agent's own \
             program.";
        logrotate_stderr_options: Text, Some("rotate 9"), Yes,
            "How many rotated files of a task's standard error are kept, as 'rotate COUNT'; for one \
             task CONTAINER_LOGGER_LOGROTATE_STDERR_OPTIONS in its environment.";
        logrotate_stdout_options: Text, Some("rotate 9"), Yes,
            "How many rotated files of a task's standard output are kept, as 'rotate COUNT'; for one \
             task CONTAINER_LOGGER_LOGROTATE_STDOUT_OPTIONS in its environment.";
        max_completed_executors_per_framework: Uint, Some("150"), Yes,
            "Completed executors remembered per framework.";
        max_stderr_size: Bytes, Some("10MB"), Yes,
            "Size at which a task's standard error is rotated; for one task \
             CONTAINER_LOGGER_MAX_STDERR_SIZE in its environment.";
        max_stdout_size: Bytes, Some("10MB"), Yes,
            "Size at which a task's standard output is rotated; for one task \
             CONTAINER_LOGGER_MAX_STDOUT_SIZE in its environment.";
        no_new_privs: Bool, Some("true"), Yes,
            "Let no program of a task get more rights than the task's user has: sudo, ping and others \
             that are setuid or have capabilities of their own work with 'false' only.";
        switch_user: Bool, Some("true"), Yes,
            "Run tasks as the user of the task or framework. Needs root; otherwise tasks run as \
             the agent's user.";
    [Security]
        authenticate_http_executors: Bool, Some("false"), Only(&["false"]),
            "Executors must present tokens (SSL build)";
        authenticate_http_readwrite: Bool, Some("false"), Only(&["false"]),
            "Require HTTP authentication on read-write routes.";
        authenticatee: Text, Some("crammd5"), No, "SASL authenticatee.";
        authentication_backoff_factor: Duration, Some("1secs"), No,
            "Authentication timeout growth step.";
        authentication_timeout_max: Duration, Some("1mins"), No, "Largest authentication timeout.";
        authentication_timeout_min: Duration, Some("5secs"), No, "First authentication timeout.";
        authorizer: Text, Some("local"), Only(&["local"]), "Authorizer name.";
        credential: Path, None, No, "File with this agent's principal and secret.";
        http_authenticators: Text, None, No, "HTTP authenticator names.";
        http_credentials: Path, None, No, "File of HTTP principals and secrets.";
        jwt_secret_key | executor_secret_key: Path, None, No, "File with key for executor tokens.";
        secret_resolver: Text, None, No, "Secret resolver module.";
    [Modules]
        container_logger: Text, None, Yes,
            "Where the output of tasks goes: 'sandbox', the default, to files that grow; 'logrotate' or \
             'org_apache_mesos_LogrotateContainerLogger' to files that are rotated.";
}
