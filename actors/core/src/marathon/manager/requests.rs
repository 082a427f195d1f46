//! Requests that change apps, groups, tasks and deployments.
//! What a change of the tree is, is decided there; here it is stored, planned and begun.

use std::collections::{BTreeMap, BTreeSet};

use imbl::ordmap::DiffItem;
use serde_json::Value;
use tepui_protocol::marathon::{App, DeploymentPlan, PathId, Timestamp};

use super::messages::{Answer, Caller, DryRun, Effect, ManagerEventKind, Request, Token};
use super::translate::store;
use super::{AppView, Manager};
use crate::marathon::definition::{Rejection, refuse_unsupported, version_wanted};
use crate::marathon::deployment::DeployError;
use crate::marathon::group::RootGroup;
use crate::marathon::ids::InstanceId;
use crate::marathon::instance::config_version;
use crate::marathon::plan::{plan, revert};
use crate::time::Now;

/// A change of the root group that has been found valid.
struct Proposal {
    root: RootGroup,
    /// The group that the change is about.
    group: PathId,
    /// What was made, where something was.
    created: Option<PathId>,
    /// For changes of one app: the app before it became part of the tree, and who asked.
    app: Option<(App, Caller)>,
    /// Whether POST /v2/apps made it, which is answered with the app.
    is_post: bool,
    /// Instances to give up first.
    kill: BTreeMap<PathId, Vec<InstanceId>>,
    force: bool,
}

impl Proposal {
    fn of(root: RootGroup, group: PathId, force: bool) -> Proposal {
        Proposal {
            root,
            group,
            created: None,
            app: None,
            is_post: false,
            kill: BTreeMap::new(),
            force,
        }
    }
}

impl Manager {
    /// Does what a request asks, or refuses it and changes nothing; without an answer, one follows.
    pub(super) fn request(
        &mut self,
        now: Now,
        token: Token,
        request: Request,
        out: &mut Vec<Effect>,
    ) -> Option<Answer> {
        let result = match request {
            Request::DryRun { request, places } => match self.dry_run(now, *request) {
                Ok((plan, root)) if places => {
                    self.show_places(now, token, plan, &root, out);
                    return None;
                }
                Ok((plan, _)) => Ok(Answer::Plan(Box::new(DryRun {
                    plan,
                    placing: None,
                }))),
                Err(refused) => Err(refused),
            },
            Request::KillTasks {
                instances,
                scale: false,
                wipe,
                force: _,
            } => Ok(self.kill(now, &instances, wipe, out)),
            Request::CancelDeployment { id, force: true } => self.cancel(now, &id, out),
            Request::ResetDelay { id } => self.reset_delay(now, &id, out),
            Request::PatchGroup { id, body } => self.patch_group(now, &id, &body, out),
            change => self
                .propose(now, change)
                .and_then(|proposal| self.carry_out(now, proposal, out)),
        };
        Some(result.unwrap_or_else(Answer::Refused))
    }

    /// What a request would make of the root group.
    fn propose(&self, now: Now, request: Request) -> Result<Proposal, Rejection> {
        let version = self.root.next_version(now);
        let settings = &self.settings.definition;
        let root = &self.root;
        let older = |id: &PathId, version| self.history.app(id, version);
        let proposal = match request {
            Request::CreateApp {
                body,
                force,
                caller,
            } => {
                let changed = root.create_app(&body, settings, version)?;
                let id = changed.app.id.clone();
                Proposal {
                    created: Some(id.clone()),
                    app: Some((changed.app, caller)),
                    is_post: true,
                    ..Proposal::of(changed.root, id.parent(), force)
                }
            }
            Request::ChangeApp {
                id,
                body,
                partial,
                may_create,
                force,
                caller,
            } => {
                let changed = match may_create {
                    true => root.put_app_body(&id, &body, (partial, &older), settings, version)?,
                    false => root.patch_app(&id, &body, &older, settings, version)?,
                };
                Proposal {
                    created: changed.created.then(|| id.clone()),
                    app: Some((changed.app, caller)),
                    ..Proposal::of(changed.root, id.parent(), force)
                }
            }
            Request::ChangeApps {
                body,
                partial,
                may_create,
                force,
            } => {
                let how = (partial, may_create);
                let root = root.put_apps(&body, how, &older, settings, version)?;
                Proposal::of(root, PathId::root(), force)
            }
            Request::DeleteApp { id, force } => {
                let root = root.remove_app(&id, settings, version)?;
                Proposal::of(root, id.parent(), force)
            }
            Request::RestartApp { id, force } => {
                let root = root.restart_app(&id, settings, version)?;
                Proposal::of(root, id.parent(), force)
            }
            Request::CreateGroup { .. }
            | Request::ChangeGroup { .. }
            | Request::DeleteGroup { .. } => self.propose_group(request, version)?,
            Request::KillTasks {
                instances, force, ..
            } => self.propose_scaling(&instances, version, force)?,
            Request::CancelDeployment { id, .. } => self.propose_revert(&id, version)?,
            Request::PatchGroup { .. } | Request::ResetDelay { .. } | Request::DryRun { .. } => {
                return Err(no_plan());
            }
        };
        self.refuse_what_cannot_run(&proposal.root)?;
        Ok(proposal)
    }

    /// The part of [`Manager::propose`] that is about whole groups.
    fn propose_group(&self, request: Request, version: Timestamp) -> Result<Proposal, Rejection> {
        let (root, settings) = (&self.root, &self.settings.definition);
        match request {
            Request::CreateGroup { base, body, force } => {
                let (root, id) = root.create_group(&base, &body, settings, version)?;
                Ok(Proposal {
                    created: Some(id.clone()),
                    ..Proposal::of(root, id, force)
                })
            }
            Request::ChangeGroup { base, body, force } => {
                let older = version_wanted(&body);
                let older = older.and_then(|version| self.history.roots().get(&version));
                let (root, id) = root.put_group_body(&base, &body, older, settings, version)?;
                Ok(Proposal::of(root, id, force))
            }
            Request::DeleteGroup { id, force } => {
                let root = root.remove_group(&id, settings, version)?;
                Ok(Proposal::of(root, id.parent(), force))
            }
            _ => Err(no_plan()),
        }
    }

    fn propose_scaling(
        &self,
        instances: &[InstanceId],
        version: Timestamp,
        force: bool,
    ) -> Result<Proposal, Rejection> {
        let mut kill: BTreeMap<PathId, Vec<InstanceId>> = BTreeMap::new();
        for id in instances {
            if self.engine.instance(id).is_some() {
                kill.entry(id.app()).or_default().push(id.clone());
            }
        }
        let mut root = self.root.clone();
        for (app, victims) in &kill {
            let delta = -i64::try_from(victims.len()).unwrap_or(i64::MAX);
            root = root.scale_app_by(app, delta, &self.settings.definition, version)?;
        }
        Ok(Proposal {
            kill,
            ..Proposal::of(root, PathId::root(), force)
        })
    }

    fn propose_revert(&self, id: &str, version: Timestamp) -> Result<Proposal, Rejection> {
        let deployments = self.engine.deployments();
        let listing = deployments.iter().find(|it| it.stored.plan.id == id);
        let plan = listing.map(|listing| &listing.stored.plan);
        let plan = plan.ok_or_else(|| no_deployment(id))?;
        let target = self.history.roots().get(&plan.version);
        let (Some(original), Some(target)) = (self.history.before(plan.version), target) else {
            let text = "the root group before this deployment is no longer known; cancel it with force=true";
            return Err(Rejection::message(409, text));
        };
        let settings = &self.settings.definition;
        let root = revert(&self.root, (original, target), settings, version)?;
        Ok(Proposal::of(root, PathId::root(), true))
    }

    /// Apps that this version cannot run are refused, not ignored.
    fn refuse_what_cannot_run(&self, root: &RootGroup) -> Result<(), Rejection> {
        for item in self.root.app_map().diff(root.app_map()) {
            match item {
                DiffItem::Add(_, app) => refuse_unsupported(app)?,
                DiffItem::Update { new: (_, app), .. } => refuse_unsupported(app)?,
                DiffItem::Remove(..) => {}
            }
        }
        Ok(())
    }

    /// The plan of a change, and the root group it leads to.
    fn dry_run(
        &self,
        now: Now,
        request: Request,
    ) -> Result<(DeploymentPlan, RootGroup), Rejection> {
        if let Request::PatchGroup { id, body } = &request {
            let version = self.root.next_version(now);
            let settings = &self.settings.definition;
            let root = self.root.patch_group(id, body, settings, version)?;
            let plan = DeploymentPlan {
                id: String::new(),
                steps: Vec::new(),
                version,
            };
            return Ok((plan, root));
        }
        let proposal = self.propose(now, request)?;
        let version = proposal.root.version();
        let plan = plan(&self.root, &proposal.root, String::new(), version);
        Ok((plan, proposal.root))
    }

    /// Begins the deployment to a proposed root group, and stores both in one.
    fn carry_out(
        &mut self,
        now: Now,
        proposal: Proposal,
        out: &mut Vec<Effect>,
    ) -> Result<Answer, Rejection> {
        let version = proposal.root.version();
        let id = self.random.uuid().to_string();
        let plan = plan(&self.root, &proposal.root, id.clone(), version);
        let mut wanted = Vec::new();
        self.begin(now, plan, &proposal, &mut wanted)?;
        self.adopt(proposal.root.clone(), out);
        self.perform(&mut wanted, out);
        self.forget_history(out);
        Ok(self.answer(now, proposal, (id, version), out))
    }

    fn begin(
        &mut self,
        now: Now,
        plan: DeploymentPlan,
        proposal: &Proposal,
        wanted: &mut Vec<crate::marathon::engine::Effect>,
    ) -> Result<(), Rejection> {
        let (old, new) = (self.root.app_map(), proposal.root.app_map());
        let (kill, force) = (proposal.kill.clone(), proposal.force);
        let begun = self.engine.deploy(plan, old, new, kill, force, now, wanted);
        self.figures.deployed(&begun);
        begun.map_err(|error| match error {
            DeployError::Conflict(ids) => Rejection::locked(ids),
            DeployError::TooMany(_) => Rejection::message(403, self.too_many()),
        })
    }

    /// Marathon's text, its missing blank included.
    fn too_many(&self) -> String {
        format!(
            "Max number ({}) of running deployments is achieved. Wait for existing deployments to \
             complete or cancel oneusing force=true parameter. You can increase max deployment \
             number by using --max_running_deployments parameter but be advised that this can have \
             negative effects on the performance.",
            self.settings.engine.max_running_deployments
        )
    }

    /// Makes a root group the current one, and has it stored.
    fn adopt(&mut self, root: RootGroup, out: &mut Vec<Effect>) {
        let mut changes = Vec::new();
        self.history.push(&self.root, &root, &mut changes);
        for change in changes {
            store(change, out);
        }
        let mut changed = BTreeSet::new();
        for item in self.root.app_map().diff(root.app_map()) {
            let (id, app) = match item {
                DiffItem::Add(id, app) => (id, Some(app)),
                DiffItem::Update { new: (id, app), .. } => (id, Some(app)),
                DiffItem::Remove(id, _) => (id, None),
            };
            changed.insert(id.clone());
            if let Some(app) = app {
                let view = self.views.get(id).cloned().unwrap_or_default();
                self.placements.set_app(app, &view.instances);
            }
        }
        self.note_roles(&root, &changed, out);
        self.root = root;
    }

    fn forget_history(&mut self, out: &mut Vec<Effect>) {
        let deployments = self.engine.deployments();
        let needed = deployments.iter().map(|it| it.stored.plan.version).min();
        let views = &self.views;
        let is_used = |app: &App| {
            let instances = views.get(&app.id).map(|view: &AppView| &view.instances);
            let mut instances = instances.into_iter().flat_map(imbl::OrdMap::values);
            instances.any(|instance| instance.version == config_version(app))
        };
        let mut changes = Vec::new();
        let most = self.settings.max_versions;
        self.history.forget(most, needed, is_used, &mut changes);
        for change in changes {
            store(change, out);
        }
    }

    fn answer(
        &mut self,
        now: Now,
        proposal: Proposal,
        (id, version): (String, Timestamp),
        out: &mut Vec<Effect>,
    ) -> Answer {
        if let Some((app, caller)) = &proposal.app {
            let kind = ManagerEventKind::ApiPost {
                client_ip: caller.client_ip.clone(),
                uri: caller.uri.clone(),
                app_definition: Box::new(app.clone()),
            };
            self.tell(now, kind, out);
        }
        let kind = ManagerEventKind::GroupChange {
            group_id: proposal.group,
            version,
        };
        self.tell(now, kind, out);
        match proposal.app {
            Some((app, _)) if proposal.is_post => Answer::Created {
                app: Box::new(app),
                deployment: id,
            },
            _ => Answer::Deployment {
                id,
                version,
                created: proposal.created,
            },
        }
    }

    fn kill(
        &mut self,
        now: Now,
        instances: &[InstanceId],
        wipe: bool,
        out: &mut Vec<Effect>,
    ) -> Answer {
        let mut wanted = Vec::new();
        let killed = self.engine.kill(instances, wipe, now, &mut wanted);
        self.perform(&mut wanted, out);
        Answer::Killed(killed)
    }

    fn cancel(&mut self, now: Now, id: &str, out: &mut Vec<Effect>) -> Result<Answer, Rejection> {
        let mut wanted = Vec::new();
        let was_known = self.engine.cancel(id, now, &mut wanted);
        self.perform(&mut wanted, out);
        was_known
            .then_some(Answer::Done)
            .ok_or_else(|| no_deployment(id))
    }

    fn reset_delay(
        &mut self,
        now: Now,
        id: &PathId,
        out: &mut Vec<Effect>,
    ) -> Result<Answer, Rejection> {
        let mut wanted = Vec::new();
        let is_queued = self.engine.reset_delay(id, now, &mut wanted);
        self.perform(&mut wanted, out);
        let text = format!("Application {id} not found in tasks queue.");
        is_queued
            .then_some(Answer::Done)
            .ok_or_else(|| Rejection::message(404, text).with_empty_details())
    }

    fn patch_group(
        &mut self,
        now: Now,
        id: &PathId,
        body: &Value,
        out: &mut Vec<Effect>,
    ) -> Result<Answer, Rejection> {
        let version = self.root.next_version(now);
        let root = self
            .root
            .patch_group(id, body, &self.settings.definition, version)?;
        self.adopt(root, out);
        self.forget_history(out);
        Ok(Answer::Done)
    }
}

fn no_deployment(id: &str) -> Rejection {
    let text = format!("DeploymentPlan {id} does not exist");
    Rejection::message(404, text).with_empty_details()
}

fn no_plan() -> Rejection {
    Rejection::message(422, "this request has no plan to show")
}
