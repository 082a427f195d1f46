//! Flags of the agent about containers, images, isolation and networks.
//! Declares them only.

use crate::flags::kind::Kind;
use crate::flags::table::Support::{No, Only, Yes};
use crate::flags::table::{Flag, Group, flags};

flags! {
    CONTAINERS;
    [Containers]
        agent_subsystems | slave_subsystems: Text, None, No,
            "Cgroup subsystems the agent joins itself.";
        allowed_devices: Json, None, No, "Devices allowed by cgroups/devices.";
        appc_simple_discovery_uri_prefix: Text, Some("http://"), No, "Prefix for appc discovery.";
        appc_store_dir: Text, Some("/tmp/mesos/store/appc"), No, "Appc image store.";
        bounding_capabilities: Json, None, Yes, "Capabilities that containers can get at most, as {\"capabilities\": [\"NET_RAW\"]}; needs \
             the isolator linux/capabilities.";
        cgroups_cpu_enable_pids_and_tids_count: Bool, Some("false"), Only(&["false"]),
            "Count processes and threads in statistics.";
        cgroups_destroy_timeout: Duration, Some("1mins"), Yes, "Time the processes of a container have to end once they are killed.";
        cgroups_enable_cfs: Bool, Some("false"), Yes,
            "Let the CPUs that a container is given be the most that it may use.";
        cgroups_hierarchy: Text, Some("/sys/fs/cgroup"), Yes, "Where cgroups are mounted; of version 2 if the file cgroup.controllers is there.";
        cgroups_limit_swap: Bool, Some("false"), Yes, "Count swap as memory.";
        cgroups_net_cls_primary_handle: Text, None, No, "Major net_cls handle.";
        cgroups_net_cls_secondary_handles: Text, None, No, "Range of minor handles.";
        cgroups_pids_limit: Uint, None, Yes,
            "The most processes and threads of a container; needs the isolator cgroups/pids.";
        cgroups_root: Text, Some("mesos"), Yes, "Name of the cgroup that holds those of the containers.";
        check_agent_port_range_only: Bool, Some("false"), Only(&["false"]),
            "Network/ports: only ports offered by the agent.";
        container_disk_watch_interval: Duration, Some("15secs"), Yes, "Time between two looks at the disk that containers take, by disk/du.";
        container_ports_isolated_range: Text, None, No, "Network/ports: ranges to check.";
        container_ports_watch_interval: Duration, Some("30secs"), No,
            "Network/ports: check period.";
        containerizers: Text, Some("mesos"), Yes,
            "Who makes containers, with commas between: mesos, docker.";
        csi_plugin_config_dir: Text, None, No,
            "Directory of CSI plugin JSON configs for volume/csi.";
        default_container_dns: Json, None, Yes,
            "Who tells containers of Docker the addresses of names, for each network, where tasks say \
             nothing: {\"docker\": [{\"network_mode\": \"BRIDGE\", \"dns\": {\"nameservers\": [...], \
             \"search\": [...], \"options\": [...]}}]}; or USER, with a network_name or for all.";
        default_container_info: Json, None, No, "ContainerInfo used when none given.";
        default_container_shm_size: Bytes, None, Yes, "Size of /dev/shm for containers that have one of their own.";
        disallow_sharing_agent_ipc_namespace: Bool, Some("false"), Yes,
            "Refuse containers that ask for the IPC namespace of the machine.";
        disallow_sharing_agent_pid_namespace: Bool, Some("false"), Yes,
            "Refuse containers that ask for the pid namespace of the machine.";
        docker: Text, Some("docker"), No, "Docker binary.";
        docker_config: Json, None, Yes,
            "Logins of registries for images of Docker, as in Docker's own config.json, best as the \
             path of such a file; those that a task has fetched to its sandbox win.";
        docker_ignore_runtime: Bool, Some("false"), Yes,
            "Let nothing count that images say of their programs.";
        docker_kill_orphans: Bool, Some("true"), Yes, "End containers of this agent that it does not know when it starts.";
        docker_mesos_image: Text, None, No,
            "Image to run docker executors in when agent is containerised.";
        docker_registry: Text, Some("https://registry-1.docker.io"), Yes,
            "Directory with images, as NAME:TAG.tar or as directory NAME:TAG; needed by --image_providers. Registries are not asked yet.";
        docker_remove_delay: Duration, Some("6hrs"), Yes, "Time that containers of Docker are kept once they have ended.";
        docker_socket: Text, Some("/var/run/docker.sock"), Yes, "Where the Docker Engine listens.";
        docker_stop_timeout: Duration, Some("0ns"), Yes, "Time between the stop signal of a container of Docker and SIGKILL, when nobody says.";
        docker_store_dir: Text, Some("/tmp/mesos/store/docker"), Yes, "Directory of unpacked images, of this agent alone.";
        docker_volume_checkpoint_dir: Text, Some("/var/run/mesos/isolators/docker/volume"), No,
            "State of docker/volume isolator.";
        docker_volume_chown: Bool, Some("false"), Only(&["false"]),
            "Give docker volumes to the container user.";
        effective_capabilities | allowed_capabilities: Json, None, Yes,
            "Capabilities of containers where the framework says nothing, as \
             bounding_capabilities.";
        egress_burst: Bytes, None, No, "Port mapping: burst size.";
        egress_ceil_limit: Bytes, None, No, "Port mapping: burst rate.";
        egress_flow_classifier_parent: Text, Some("root"), No, "Port mapping: htb parent handle.";
        egress_rate_limit_per_container: Bytes, None, No, "Port mapping: egress bytes/s.";
        egress_rate_per_cpu: Text, None, No, "Port mapping: egress scaled by cpu.";
        egress_unique_flow_per_container: Bool, Some("false"), Only(&["false"]),
            "Port mapping: own fq_codel flow.";
        enforce_container_disk_quota: Bool, Some("false"), Yes,
            "End containers that take more disk than they may; needs the isolator disk/du.";
        enforce_container_ports: Bool, Some("false"), Only(&["false"]),
            "Network/ports: kill offenders.";
        ephemeral_ports_per_container: Port, Some("1024"), No,
            "Port mapping isolator: ports per container, power of 2.";
        eth0_name: Text, None, No, "Port mapping: public interface.";
        host_path_volume_force_creation: Text, None, Yes,
            "Directories, with colons between, in which what a volume names is made if it is not there.";
        host_path_volume_prefixes: Text, None, Yes,
            "Directories, with colons between, of which volumes may show what is in them, links \
             resolved. Default: all for an agent that listens on a loopback address, none for others; \
             '/' allows all.";
        image_gc_config: Json, None, Yes, "When images that nobody uses are removed, as {\"image_disk_headroom\": 0.1, \
             \"image_disk_watch_interval\": {\"nanoseconds\": 3600000000000}}. Default: when an operator says so.";
        image_providers: Text, None, Yes,
            "Kinds of images for containers of the Mesos containerizer, with commas between: docker (as \
             docker save writes them), oci. Needs the isolator filesystem/linux; docker/runtime for what they say of their programs.";
        image_provisioner_backend: Text, None, Yes,
            "How file systems are made of images: overlay or copy. Default: overlay where it works.";
        ingress_burst: Bytes, None, No, "Port mapping: burst size.";
        ingress_ceil_limit: Bytes, None, No, "Port mapping: burst rate.";
        ingress_isolate_existing_containers: Bool, Some("true"), No,
            "Port mapping: apply to running containers.";
        ingress_rate_limit_per_container: Bytes, None, No, "Port mapping: ingress bytes/s.";
        ingress_rate_per_cpu: Text, None, No, "Port mapping: ingress scaled by cpu.";
        isolation: Text, Some("posix/cpu,posix/mem"), Yes,
            "Isolators to use, with commas between: filesystem/posix, filesystem/linux (with which come \
             volume/image, volume/host_path and volume/sandbox_path), posix/cpu, posix/mem, \
             posix/rlimits, cgroups/cpu, cgroups/mem, cgroups/pids, cgroups/all (those of the three \
             that the kernel has), linux/capabilities, linux/nnp, namespaces/ipc, namespaces/pid, \
             volume/sandbox_path, volume/host_path, volume/image, docker/runtime, disk/du.";
        launcher: Text, None, Yes,
            "How executors are started: 'posix' as process groups of their own, 'linux' in cgroups and \
             namespaces, which needs root. Default: linux for root where cgroups can be made, else posix.";
        lo_name: Text, None, No, "Port mapping: loopback interface.";
        maximum_egress_rate_limit: Bytes, None, No, "Port mapping: upper bound of scaled egress.";
        maximum_ingress_rate_limit: Bytes, None, No, "Port mapping: upper bound of scaled ingress.";
        minimum_egress_rate_limit: Bytes, None, No, "Port mapping: lower bound of scaled egress.";
        minimum_ingress_rate_limit: Bytes, None, No, "Port mapping: lower bound of scaled ingress.";
        network_cni_config_dir: Text, None, No, "CNI network configs.";
        network_cni_metrics: Bool, Some("true"), No, "CNI plugin metrics.";
        network_cni_plugins_dir: Text, None, No, "CNI plugin path.";
        network_cni_root_dir_persist: Bool, Some("false"), Only(&["false"]),
            "Keep CNI state in work_dir.";
        network_enable_rate_statistics: Bool, Some("false"), Only(&["false"]),
            "Port mapping: rate percentiles.";
        network_enable_snmp_statistics: Bool, Some("false"), Only(&["false"]),
            "Port mapping: SNMP statistics.";
        network_enable_socket_statistics_details: Bool, Some("false"), Only(&["false"]),
            "Port mapping: socket details.";
        network_enable_socket_statistics_summary: Bool, Some("false"), Only(&["false"]),
            "Port mapping: socket summaries.";
        network_link_speed: Bytes, None, No, "Port mapping: link speed.";
        network_rate_statistics_interval: Duration, None, No, "Port mapping: interval.";
        network_rate_statistics_window: Duration, None, No, "Port mapping: window.";
        perf_duration: Duration, Some("10secs"), No, "Length of one perf sample.";
        perf_events: Text, None, No, "Perf events to sample.";
        perf_interval: Duration, Some("1mins"), No, "Time between perf samples.";
        revocable_cpu_low_priority: Bool, Some("true"), Yes, "Give CPUs that may be taken back few shares.";
        sandbox_directory: Text, Some("/mnt/mesos/sandbox"), Yes,
            "Sandbox path inside the container.";
        seccomp_config_dir: Text, None, No, "Seccomp profiles directory.";
        seccomp_profile_name: Text, None, No, "Default profile.";
        systemd_enable_support: Bool, Some("true"), Only(&["false"]),
            "Put executors in a systemd slice.";
        systemd_runtime_directory: Text, Some("/run/systemd/system"), No,
            "Systemd runtime directory.";
        volume_gid_range: Text, None, No,
            "Gids handed to shared/persistent volumes for non-root users.";
        xfs_kill_containers: Bool, Some("false"), Only(&["false"]),
            "Xfs: kill instead of write error.";
        xfs_project_range: Text, Some("[5000-10000]"), No, "Xfs project ids.";
        xfs_quota_headroom: Bytes, Some("10MB"), No, "Xfs: hard limit headroom.";
}
