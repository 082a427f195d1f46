//! The arithmetic of rolling upgrades.
//! Kills and launches nothing: it says how many.

use tepui_protocol::marathon::UpgradeStrategy;

/// What the arithmetic looks at. Every number is of one app.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct UpgradeState {
    /// Instances wanted.
    pub wanted: u32,
    /// Old ones with goal Running.
    pub old: u32,
    /// Those of them that run and are healthy.
    pub old_serving: u32,
    /// Old ones that may still use resources, whatever their goal.
    pub old_active: u32,
    /// New ones with goal Running.
    pub new: u32,
    /// Those of them that run, are healthy and ready.
    pub new_serving: u32,
    /// New ones that are told to end and still may use resources.
    pub new_dying: u32,
    /// Whether instances keep their reservations.
    pub resident: bool,
}

/// What may be done at this moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct UpgradeMoves {
    /// Old ones to kill now, those first that do not serve.
    pub kill: u32,
    /// New ones to launch now.
    pub launch: u32,
    /// So many serve at least, as far as the upgrade has a say.
    pub min_healthy: u32,
    /// So many are active at most.
    pub max_capacity: u32,
}

/// Marathon's numbers, as a rule for any moment rather than for the beginning alone: an upgrade that
/// goes on after a restart then needs no memory of how it began.
///
/// As many old ones are kept as serve the minimum together with the new ones that serve, and never
/// more than are missing. Not in Marathon: when nothing can move because old ones that do not serve
/// fill the capacity, one of these goes; Marathon waits for ever.
pub fn upgrade_moves(strategy: UpgradeStrategy, state: UpgradeState) -> UpgradeMoves {
    let n = state.wanted;
    let share = |part: f64| f64::from(n) * part;
    let mut min_healthy = whole(rounded(share(strategy.minimum_health_capacity)).ceil()).min(n);
    let mut max_capacity = whole(rounded(share(1.0 + strategy.maximum_over_capacity)).floor());
    max_capacity = max_capacity.max(n);
    let serving = state.old_serving + state.new_serving;
    if min_healthy == max_capacity && max_capacity <= serving {
        match state.resident {
            true => min_healthy = min_healthy.saturating_sub(1),
            false => max_capacity += 1,
        }
    }
    let surplus = (state.old + state.new_serving).saturating_sub(n);
    let beyond_minimum = serving.saturating_sub(min_healthy);
    let mut kill = surplus.max(beyond_minimum).min(state.old);
    let missing = n.saturating_sub(state.new);
    let active = state.old_active + state.new + state.new_dying;
    let launch = missing.min(max_capacity.saturating_sub(active));
    let dying = state.old_active.saturating_sub(state.old) + state.new_dying;
    let is_stuck = kill == 0 && launch == 0 && missing > 0 && dying == 0;
    if is_stuck && state.new == state.new_serving && state.old > state.old_serving {
        kill = 1;
    }
    UpgradeMoves {
        kill,
        launch,
        min_healthy,
        max_capacity,
    }
}

/// Takes the error of binary fractions out: 10 x 1.1 is 11, not a little more.
fn rounded(value: f64) -> f64 {
    (value * 1e6).round() / 1e6
}

/// A number that is no number of instances becomes the nearest that is.
fn whole(value: f64) -> u32 {
    value as u32
}
