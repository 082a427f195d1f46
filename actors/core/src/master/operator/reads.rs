//! Calls of the operator API that change nothing in the cluster: what each asks for.
//! Answers none.

use std::time::Duration;

use tepui_protocol::v1::master::Call;
use tepui_protocol::v1::master::call::Type;

use super::CallError;

/// What a call wants to know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Read {
    /// GET_HEALTH.
    Health,
    /// GET_FLAGS.
    Flags,
    /// GET_VERSION.
    Version,
    /// GET_METRICS; its timeout makes no difference where figures are read at once.
    Metrics,
    /// GET_LOGGING_LEVEL.
    LoggingLevel,
    /// SET_LOGGING_LEVEL, which changes this process only.
    SetLoggingLevel(SetLoggingLevel),
    /// GET_STATE.
    State,
    /// GET_AGENTS.
    Agents,
    /// GET_FRAMEWORKS.
    Frameworks,
    /// GET_EXECUTORS.
    Executors,
    /// GET_OPERATIONS.
    Operations,
    /// GET_TASKS.
    Tasks,
    /// GET_ROLES.
    Roles,
    /// GET_WEIGHTS.
    Weights,
    /// GET_MASTER.
    Master,
    /// SUBSCRIBE.
    Subscribe,
    /// GET_MAINTENANCE_STATUS.
    MaintenanceStatus,
    /// GET_MAINTENANCE_SCHEDULE.
    MaintenanceSchedule,
    /// GET_QUOTA.
    Quota,
}

/// A level of logging for some time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SetLoggingLevel {
    /// The higher, the more is logged; 0 is what the process was started with.
    pub level: u32,
    /// Time after which that comes back.
    pub time: Duration,
}

impl Read {
    /// What a call wants to know; none when it is no such call.
    ///
    /// # Errors
    /// When the call is not sound. Mesos: `master::call::validate`.
    pub fn from_call(call: &Call) -> Result<Option<Read>, CallError> {
        let Some(kind) = call.r#type.and_then(|kind| Type::try_from(kind).ok()) else {
            return Ok(None);
        };
        let missing = |name| CallError::Invalid(format!("Expecting '{name}' to be present"));
        Ok(Some(match kind {
            Type::GetHealth => Read::Health,
            Type::GetFlags => Read::Flags,
            Type::GetVersion => Read::Version,
            Type::GetMetrics => match call.get_metrics {
                Some(_) => Read::Metrics,
                None => return Err(missing("get_metrics")),
            },
            Type::GetLoggingLevel => Read::LoggingLevel,
            Type::SetLoggingLevel => match &call.set_logging_level {
                Some(set) => Read::SetLoggingLevel(SetLoggingLevel {
                    level: set.level,
                    // A negative time is over at once.
                    time: Duration::from_nanos(
                        u64::try_from(set.duration.nanoseconds).unwrap_or(0),
                    ),
                }),
                None => return Err(missing("set_logging_level")),
            },
            Type::GetState => Read::State,
            Type::GetAgents => Read::Agents,
            Type::GetFrameworks => Read::Frameworks,
            Type::GetExecutors => Read::Executors,
            Type::GetOperations => Read::Operations,
            Type::GetTasks => Read::Tasks,
            Type::GetRoles => Read::Roles,
            Type::GetWeights => Read::Weights,
            Type::GetMaster => Read::Master,
            Type::Subscribe => Read::Subscribe,
            Type::GetMaintenanceStatus => Read::MaintenanceStatus,
            Type::GetMaintenanceSchedule => Read::MaintenanceSchedule,
            Type::GetQuota => Read::Quota,
            _ => return Ok(None),
        }))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn read(call: &Value) -> Result<Option<Read>, CallError> {
        let bytes = serde_json::to_vec(call).unwrap();
        Read::from_call(&tepui_protocol::json::from_slice(&bytes).unwrap())
    }

    #[test]
    fn what_changes_the_cluster_is_no_read() {
        assert_eq!(read(&json!({"type": "MARK_AGENT_GONE"})), Ok(None));
        assert_eq!(read(&json!({"type": "UNKNOWN"})), Ok(None));
        assert_eq!(read(&json!({})), Ok(None));
        let state = read(&json!({"type": "GET_STATE"}));
        assert_eq!(state, Ok(Some(Read::State)));
    }

    #[test]
    fn payloads_must_be_there() {
        for (kind, payload) in [
            ("GET_METRICS", "get_metrics"),
            ("SET_LOGGING_LEVEL", "set_logging_level"),
        ] {
            let text = format!("Expecting '{payload}' to be present");
            let refused = read(&json!({"type": kind}));
            assert_eq!(refused, Err(CallError::Invalid(text)));
        }
        let set = |nanoseconds: i64| {
            read(&json!({"type": "SET_LOGGING_LEVEL", "set_logging_level":
                {"level": 3, "duration": {"nanoseconds": nanoseconds}}}))
        };
        let expected = |seconds| {
            let time = Duration::from_secs(seconds);
            Ok(Some(Read::SetLoggingLevel(SetLoggingLevel {
                level: 3,
                time,
            })))
        };
        assert_eq!(set(2_000_000_000), expected(2));
        assert_eq!(set(-2_000_000_000), expected(0));
    }
}
