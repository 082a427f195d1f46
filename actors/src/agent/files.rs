//! What `/files/*` shows of an agent: sandboxes, the volumes in them, and the agent's log.
//! Opens nothing; `http::files` does.

use std::collections::BTreeMap;
use std::path::{Component, Path};
use std::sync::Arc;

use tepui_core::agent::model::{Executor, Framework, Snapshot};

use crate::http::files::{Attached, Log, Place};

/// The virtual paths of an agent.
pub(super) struct AgentFiles {
    pub(super) snapshot: Arc<Snapshot>,
    pub(super) work_dir: Arc<Path>,
    pub(super) log: Log,
}

impl Attached for AgentFiles {
    /// A sandbox is found by its place in the work directory, or by
    /// `/frameworks/<framework>/executors/<executor>/runs/<run or latest>`.
    fn find(&self, path: &str) -> Option<Place> {
        self.log.find(path).or_else(|| self.sandbox(path))
    }

    fn paths(&self) -> BTreeMap<String, String> {
        let mut paths = self.log.paths();
        for framework in self.frameworks() {
            for executor in runs(framework) {
                self.attach(framework, executor, &mut paths);
            }
        }
        paths
    }
}

impl AgentFiles {
    fn sandbox(&self, path: &str) -> Option<Place> {
        let path = Path::new(path);
        if path.components().any(|part| part == Component::ParentDir) {
            return None;
        }
        let inside = match path.strip_prefix(self.work_dir.join("slaves")) {
            Ok(below) => {
                let mut parts = below.components();
                parts.next()?;
                parts.as_path().to_owned()
            }
            Err(_) => path.strip_prefix("/").ok()?.to_owned(),
        };
        let mut parts = inside.components();
        let mut next = || match parts.next()? {
            Component::Normal(name) => name.to_str(),
            _ => None,
        };
        let mut named = |directory: &str| match next()? {
            name if name == directory => next(),
            _ => None,
        };
        let (framework, executor) = (named("frameworks")?, named("executors")?);
        let found = self.run(framework, executor, named("runs")?)?;
        let inner = parts.as_path().to_owned();
        // A persistent volume is outside of the sandbox, but belongs to what is to be seen there.
        let volume = match parts.next() {
            None => {
                let links = found.volumes.clone();
                return Some(Place::new(&found.directory, inner).with_links(links));
            }
            Some(Component::Normal(name)) => name.to_str().and_then(|name| found.volumes.get(name)),
            Some(_) => None,
        };
        Some(match volume {
            Some(path) => Place::new(path, parts.as_path()),
            None => Place::new(&found.directory, inner),
        })
    }

    /// The run of this name, or the newest for `latest`.
    fn run(&self, framework: &str, executor: &str, run: &str) -> Option<&Executor> {
        let framework = self
            .frameworks()
            .find(|known| known.id.as_str() == framework)?;
        runs(framework)
            .filter(|known| known.id.as_str() == executor)
            .find(|known| run == "latest" || known.container.as_str() == run)
    }

    /// All frameworks, of those that came back the newest first.
    fn frameworks(&self) -> impl Iterator<Item = &Framework> {
        let completed = self.snapshot.completed_frameworks.iter().rev();
        let live = self.snapshot.frameworks.values();
        live.chain(completed).map(|known| &**known)
    }

    /// The paths that lead to one run (Mesos: `Framework::addExecutor`).
    fn attach(
        &self,
        framework: &Framework,
        executor: &Executor,
        paths: &mut BTreeMap<String, String>,
    ) {
        let directory = &executor.directory;
        let below = format!(
            "/frameworks/{}/executors/{}/runs",
            framework.id, executor.id
        );
        // A newer run came first.
        paths
            .entry(format!("{below}/latest"))
            .or_insert_with(|| directory.clone());
        if let Some(runs) = Path::new(directory).parent() {
            paths
                .entry(runs.join("latest").to_string_lossy().into_owned())
                .or_insert_with(|| directory.clone());
        }
        for (name, path) in &executor.volumes {
            paths.insert(format!("{directory}/{name}"), path.clone());
        }
        paths.insert(directory.clone(), directory.clone());
    }
}

/// All runs of a framework's executors, the newest of each executor first.
fn runs(framework: &Framework) -> impl Iterator<Item = &Executor> {
    let ended = framework.completed_executors.iter().rev();
    let live = framework.executors.values();
    live.chain(ended).map(|known| &**known)
}
