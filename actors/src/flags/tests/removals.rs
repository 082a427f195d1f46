//! Flags that say which agents are given up, and how fast.
//! What that does is tested with the master.

use super::master_with;

#[test]
fn agents_are_given_up_at_the_pace_and_share_that_flags_say() {
    let config = master_with(&[], &[]);
    assert_eq!(config.agent_removal_rate_limit, None);
    assert_eq!(config.mass_removal_limit, 50.0);
    let config = master_with(
        &[
            "--slave_removal_rate_limit=4/1mins",
            "--mass_removal_limit=12.5%",
        ],
        &[],
    );
    let pace = std::time::Duration::from_secs(15);
    assert_eq!(config.agent_removal_rate_limit, Some(pace));
    assert_eq!(config.mass_removal_limit, 12.5);
}
