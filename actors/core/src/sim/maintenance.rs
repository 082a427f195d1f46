//! Maintenance: operators plan it, take machines down and bring them up; frameworks answer when
//! they are asked to leave. Decides nothing of what the master does then.

use tepui_protocol::v1::maintenance::{Schedule, Window};
use tepui_protocol::v1::scheduler::{Call, call};
use tepui_protocol::v1::{
    DurationInfo, Filters, InverseOffer, MachineId, TimeInfo, Unavailability,
};

use super::world::{SECOND, World};
use crate::ids::{AgentId, OfferId};
use crate::maintenance::{MachineKey, Maintenance, Mode};
use crate::master::operator::Request;

impl World {
    /// One step of an operator's maintenance, as the master that is asked sees it.
    pub(super) fn maintain(&mut self) -> Option<Request> {
        let life = self.some_master()?;
        let planned = self.masters.get(&life)?.core.snapshot().maintenance;
        match self.random.below(9) {
            0..=2 => Some(self.plan(&planned)),
            3 | 4 => self.some_machine(&planned, Mode::Draining).map(|machine| {
                self.counts.machines_down += 1;
                Request::StartMaintenance(vec![machine])
            }),
            _ => self.some_machine(&planned, Mode::Down).map(|machine| {
                self.counts.machines_up += 1;
                Request::StopMaintenance(vec![machine])
            }),
        }
    }

    /// A schedule with some of the machines, and with all that are down.
    fn plan(&mut self, planned: &Maintenance) -> Request {
        let mut windows: Vec<Window> = Vec::new();
        for host in 0..self.agents.len() {
            let Some(machine) = self.machine(host) else {
                continue;
            };
            if !planned.is_down(&MachineKey::from(&machine)) && self.random.per_mille(500) {
                continue;
            }
            let joins = self.random.per_mille(300);
            match windows.last_mut().filter(|_| joins) {
                Some(window) => window.machine_ids.push(machine),
                None => windows.push(self.window(machine)),
            }
        }
        self.counts.schedules += 1;
        Request::UpdateMaintenanceSchedule(Schedule { windows })
    }

    fn window(&mut self, machine: MachineId) -> Window {
        let mut seconds = |most: u64| {
            let nanoseconds = self.random.below(most).saturating_mul(1_000_000_000);
            i64::try_from(nanoseconds).unwrap_or_default()
        };
        let start = 1_600_000_000_000_000_000 + seconds(3600);
        let nanoseconds = seconds(7200);
        Window {
            machine_ids: vec![machine],
            unavailability: Unavailability {
                start: TimeInfo { nanoseconds: start },
                duration: Some(DurationInfo { nanoseconds }),
            },
        }
    }

    fn machine(&self, agent: usize) -> Option<MachineId> {
        let host = self.agents.get(agent)?;
        Some(MachineId {
            hostname: Some(host.settings.info.hostname.clone()),
            ip: Some(host.ip.clone()),
        })
    }

    fn some_machine(&mut self, planned: &Maintenance, mode: Mode) -> Option<MachineId> {
        let machines = planned.machines.values();
        let machines: Vec<&MachineId> = machines
            .filter(|machine| machine.mode == mode)
            .map(|machine| &machine.id)
            .collect();
        self.random.pick(&machines).copied().cloned()
    }

    /// All machines come up for good; false when none was down.
    pub(super) fn end_maintenance(&mut self) -> Option<Request> {
        let life = self.election.leader?;
        let planned = self.masters.get(&life)?.core.snapshot().maintenance;
        let machines = planned.machines.values();
        let down: Vec<MachineId> = machines
            .filter(|machine| machine.mode == Mode::Down)
            .map(|machine| machine.id.clone())
            .collect();
        (!down.is_empty()).then_some(Request::StopMaintenance(down))
    }

    /// Whether the machine of an agent is down for a master.
    pub(super) fn is_machine_down(&self, life: u64, agent: usize) -> bool {
        let machine = self.machine(agent);
        let master = self.masters.get(&life);
        let (Some(machine), Some(master)) = (machine, master) else {
            return false;
        };
        let planned = master.core.snapshot().maintenance;
        planned.is_down(&MachineKey::from(&machine))
    }

    /// A framework is asked to leave only what is planned to be away, and when that is so.
    pub(super) fn check_inverse_offers(&mut self, life: u64, offers: &[InverseOffer]) {
        let Some(master) = self.masters.get(&life) else {
            return;
        };
        let snapshot = master.core.snapshot();
        for offer in offers {
            let agent = offer.agent_id.as_ref().map(AgentId::from);
            let agent = agent.and_then(|id| snapshot.agents.get(&id));
            let planned = agent.and_then(|it| snapshot.maintenance.unavailability(&it.machine));
            if planned != Some(&offer.unavailability) {
                let id = &offer.id.value;
                return self.fail(format!("inverse offer {id} is about {planned:?}"));
            }
        }
        self.counts.inverse_offers += offers.len() as u64;
    }

    /// Accepts or declines one inverse offer, if there is any.
    pub(super) fn answer_inverse_offer(&mut self, framework: usize) {
        let refuse = *self.random.pick(&[0.0, 5.0, 60.0]).unwrap_or(&5.0);
        let accepts = self.random.per_mille(500);
        let Some(process) = self.framework_process(framework) else {
            return;
        };
        let ids: Vec<OfferId> = process.inverse_offers.iter().cloned().collect();
        let Some(id) = self.random.pick(&ids) else {
            return;
        };
        if let Some(process) = self.framework_process(framework) {
            process.inverse_offers.remove(id);
        }
        let inverse_offer_ids = vec![id.to_v1()];
        let filters = Some(Filters {
            refuse_seconds: Some(refuse),
        });
        let mut call = Call::default();
        let kind = match accepts {
            true => {
                self.counts.inverse_accepts += 1;
                call.accept_inverse_offers = Some(call::AcceptInverseOffers {
                    inverse_offer_ids,
                    filters,
                });
                call::Type::AcceptInverseOffers
            }
            false => {
                self.counts.inverse_declines += 1;
                call.decline_inverse_offers = Some(call::DeclineInverseOffers {
                    inverse_offer_ids,
                    filters,
                });
                call::Type::DeclineInverseOffers
            }
        };
        self.make_call(framework, kind, call);
    }
}

/// Time after which operators end what they do, once all is calm.
pub(super) const CALM_US: u64 = 300 * SECOND;
