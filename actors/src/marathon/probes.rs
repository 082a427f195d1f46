//! Which instances are probed, and what the results of probes mean to the manager.
//! Probes nothing itself.

use std::collections::BTreeMap;
use std::sync::Arc;

use tepui_core::marathon::engine::HealthVerdict;
use tepui_core::marathon::ids::InstanceId;
use tepui_core::marathon::instance::Instance;
use tepui_core::marathon::manager::Input;
use tepui_core::marathon::probe::{ProbeKind, ProbePlan, health_probes, readiness_probe};
use tepui_protocol::marathon::{App, ReadinessCheckResult, ReadinessResponse};

use super::prober::{HealthProbe, HttpGet, Outcome, ProbeResult, ProbeSpec, ProberHandle, Scheme};

/// Whom a probe looks at.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Target {
    /// A health check of an instance, by its place in the app's definition.
    Health(InstanceId, usize),
    /// Readiness of an instance.
    Readiness(InstanceId),
}

/// The probes under way.
#[derive(Debug)]
pub struct Probes {
    prober: ProberHandle<Target>,
    /// How many checks of each instance are probed: the places in its definition.
    health: BTreeMap<InstanceId, Vec<usize>>,
    /// The task and the definition that an answer about readiness is judged by.
    readiness: BTreeMap<InstanceId, (String, Arc<App>)>,
}

impl Probes {
    /// None yet.
    pub fn new(prober: ProberHandle<Target>) -> Probes {
        Probes {
            prober,
            health: BTreeMap::new(),
            readiness: BTreeMap::new(),
        }
    }

    /// Probes the health of an instance from now on.
    pub fn start_health(&mut self, instance: &Instance, app: &App) {
        self.stop_health(&instance.id);
        let mut places = Vec::new();
        for (check, plan) in health_probes(app, instance) {
            let target = Target::Health(instance.id.clone(), check);
            self.prober.watch(target, health_spec(plan));
            places.push(check);
        }
        self.health.insert(instance.id.clone(), places);
    }

    /// Probes the health of an instance no longer.
    pub fn stop_health(&mut self, id: &InstanceId) {
        for check in self.health.remove(id).unwrap_or_default() {
            self.prober.unwatch(&Target::Health(id.clone(), check));
        }
    }

    /// Probes the readiness of an instance from now on.
    pub fn start_readiness(&mut self, instance: &Instance, app: Arc<App>) {
        let plan = readiness_probe(&app, instance);
        let (Some(plan), Some(task)) = (plan, instance.task()) else {
            return;
        };
        let judged_by = (task.to_string(), app);
        self.readiness.insert(instance.id.clone(), judged_by);
        let target = Target::Readiness(instance.id.clone());
        self.prober.watch(target, readiness_spec(plan));
    }

    /// Probes the readiness of an instance no longer.
    pub fn stop_readiness(&mut self, id: &InstanceId) {
        if self.readiness.remove(id).is_some() {
            self.prober.unwatch(&Target::Readiness(id.clone()));
        }
    }

    /// What a result tells the manager; none when it says nothing, or comes too late.
    pub fn found(&self, result: ProbeResult<Target>) -> Option<Input> {
        match (result.key, result.outcome) {
            (Target::Health(instance, check), Outcome::Health { alive, cause }) => {
                let verdict = match alive {
                    true => HealthVerdict::Alive,
                    false => HealthVerdict::Failed(cause.unwrap_or_default()),
                };
                Some(Input::Health {
                    instance,
                    check,
                    verdict,
                })
            }
            (
                Target::Readiness(instance),
                Outcome::Readiness {
                    answered,
                    status,
                    content_type,
                    body,
                },
            ) => {
                let (task_id, app) = self.readiness.get(&instance)?.clone();
                let check = app.readiness_checks.first()?;
                let wanted = &check.http_status_codes_for_ready;
                let response = ReadinessResponse {
                    status,
                    content_type,
                    body,
                };
                let result = ReadinessCheckResult {
                    name: check.name.clone(),
                    task_id,
                    ready: answered && wanted.contains(&i32::from(status)),
                    last_response: check.preserve_last_response.then_some(response),
                };
                Some(Input::Readiness { instance, result })
            }
            (Target::Health(..), Outcome::Ignored | Outcome::Readiness { .. })
            | (Target::Readiness(_), Outcome::Ignored | Outcome::Health { .. }) => None,
        }
    }
}

fn health_spec(plan: ProbePlan) -> ProbeSpec {
    let place = (plan.host.as_str(), plan.port);
    let probe = match plan.kind {
        ProbeKind::Tcp => HealthProbe::Tcp,
        ProbeKind::Http {
            tls,
            path,
            ignore_1xx,
        } => HealthProbe::Http {
            get: get(tls, path),
            ignore_1xx,
        },
    };
    ProbeSpec::health(probe, place, plan.interval, plan.timeout)
}

fn readiness_spec(plan: ProbePlan) -> ProbeSpec {
    let place = (plan.host.as_str(), plan.port);
    let (tls, path) = match plan.kind {
        ProbeKind::Http { tls, path, .. } => (tls, path),
        // No readiness check is one.
        ProbeKind::Tcp => (false, "/".to_owned()),
    };
    ProbeSpec::readiness(get(tls, path), place, plan.interval, plan.timeout)
}

fn get(tls: bool, path: String) -> HttpGet {
    let scheme = match tls {
        true => Scheme::Https,
        false => Scheme::Http,
    };
    HttpGet { scheme, path }
}
