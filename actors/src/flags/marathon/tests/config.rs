//! Tests of what the flags become: settings of HTTP, decisions and metrics; features; refusals.
//! Places of master and state are in `places`.

use std::time::Duration;

use tepui_core::marathon::definition::{AcceptedRoles, Feature};
use tepui_core::marathon::engine::EngineSettings;
use tepui_core::marathon::manager::ManagerSettings;
use tepui_core::marathon::matching::{DefaultRoles, GpuScheduling};

use super::{assert_says, config, notes, refusal, run};
use crate::marathon::config::{MetricsSettings, ProxySettings};
use crate::marathon::driver::Limits;

fn millis(count: u64) -> Duration {
    Duration::from_millis(count)
}

#[test]
fn without_flags_all_is_as_in_marathon_but_on_loopback() {
    let config = config(&[]);
    assert_eq!(config.manager, ManagerSettings::default());
    assert_eq!(config.driver, Limits::default());
    assert_eq!(config.http_address.to_string(), "127.0.0.1");
    assert_eq!(config.http_port, 8080);
    assert!(!config.hostname.is_empty());
    assert_eq!(config.http.http_realm, "Mesosphere");
    assert!(config.http.http_compression && config.http.http_credentials.is_none());
    assert!(config.http.access_control_allow_origin.is_empty());
    assert_eq!(config.http.http_max_concurrent_requests, None);
    let proxy = ProxySettings {
        leader_proxy_max_open_connections: 64,
        leader_proxy_connection_timeout: millis(5000),
        leader_proxy_read_timeout: millis(10_000),
    };
    assert_eq!(config.proxy, proxy);
    assert_eq!(config.on_elected_prepare_timeout, millis(180_000));
    assert_eq!(config.graceful_shutdown_timeout, millis(45_000));
    assert_eq!(config.max_concurrent_marathon_health_checks, 256);
    let metrics = MetricsSettings {
        metrics_name_prefix: "marathon".to_owned(),
        metrics_prometheus: true,
        metrics_histogram_reservoir_highest_trackable_value: 3_600_000_000_000,
        metrics_histogram_reservoir_significant_digits: 3,
        metrics_histogram_reservoir_resetting_interval: Some(millis(5000)),
    };
    assert_eq!(config.metrics, metrics);
    let framework = config.framework;
    assert_eq!(framework.framework_name, "marathon");
    assert_eq!(framework.webui_url, None);
    assert_eq!(framework.failover_timeout, Duration::from_secs(604_800));
    assert!(framework.checkpoint);
    assert!(config.credentials.is_none());
    let (_, startup) = run(&[], &[]);
    assert_eq!(startup.notes, Vec::<String>::new());
}

#[test]
fn the_user_of_this_process_runs_tasks_unless_another_is_named() {
    let own = nix::unistd::User::from_uid(nix::unistd::geteuid());
    let own = own.expect("users").expect("a user with a name").name;
    assert_eq!(config(&[]).framework.mesos_user, own);
    let named = config(&["--mesos_user", "nobody"]).framework.mesos_user;
    assert_eq!(named, "nobody");
}

#[test]
fn every_setting_of_the_engine_has_its_flag() {
    let config = config(&[
        "--launch_tokens=1",
        "--launch_token_refresh_interval=2",
        "--kill_chunk_size=3",
        "--kill_retry_timeout=4",
        "--task_launch_confirm_timeout=5",
        "--task_launch_timeout=6",
        "--task_reservation_timeout=7",
        "--task_lost_expunge_initial_delay=8",
        "--reconciliation_initial_delay=9",
        "--reconciliation_interval=10",
        "--scale_apps_initial_delay=11",
        "--scale_apps_interval=12",
        "--min_revive_offers_interval=13",
        "--disable_suppress_offers",
        "--max_running_deployments=14",
        "--deployment_step_timeout=15",
    ]);
    let expected = EngineSettings {
        launch_tokens: 1,
        launch_token_refresh_interval: millis(2),
        kill_chunk_size: 3,
        kill_retry_timeout: millis(4),
        task_launch_confirm_timeout: millis(5),
        task_launch_timeout: millis(6),
        task_reservation_timeout: millis(7),
        overdue_initial_delay: millis(30_000),
        task_lost_expunge_initial_delay: millis(8),
        reconciliation_initial_delay: millis(9),
        reconciliation_interval: millis(10),
        scale_apps_initial_delay: millis(11),
        scale_apps_interval: millis(12),
        backoff_sweep_interval: millis(10_000),
        min_revive_offers_interval: millis(13),
        suppress_offers: false,
        max_running_deployments: 14,
        deployment_step_timeout: Some(millis(15)),
    };
    assert_eq!(config.manager.engine, expected);
}

#[test]
fn rules_for_services_reach_every_place_that_has_them() {
    let config = config(&[
        "--mesos_role=dev/x",
        "--new_group_enforce_role=top",
        "--accepted_resource_roles_default_behavior=reserved",
        "--gpu_scheduling_behavior=unrestricted",
        "--disable_maintenance_mode",
        "--draining_seconds=60",
        "--executor=/bin/run",
        "--mesos_bridge_name=br",
        "--default_network_name=net",
        "--env_vars_prefix=P_",
        "--local_port_min=5",
        "--local_port_max=5",
        "--max_instances_per_offer=2",
        "--decline_offer_duration=3",
        "--max_versions=4",
        "--enable_features= gpu_resources,task_killing,,",
    ]);
    let manager = &config.manager;
    let definition = &manager.definition;
    assert_eq!(definition.mesos_role, "dev/x");
    assert!(definition.new_group_enforce_role);
    assert_eq!(
        definition.accepted_resource_roles_default_behavior,
        AcceptedRoles::Reserved
    );
    assert_eq!(manager.matching.default_roles, DefaultRoles::Reserved);
    assert_eq!(manager.matching.gpu_scheduling, GpuScheduling::Unrestricted);
    assert!(!manager.matching.maintenance_mode);
    assert_eq!(manager.matching.draining, Duration::from_secs(60));
    assert_eq!(manager.matching.executor, "/bin/run");
    assert_eq!(manager.task.executor, "/bin/run");
    assert_eq!(manager.task.mesos_bridge_name, "br");
    assert_eq!(definition.mesos_bridge_name, "br");
    assert_eq!(definition.default_network_name.as_deref(), Some("net"));
    assert_eq!(manager.task.env_vars_prefix, "P_");
    assert_eq!(
        (definition.local_port_min, definition.local_port_max),
        (5, 5)
    );
    assert_eq!(manager.max_instances_per_offer, 2);
    assert_eq!(manager.decline_offer_duration, millis(3));
    assert_eq!(manager.max_versions, 4);
    assert!(config.has(Feature::GpuResources) && config.has(Feature::TaskKilling));
    assert!(!config.has(Feature::Vips));
    let unreserved = super::config(&["--accepted_resource_roles_default_behavior=unreserved"]);
    assert_eq!(
        unreserved.manager.matching.default_roles,
        DefaultRoles::Unreserved
    );
}

#[test]
fn what_others_are_told_reaches_its_place() {
    let config = config(&[
        "--http_address=0.0.0.0",
        "--http_port=0",
        "--hostname=here",
        "--http_credentials=me:a:b",
        "--http_realm=Here",
        "--disable_http_compression",
        "--http_max_concurrent_requests=3",
        "--access_control_allow_origin= http://a , *",
        "--leader_proxy_max_open_connections=4",
        "--leader_proxy_connection_timeout=5",
        "--leader_proxy_read_timeout=6",
        "--on_elected_prepare_timeout=7",
        "--graceful_shutdown_timeout=8",
        "--max_concurrent_marathon_health_checks=9",
        "--mesos_heartbeat_interval=10",
        "--mesos_heartbeat_failure_threshold=11",
        "--webui_url=http://ui",
        "--failover_timeout=12",
        "--metrics_name_prefix=m",
        "--disable_metrics_prometheus",
        "--metrics_histogram_reservoir_highest_trackable_value=2",
        "--metrics_histogram_reservoir_significant_digits=0",
        "--disable_metrics_histogram_reservoir_reset_periodically",
    ]);
    assert!(config.http_address.is_unspecified());
    assert_eq!((config.http_port, config.hostname.as_str()), (0, "here"));
    let http = &config.http;
    let credentials = Some(("me".to_owned(), "a:b".to_owned()));
    assert_eq!(http.http_credentials, credentials);
    assert_eq!(http.http_realm, "Here");
    assert!(!http.http_compression);
    assert_eq!(http.http_max_concurrent_requests, Some(3));
    assert_eq!(http.access_control_allow_origin, ["http://a", "*"]);
    assert_eq!(config.proxy.leader_proxy_max_open_connections, 4);
    assert_eq!(config.proxy.leader_proxy_connection_timeout, millis(5));
    assert_eq!(config.proxy.leader_proxy_read_timeout, millis(6));
    assert_eq!(config.on_elected_prepare_timeout, millis(7));
    assert_eq!(config.graceful_shutdown_timeout, millis(8));
    assert_eq!(config.max_concurrent_marathon_health_checks, 9);
    assert_eq!(config.driver.probe_interval, millis(10));
    assert_eq!(config.driver.missed_probes, 11);
    assert_eq!(config.framework.webui_url.as_deref(), Some("http://ui"));
    assert_eq!(config.framework.failover_timeout, Duration::from_secs(12));
    let metrics = MetricsSettings {
        metrics_name_prefix: "m".to_owned(),
        metrics_prometheus: false,
        metrics_histogram_reservoir_highest_trackable_value: 2,
        metrics_histogram_reservoir_significant_digits: 0,
        metrics_histogram_reservoir_resetting_interval: None,
    };
    assert_eq!(config.metrics, metrics);
}

#[test]
fn an_open_door_is_noted_unless_it_is_guarded() {
    let open = notes(&["--http_address=0.0.0.0"]);
    assert_says(&open.concat(), &["0.0.0.0", "--http_credentials"]);
    let guarded = notes(&["--http_address=0.0.0.0", "--http_credentials=a:b"]);
    assert_eq!(guarded, Vec::<String>::new());
}

#[test]
fn wrong_values_are_refused_with_what_would_be_right() {
    for (args, parts) in [
        (
            &["--local_port_min=20001"][..],
            &["at most 20000", "--local_port_max"][..],
        ),
        (&["--mesos_role=a b"], &["'a b'", "the name of a role"]),
        (&["--mesos_role="], &["a text that is not empty"]),
        (&["--framework_name= "], &["a text that is not empty"]),
        (&["--default_network_name="], &["leave it out for none"]),
        (&["--http_address=localhost"], &["an IP address"]),
        (&["--hostname=a b"], &["a name or an address"]),
        (&["--hostname="], &["a name or an address"]),
        (&["--http_realm=a\"b"], &["without quotation marks"]),
        (
            &["--access_control_allow_origin=a\nb"],
            &["origins such as"],
        ),
        (&["--new_group_enforce_role=Top"], &["'off' or 'top'"]),
        (&["--leader_election_backend=raft"], &["expected 'curator'"]),
        (
            &["--enable_features=vips,gpu"],
            &["'gpu' is none of them", "gpu_resources"],
        ),
    ] {
        assert_says(&refusal(args, &[]), parts);
    }
}

#[test]
fn removed_features_stop_the_start_unless_they_are_disabled() {
    let removed = refusal(&["--deprecated_features=app_c"], &[]);
    assert_says(&removed, &["'app_c' has been removed", "disable_app_c"]);
    let last = refusal(
        &["--deprecated_features=disable_app_c,text_plain_tasks"],
        &[],
    );
    assert_says(&last, &["'text_plain_tasks' has been removed"]);
    config(&["--deprecated_features=disable_app_c,disable_kamon_metrics"]);
    for unknown in ["x", "disable_x"] {
        let text = refusal(&[&format!("--deprecated_features={unknown}")], &[]);
        assert_says(&text, &["'x' is none of them", "sync_proxy"]);
    }
    let roles = refusal(&["--default_accepted_resource_roles=*"], &[]);
    assert_says(
        &roles,
        &["removed", "accepted_resource_roles_default_behavior"],
    );
}

#[test]
fn what_is_not_built_is_refused_and_switching_it_off_is_fine() {
    for toggle in [
        "metrics_statsd",
        "metrics_datadog",
        "mesos_offer_constraints",
    ] {
        let on = refusal(&[&format!("--{toggle}")], &[]);
        assert_says(&on, &[&format!("'{toggle}'"), "is refused", "not"]);
        assert_eq!(
            notes(&[&format!("--disable_{toggle}")]),
            Vec::<String>::new()
        );
    }
    let http = refusal(&["--disable_http"], &[]);
    assert_says(&http, &["'disable_http'", "HTTPS is not supported yet"]);
    for variable in ["MESOSPHERE_KEYSTORE_PATH", "MESOSPHERE_KEYSTORE_PASS"] {
        let text = refusal(&[], &[(variable, "secret")]);
        assert_says(&text, &[variable, "HTTPS is not supported yet"]);
        assert!(!text.contains("secret"), "{text}");
    }
    let chunks = refusal(&["--metrics_histogram_reservoir_resetting_chunks=2"], &[]);
    assert_says(&chunks, &["expected '0'"]);
}
