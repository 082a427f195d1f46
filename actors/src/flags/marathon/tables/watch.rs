//! Flags about logs and metrics.
//! Declares them only.

use super::super::kind::{Kind, Unit};
use super::super::table::Support::{Inert, No, Only, Yes};
use super::super::table::{Flag, Group, flags};

/// Why what sends logs elsewhere is refused.
const TO_STDERR: &str = "logs go to standard error only; have what collects that send them on";

/// Why reporters are refused.
const NO_REPORTER: &str =
    "metrics are not sent anywhere; have them fetched from /metrics or /metrics/prometheus";

flags! {
    WATCH;
    [Logging]
        logging_level: Kind::Choice(&["off", "error", "warn", "info", "debug", "trace", "all"]),
            None, Yes,
            "Lowest level that is logged. Default: info.";
        logstash: Kind::Text, None, No(TO_STDERR), "Where logs are sent to.";
        sentry: Kind::Text, None, No(TO_STDERR), "Where errors are sent to.";
        sentry_tags: Kind::Text, None, No(TO_STDERR), "Labels of what is sent there.";
    [Metrics]
        metrics_name_prefix: Kind::Text, Some("marathon"), Yes, "First part of all names.";
        metrics_prometheus: Kind::Toggle, Some("true"), Yes,
            "Whether /metrics/prometheus answers.";
        metrics_histogram_reservoir_highest_trackable_value:
            Kind::number(Unit::Plain, 2, i64::MAX as u64), Some("3600000000000"), Yes,
            "Largest duration that histograms tell apart, in nanoseconds.";
        metrics_histogram_reservoir_significant_digits: Kind::number(Unit::Plain, 0, 5), Some("3"),
            Yes, "Decimal digits of durations that histograms keep.";
        metrics_histogram_reservoir_reset_periodically: Kind::Toggle, Some("true"), Yes,
            "Whether histograms forget what they counted, again and again.";
        metrics_histogram_reservoir_resetting_interval_ms: Kind::MILLIS_FROM_1, Some("5000"), Yes,
            "Time after which they do.";
        metrics_histogram_reservoir_resetting_chunks: Kind::COUNT, Some("0"),
            Only(&["0"], "histograms forget all at once, not piece by piece"),
            "Pieces in which they do; 0 is all at once.";
        metrics: Kind::Toggle, Some("false"),
            Inert("Marathon itself does not use it any more; metrics are always measured"),
            "Whether more is measured.";
        metrics_statsd: Kind::Toggle, Some("false"), Only(&["false"], NO_REPORTER),
            "Whether metrics are sent to StatsD.";
        metrics_statsd_host: Kind::Text, None, No(NO_REPORTER), "Its host.";
        metrics_statsd_port: Kind::PORT_FROM_1, None, No(NO_REPORTER), "Its port.";
        metrics_statsd_transmission_interval_ms: Kind::MILLIS_FROM_1, Some("10000"),
            No(NO_REPORTER), "Time between two sendings.";
        metrics_datadog: Kind::Toggle, Some("false"), Only(&["false"], NO_REPORTER),
            "Whether metrics are sent to Datadog.";
        metrics_datadog_protocol: Kind::Choice(&["udp", "api"]), Some("udp"), No(NO_REPORTER),
            "How they are sent.";
        metrics_datadog_host: Kind::Text, None, No(NO_REPORTER), "Its host.";
        metrics_datadog_port: Kind::PORT_FROM_1, None, No(NO_REPORTER), "Its port.";
        metrics_datadog_api_key: Kind::Text, None, No(NO_REPORTER), "The key for it.";
        metrics_datadog_transmission_interval_ms: Kind::MILLIS_FROM_1, Some("10000"),
            No(NO_REPORTER), "Time between two sendings.";
}
