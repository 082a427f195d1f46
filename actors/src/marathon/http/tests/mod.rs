//! Tests of the HTTP API against a manager that is played to, without agents unless a test has some.
//! Asserts nothing itself.

mod bodies;
mod cases;
mod changes;
mod expect;
mod master;
mod measured;
mod reads;
mod stream;
mod support;
mod why;
