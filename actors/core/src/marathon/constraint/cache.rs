//! Compiled constraints by app, so that each version is compiled once.
//! Holds a bounded number of them and belongs to whoever matches offers.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use tepui_protocol::marathon::{App, PathId};

use super::Rules;

/// The rules of the apps asked for last, one version of each.
#[derive(Debug)]
pub struct RulesCache {
    limit: usize,
    rules: HashMap<PathId, Arc<Rules>>,
    /// In the order of their first use; the front makes room.
    order: VecDeque<PathId>,
}

impl RulesCache {
    /// Keeps the rules of at most `limit` apps, of one at least.
    pub fn new(limit: usize) -> RulesCache {
        RulesCache {
            limit: limit.max(1),
            rules: HashMap::new(),
            order: VecDeque::new(),
        }
    }

    /// The rules of an app. What is kept counts only while it has the same constraints.
    pub fn get(&mut self, app: &App) -> Arc<Rules> {
        if let Some(rules) = self.rules.get(&app.id)
            && rules.is_for(&app.constraints)
        {
            return rules.clone();
        }
        let rules = Arc::new(Rules::of(app));
        if self.rules.insert(app.id.clone(), rules.clone()).is_none() {
            self.order.push_back(app.id.clone());
        }
        while self.order.len() > self.limit {
            if let Some(oldest) = self.order.pop_front() {
                self.rules.remove(&oldest);
            }
        }
        rules
    }

    /// How many apps' rules are kept.
    pub fn len(&self) -> usize {
        self.rules.len()
    }

    /// True when nothing is kept.
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }
}
