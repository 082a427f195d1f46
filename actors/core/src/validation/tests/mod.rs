//! Tables of what each rule refuses, with the text, and of what it lets pass.
//! What was recorded from Apache Mesos is replayed in `golden`.

mod agent;
mod agent_call;
mod calls;
mod checks;
mod cluster;
mod constraints;
mod container;
mod executor;
mod fixtures;
mod framework;
mod normalise;
mod operation;
mod operation_disks;
mod operation_properties;
mod operation_reservations;
mod operation_volumes;
mod properties;
mod resource;
mod task;
mod task_group;
mod text;
