//! What many agents and tasks have alike, kept once: their resources and their capabilities.
//! Changes nothing about them; a bag that changes later gets memory of its own.

use std::sync::Arc;

use tepui_protocol::v1;

use crate::resources::Resources;

/// So many different ones are remembered: hardware comes in few kinds, and so do tasks that are
/// launched at a time.
const REMEMBERED: usize = 16;

/// What was seen lately, the latest first.
#[derive(Debug, Default)]
pub(super) struct Shapes {
    resources: Vec<Resources>,
    capabilities: Vec<Arc<[String]>>,
    described: Vec<Arc<[v1::Resource]>>,
}

impl Shapes {
    /// The same resources, in the memory of earlier ones if those are written alike.
    pub(super) fn resources(&mut self, new: Resources) -> Resources {
        // Nothing is like what is reserved or on a disk of its own: it would be remembered in vain.
        if new.is_empty() || !new.is_written_like(&new) {
            return new;
        }
        let is_known = |known: &Resources| known.is_written_like(&new);
        let known = remember(&mut self.resources, is_known);
        known.unwrap_or_else(|| first(&mut self.resources, new))
    }

    /// The same capabilities, in the memory of earlier ones.
    pub(super) fn capabilities(&mut self, new: Vec<String>) -> Arc<[String]> {
        let known = remember(&mut self.capabilities, |known| **known == *new);
        known.unwrap_or_else(|| first(&mut self.capabilities, new.into()))
    }

    /// A description without its resources, which are as large as all else that is kept of an
    /// agent, and these in the memory of earlier ones.
    pub(super) fn description(
        &mut self,
        mut info: v1::AgentInfo,
    ) -> (Arc<v1::AgentInfo>, Arc<[v1::Resource]>) {
        let new = std::mem::take(&mut info.resources);
        let known = remember(&mut self.described, |known| **known == *new);
        let described = known.unwrap_or_else(|| first(&mut self.described, new.into()));
        (Arc::new(info), described)
    }
}

/// The one that is known, which becomes the first.
fn remember<T: Clone>(all: &mut [T], is_known: impl Fn(&T) -> bool) -> Option<T> {
    let place = all.iter().position(is_known)?;
    all.get_mut(..=place)?.rotate_right(1);
    all.first().cloned()
}

/// Puts a new one before the others.
fn first<T: Clone>(all: &mut Vec<T>, new: T) -> T {
    all.truncate(REMEMBERED - 1);
    all.insert(0, new.clone());
    new
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resources::Format;

    fn resources(text: &str) -> Resources {
        Resources::parse(text, "*").unwrap()
    }

    #[test]
    fn what_is_written_alike_shares_memory() {
        let mut shapes = Shapes::default();
        let first = shapes.resources(resources("cpus:1;mem:32"));
        let second = shapes.resources(resources("cpus:1;mem:32"));
        assert!(first.is_same_copy(&second));
        for other in ["cpus:2;mem:32", "mem:32;cpus:1", "cpus:1"] {
            let other = resources(other);
            let kept = shapes.resources(other.clone());
            assert!(!kept.is_same_copy(&first), "{other:?}");
            assert!(kept.is_written_like(&other));
        }
        assert!(
            shapes
                .resources(resources("cpus:1;mem:32"))
                .is_same_copy(&first)
        );
    }

    #[test]
    fn descriptions_share_resources_that_are_alike() {
        let mut shapes = Shapes::default();
        let info = |hostname: &str, text: &str| v1::AgentInfo {
            hostname: hostname.to_owned(),
            resources: resources(text).to_v1(Format::PostRefinement),
            ..Default::default()
        };
        let (a, of_a) = shapes.description(info("a", "cpus:1;mem:32"));
        let (b, of_b) = shapes.description(info("b", "cpus:1;mem:32"));
        let (_, of_c) = shapes.description(info("c", "cpus:2;mem:32"));
        assert_eq!([&a.hostname, &b.hostname], ["a", "b"]);
        assert_eq!(a.resources, []);
        assert_eq!(*of_a, info("", "cpus:1;mem:32").resources[..]);
        assert!(Arc::ptr_eq(&of_a, &of_b));
        assert_eq!(*of_c, info("", "cpus:2;mem:32").resources[..]);
    }

    #[test]
    fn what_is_reserved_is_left_alone() {
        let mut shapes = Shapes::default();
        let reserved = || resources("cpus:1;mem(eng):32");
        let first = shapes.resources(reserved());
        assert!(!shapes.resources(reserved()).is_same_copy(&first));
        assert!(shapes.resources.is_empty());
    }

    #[test]
    fn a_change_is_seen_by_nobody_else() {
        let mut shapes = Shapes::default();
        let mut changed = shapes.resources(resources("cpus:1"));
        changed.add(&resources("cpus:1"));
        assert_eq!(shapes.resources(resources("cpus:1")), resources("cpus:1"));
        assert_eq!(changed, resources("cpus:2"));
    }

    #[test]
    fn only_the_latest_are_remembered() {
        let mut shapes = Shapes::default();
        let cpus = |count: usize| resources(&format!("cpus:{count}"));
        let [old, used] = [1, 2].map(|count| shapes.resources(cpus(count)));
        for count in 3..=REMEMBERED + 1 {
            shapes.resources(cpus(2));
            shapes.resources(cpus(count));
        }
        assert!(shapes.resources(cpus(2)).is_same_copy(&used));
        assert!(!shapes.resources(cpus(1)).is_same_copy(&old));
        assert_eq!(shapes.resources.len(), REMEMBERED);
    }

    #[test]
    fn capabilities_are_shared_too() {
        let mut shapes = Shapes::default();
        let mut of = |names: &[&str]| {
            shapes.capabilities(names.iter().map(|name| (*name).to_owned()).collect())
        };
        let first = of(&["MULTI_ROLE"]);
        assert!(Arc::ptr_eq(&first, &of(&["MULTI_ROLE"])));
        assert_eq!(*of(&[]), [] as [String; 0]);
    }
}
