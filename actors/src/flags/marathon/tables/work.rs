//! Flags about offers, launches, deployments, tasks and plugins.
//! Declares them only.

use super::super::kind::Kind;
use super::super::table::Support::{Inert, No, Only, Yes};
use super::super::table::{Flag, Group, flags};

/// Why limits of one inner part waiting for another have no effect.
const NO_ASKING: &str = "one task decides everything, so no part of it waits for another";

/// Why sizes of inner pools have no effect.
const NO_POOL: &str = "one task decides everything, one thing after the other";

/// Why bounds of inner queues have no effect.
const BOUNDED: &str = "whoever sends more than can be handled is slowed down by its connection";

/// Why offer constraints are refused.
const NO_CONSTRAINTS: &str =
    "offer constraints are not supported yet; leave it out, and all offers are looked at";

/// Why plugins are refused.
const NO_PLUGINS: &str = "plugins of Marathon are Java archives, which this program cannot load";

flags! {
    WORK;
    [Matching]
        launch_tokens: Kind::COUNT_FROM_1, Some("100"), Yes,
            "Launches per --launch_token_refresh_interval.";
        launch_token_refresh_interval: Kind::MILLIS_FROM_1, Some("30000"), Yes,
            "Time after which that many may be launched anew.";
        max_instances_per_offer: Kind::COUNT_FROM_1, Some("5"), Yes, "Launches on one offer.";
        decline_offer_duration: Kind::MILLIS, Some("120000"), Yes,
            "Time for which an offer that is of no use is declined.";
        min_revive_offers_interval: Kind::MILLIS, Some("5000"), Yes,
            "Shortest time between two requests for new offers.";
        suppress_offers: Kind::Toggle, Some("true"), Yes,
            "Whether the master is told to offer nothing while nothing waits.";
        maintenance_mode: Kind::Toggle, Some("true"), Yes,
            "Whether offers of agents in a maintenance window are declined.";
        draining_seconds: Kind::SECONDS, Some("0"), Yes,
            "Such offers are declined from so long before the window on.";
        gpu_scheduling_behavior: Kind::Choice(&["restricted", "unrestricted"]),
            Some("restricted"), Yes,
            "'restricted' keeps agents with GPUs for apps that need them.";
        task_reservation_timeout: Kind::MILLIS, Some("20000"), Yes,
            "Time a reservation has to show up in an offer.";
        mesos_offer_constraints: Kind::Toggle, Some("false"), Only(&["false"], NO_CONSTRAINTS),
            "Whether the master is told which agents to offer.";
        min_mesos_offer_constraints_update_interval: Kind::MILLIS, Some("1000"),
            No(NO_CONSTRAINTS),
            "Shortest time between two such tellings.";
        offer_matching_timeout: Kind::MILLIS, Some("3000"),
            Inert("an offer is looked at once and answered at once; nothing is put off"),
            "Time for one offer.";
        max_parallel_offers: Kind::COUNT_FROM_1, None, Inert(NO_POOL),
            "Offers that are looked at at a time.";
        max_queued_offers: Kind::COUNT, Some("1024"), Inert(BOUNDED), "Offers that may wait.";
        launch_queue_request_timeout: Kind::MILLIS, Some("3000"), Inert(NO_ASKING),
            "Time for an answer of the launch queue.";
        task_operation_notification_timeout: Kind::MILLIS, Some("30000"), Inert(NO_ASKING),
            "Time for a launch to be accepted.";
    [Deployments]
        max_running_deployments: Kind::COUNT_FROM_1, Some("100"), Yes,
            "Deployments at a time; more are refused.";
        deployment_step_timeout: Kind::MILLIS_FROM_1, None, Yes,
            "Time after which a step of a deployment is reported as overdue; it goes on all the \
             same. Default: never. (Tepui's own flag.)";
        scale_apps_initial_delay: Kind::MILLIS, Some("15000"), Yes,
            "Time after the start of the first look whether apps have their instances.";
        scale_apps_interval: Kind::MILLIS_FROM_1, Some("300000"), Yes,
            "Time between such looks.";
        max_queued_root_group_updates: Kind::COUNT, Some("500"),
            Inert("all requests wait in one queue of a fixed length, and more are refused"),
            "Changes that may wait.";
        group_manager_request_timeout: Kind::MILLIS, Some("10000"), Inert(NO_ASKING),
            "Time for an answer of the group manager.";
        group_manager_execution_context_size: Kind::COUNT, None, Inert(NO_POOL),
            "Threads of the group manager.";
        deployment_manager_request_timeout: Kind::MILLIS, Some("1000"), Inert(NO_ASKING),
            "Time for an answer of the deployment manager.";
        killsPerBatch: Kind::COUNT, Some("100"), Inert("Marathon itself does not use it any more"),
            "Kills of one batch.";
        killBatchDuration: Kind::MILLIS, Some("10000"),
            Inert("Marathon itself does not use it any more"),
            "Time of one batch.";
    [Tasks]
        task_launch_confirm_timeout: Kind::MILLIS_FROM_1, Some("300000"), Yes,
            "Time a launched task has to be staged.";
        task_launch_timeout: Kind::MILLIS_FROM_1, Some("300000"), Yes,
            "Time a staged task has to run.";
        reconciliation_initial_delay: Kind::MILLIS, Some("15000"), Yes,
            "Time after the start of the first question to the master what tasks there are.";
        reconciliation_interval: Kind::MILLIS_FROM_1, Some("600000"), Yes,
            "Time between such questions.";
        task_lost_expunge_initial_delay: Kind::MILLIS, Some("300000"), Yes,
            "Unreachable instances found at the start are not given up earlier than this after it.";
        task_lost_expunge_interval: Kind::MILLIS, Some("30000"),
            Inert("each unreachable instance is given up at its own time"),
            "Time between looks for unreachable instances to give up.";
        kill_chunk_size: Kind::COUNT_FROM_1, Some("100"), Yes, "Kills that may be unconfirmed.";
        kill_retry_timeout: Kind::MILLIS_FROM_1, Some("30000"), Yes,
            "Time after which an unconfirmed kill is repeated.";
        max_concurrent_marathon_health_checks: Kind::COUNT_FROM_1, Some("256"), Yes,
            "Health and readiness checks by this program at a time.";
        task_tracker_request_timeout: Kind::MILLIS, Some("10000"), Inert(NO_ASKING),
            "Time for an answer of the instance tracker.";
        task_update_request_timeout: Kind::MILLIS, Some("10000"), Inert(NO_ASKING),
            "Time for an update of an instance.";
        instance_tracker_num_parallel_updates: Kind::COUNT, Some("16"), Inert(NO_POOL),
            "Updates of instances at a time.";
        instance_tracker_num_parallel_loads: Kind::COUNT, Some("16"),
            Inert("all instances are read at once"),
            "Instances that are read at a time.";
        instance_tracker_update_queue_size: Kind::COUNT, Some("4096"), Inert(BOUNDED),
            "Updates of instances that may wait.";
        max_parallel_status_updates: Kind::COUNT, Some("20"), Inert(NO_POOL),
            "Updates of tasks at a time.";
        max_queued_status_updates: Kind::COUNT, Some("10000"), Inert(BOUNDED),
            "Updates of tasks that may wait.";
        max_actor_startup_time: Kind::MILLIS, Some("10000"),
            Inert("--on_elected_prepare_timeout covers all that a new leader does"),
            "Time for inner parts to start.";
        scheduler_actions_execution_context_size: Kind::COUNT, None, Inert(NO_POOL),
            "Threads for scheduling.";
        app_info_module_execution_context_size: Kind::COUNT, None,
            Inert("every worker of the HTTP side reads the published state"),
            "Threads for what is told of apps.";
        default_info_service_execution_context_size: Kind::COUNT, None,
            Inert("every worker of the HTTP side reads the published state"),
            "Threads for what is told of apps, again.";
    [Plugins]
        plugin_conf: Kind::Path, None, No(NO_PLUGINS), "File that describes plugins.";
        plugin_dir: Kind::Path, None, No(NO_PLUGINS), "Directory of plugins.";
}
