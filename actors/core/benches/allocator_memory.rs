//! Prints the memory the allocator takes for an agent, a framework, a role and a filter.
//! Counts bytes asked for, not what the operating system sees.
#![allow(
    clippy::print_stdout,
    reason = "the figures are what this program is for"
)]

use tepui_core::allocator::Allocator;

mod common;
mod counting;

use common::{Size, apply, at, busy_agent, framework, give_back, sizes};

const SIZES: &str = "10000x1000";

/// Rounds of declined offers.
const ROUNDS: usize = 10;

fn main() {
    for size in sizes(SIZES) {
        report(size);
    }
}

fn report(size: Size) {
    println!("{size}:");
    let mut allocator = common::allocator();
    let mut measure = |what: &str, count: usize, change: &mut dyn FnMut(&mut Allocator)| {
        let before = counting::allocated();
        change(&mut allocator);
        let bytes = counting::allocated().saturating_sub(before);
        println!("{:>8} bytes per {what}", bytes / count.max(1));
    };
    measure(
        "framework in the default role",
        size.frameworks,
        &mut |allocator| {
            apply(
                allocator,
                (0..size.frameworks).map(|number| framework(number, "*")),
            );
        },
    );
    measure(
        "framework with a role of its own",
        size.frameworks,
        &mut |allocator| {
            let numbers = size.frameworks..2 * size.frameworks;
            apply(
                allocator,
                numbers.map(|number| framework(number, &format!("role{number}"))),
            );
        },
    );
    measure(
        "agent with a framework's tasks",
        size.agents,
        &mut |allocator| {
            apply(
                allocator,
                (0..size.agents).map(|number| busy_agent(number, size)),
            );
        },
    );
    let mut proposals = Vec::new();
    measure("offer, with the proposal", size.agents, &mut |allocator| {
        proposals = allocator.allocate(at(1)).offers;
    });
    let filters = size.agents * ROUNDS.min(size.frameworks);
    measure("filter of a declined offer", filters, &mut |allocator| {
        for _ in 0..ROUNDS.min(size.frameworks) {
            apply(allocator, give_back(std::mem::take(&mut proposals), true));
            proposals = allocator.allocate(at(1)).offers;
        }
    });
}
