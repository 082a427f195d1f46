//! The levels of services by their dependencies, and whether these run in a circle.
//! Orders nothing itself.

use std::collections::HashMap;

use tepui_protocol::marathon::PathId;

use super::RootGroup;

/// Dependencies run in a circle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cyclic;

/// Where the walk along the dependencies stands with an app or a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// On the way to the one being looked at.
    Open,
    /// Its level; -1 for groups that hold no app.
    Done(i64),
}

struct Frame {
    id: PathId,
    next: Vec<PathId>,
    level: i64,
}

/// The levels of `wanted` apps: the length of the longest path of dependencies below each. A group
/// stands for every app in it, and what a group depends on holds for everything in it.
pub(crate) fn levels<'a>(
    root: &RootGroup,
    wanted: impl IntoIterator<Item = &'a PathId>,
) -> Result<HashMap<PathId, usize>, Cyclic> {
    let mut states: HashMap<PathId, State> = HashMap::new();
    let mut levels = HashMap::new();
    for id in wanted {
        let level = match root.dependents.is_empty() {
            true => 0,
            false => walk(root, id, &mut states)?,
        };
        levels.insert(id.clone(), usize::try_from(level).unwrap_or(0));
    }
    Ok(levels)
}

/// Whether the dependencies of a tree run in a circle anywhere.
pub(super) fn check(root: &RootGroup) -> Result<(), Cyclic> {
    let mut states: HashMap<PathId, State> = HashMap::new();
    for id in &root.dependents {
        if root.app(id).is_some() {
            walk(root, id, &mut states)?;
            continue;
        }
        for app in root.apps_below(id) {
            walk(root, &app.id, &mut states)?;
        }
    }
    Ok(())
}

/// Walks in depth without recursion: chains of dependencies may be as long as there are apps.
fn walk(
    root: &RootGroup,
    start: &PathId,
    states: &mut HashMap<PathId, State>,
) -> Result<i64, Cyclic> {
    if let Some(State::Done(level)) = states.get(start) {
        return Ok(*level);
    }
    let mut stack = vec![open(root, start.clone(), states)];
    loop {
        let Some(frame) = stack.last_mut() else {
            return Ok(0);
        };
        let Some(child) = frame.next.pop() else {
            let (id, level) = (frame.id.clone(), frame.level);
            states.insert(id, State::Done(level));
            stack.pop();
            match stack.last_mut() {
                Some(parent) => raise(root, parent, level),
                None => return Ok(level),
            }
            continue;
        };
        match states.get(&child) {
            Some(State::Open) => return Err(Cyclic),
            Some(State::Done(level)) => raise(root, frame, *level),
            None => {
                let frame = open(root, child, states);
                stack.push(frame);
            }
        }
    }
}

fn open(root: &RootGroup, id: PathId, states: &mut HashMap<PathId, State>) -> Frame {
    states.insert(id.clone(), State::Open);
    let (next, level) = match root.app(&id) {
        Some(_) => (dependencies_of(root, &id), 0),
        None => (root.apps_below(&id).map(|app| app.id.clone()).collect(), -1),
    };
    Frame { id, next, level }
}

/// An app stands above what it depends on; a group is as high as the highest app in it.
fn raise(root: &RootGroup, frame: &mut Frame, below: i64) {
    let step = i64::from(root.app(&frame.id).is_some());
    if below >= 0 {
        frame.level = frame.level.max(below + step);
    }
}

/// Apps and groups that must run before an app: its own dependencies and those of every group it
/// is in. What does not exist is nothing to wait for.
fn dependencies_of(root: &RootGroup, id: &PathId) -> Vec<PathId> {
    let own = root.app(id).map(|app| app.dependencies.clone());
    let mut dependencies = own.unwrap_or_default();
    let mut group = id.clone();
    while !group.is_root() {
        group = group.parent();
        if root.dependents.contains(&group) {
            let inherited = root.group(&group).map(|group| group.dependencies.clone());
            dependencies.extend(inherited.unwrap_or_default());
        }
    }
    dependencies.retain(|id| root.app(id).is_some() || root.group(id).is_some());
    dependencies
}
