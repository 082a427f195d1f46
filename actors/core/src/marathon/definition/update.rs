//! Lays a change over a stored app.
//! Members are replaced as a whole; nothing is merged deeply.

use tepui_protocol::marathon::{App, Container, ResourceLimit, ResourceLimits};

use super::body::{AppBody, ContainerBody, DockerBody, LimitBody, LimitsBody};

/// The stored app as a body, with the members of `update` in place of its own. Limits and executor
/// resources are reset unless the update names them, as in Marathon.
pub(crate) fn merge(stored: &App, update: AppBody) -> AppBody {
    let old = body_of(stored);
    AppBody {
        id: old.id,
        accepted_resource_roles: update
            .accepted_resource_roles
            .or(old.accepted_resource_roles),
        args: update.args.or(old.args),
        backoff_factor: update.backoff_factor.or(old.backoff_factor),
        backoff_seconds: update.backoff_seconds.or(old.backoff_seconds),
        cmd: update.cmd.or(old.cmd),
        constraints: update.constraints.or(old.constraints),
        container: update.container.or(old.container),
        cpus: update.cpus.or(old.cpus),
        dependencies: update.dependencies.or(old.dependencies),
        disk: update.disk.or(old.disk),
        env: update.env.or(old.env),
        executor: update.executor.or(old.executor),
        executor_resources: update.executor_resources,
        fetch: update.fetch.or(old.fetch),
        health_checks: update.health_checks.or(old.health_checks),
        check: update.check.or(old.check),
        instances: update.instances.or(old.instances),
        labels: update.labels.or(old.labels),
        max_launch_delay_seconds: update
            .max_launch_delay_seconds
            .or(old.max_launch_delay_seconds),
        mem: update.mem.or(old.mem),
        gpus: update.gpus.or(old.gpus),
        networks: update.networks.or(old.networks),
        port_definitions: update.port_definitions.or(old.port_definitions),
        readiness_checks: update.readiness_checks.or(old.readiness_checks),
        residency: update.residency.or(old.residency),
        resource_limits: update.resource_limits,
        require_ports: update.require_ports.or(old.require_ports),
        secrets: update.secrets.or(old.secrets),
        task_kill_grace_period_seconds: update
            .task_kill_grace_period_seconds
            .or(old.task_kill_grace_period_seconds),
        upgrade_strategy: update.upgrade_strategy.or(old.upgrade_strategy),
        user: update.user.or(old.user),
        kill_selection: update.kill_selection.or(old.kill_selection),
        unreachable_strategy: update.unreachable_strategy.or(old.unreachable_strategy),
        tty: update.tty.or(old.tty),
        role: update.role.or(old.role),
        ..AppBody::default()
    }
}

/// A stored app as the body that would define it.
pub(crate) fn body_of(app: &App) -> AppBody {
    let constraints = app.constraints.iter().cloned().map(Vec::from);
    let dependencies = app.dependencies.iter().map(|id| id.to_string());
    AppBody {
        id: Some(app.id.to_string()),
        accepted_resource_roles: app.accepted_resource_roles.clone(),
        args: Some(app.args.clone()).filter(|args| !args.is_empty()),
        backoff_factor: Some(app.backoff_factor),
        backoff_seconds: Some(app.backoff_seconds),
        cmd: app.cmd.clone(),
        constraints: Some(constraints.collect()),
        container: app.container.as_ref().map(container_body),
        cpus: Some(app.cpus),
        dependencies: Some(dependencies.collect()),
        disk: Some(app.disk),
        env: Some(app.env.clone()),
        executor: Some(app.executor.clone()),
        executor_resources: app.executor_resources,
        fetch: Some(app.fetch.clone()),
        health_checks: Some(app.health_checks.clone()),
        check: app.check.clone(),
        instances: Some(app.instances),
        labels: Some(app.labels.clone()),
        max_launch_delay_seconds: Some(app.max_launch_delay_seconds),
        mem: Some(app.mem),
        gpus: Some(app.gpus),
        networks: Some(app.networks.clone()),
        port_definitions: app.port_definitions.clone(),
        readiness_checks: Some(app.readiness_checks.clone()),
        residency: app.residency,
        resource_limits: app.resource_limits.as_ref().map(limits_body),
        require_ports: Some(app.require_ports),
        secrets: Some(app.secrets.clone()),
        task_kill_grace_period_seconds: app.task_kill_grace_period_seconds,
        upgrade_strategy: Some(app.upgrade_strategy),
        user: app.user.clone(),
        kill_selection: Some(app.kill_selection),
        unreachable_strategy: Some(app.unreachable_strategy),
        tty: app.tty,
        role: Some(app.role.clone()),
        ..AppBody::default()
    }
}

/// A stored container as a body.
pub(crate) fn container_body(container: &Container) -> ContainerBody {
    let docker = |docker: &tepui_protocol::marathon::Docker| DockerBody {
        docker: docker.clone(),
        network: None,
        port_mappings: None,
        credential: false,
    };
    ContainerBody {
        kind: container.kind,
        docker: container.docker.as_ref().map(docker),
        linux_info: container.linux_info.clone(),
        volumes: container.volumes.clone(),
        port_mappings: container.port_mappings.clone(),
    }
}

fn limits_body(limits: &ResourceLimits) -> LimitsBody {
    let limit = |limit: ResourceLimit| match limit {
        ResourceLimit::Amount(amount) => LimitBody::Amount(amount),
        ResourceLimit::Unlimited(_) => LimitBody::Word(super::convert::UNLIMITED.into()),
    };
    LimitsBody {
        cpus: limits.cpus.map(limit),
        mem: limits.mem.map(limit),
    }
}
