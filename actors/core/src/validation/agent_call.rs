//! The stateless checks of a call of the agent's operator API, made before the agent acts on it.
//! Decoding, and whether a container is known, are checked elsewhere.

use tepui_protocol::v1::agent::Call;
use tepui_protocol::v1::agent::call::attach_container_input::Type as InputType;
use tepui_protocol::v1::agent::call::{LaunchContainer, Type};
use tepui_protocol::v1::{CommandInfo, ContainerId, ContainerInfo};

use super::container::{share_cgroups, validate_command, validate_container};
use super::ids;
use crate::resources::Resources;

/// Longest id of one container, so that directories of nested ones stay short enough. Mesos's
/// `MAX_CONTAINER_ID_LENGTH`.
pub const MAX_CONTAINER_ID_BYTES: usize = 242;

/// Deepest nesting of containers that is looked at; ids are directories within each other.
const MAX_DEPTH: usize = 64;

/// Checks a decoded call, and tells its type; the error is what follows
/// `Failed to validate agent::Call: `.
///
/// Mesos: `validation::agent::call::validate` of the agent.
pub fn validate(call: &Call) -> Result<Type, String> {
    let kind = call.r#type.and_then(|kind| Type::try_from(kind).ok());
    let kind = kind.ok_or_else(|| missing("type"))?;
    if let Some(name) = absent(call, kind) {
        return Err(missing(name));
    }
    validate_content(call, kind)?;
    Ok(kind)
}

fn missing(name: &str) -> String {
    format!("Expecting '{name}' to be present")
}

/// The field that a call of this type must have, and has not.
fn absent(call: &Call, kind: Type) -> Option<&'static str> {
    let (name, is_there) = match kind {
        Type::GetMetrics => ("get_metrics", call.get_metrics.is_some()),
        Type::SetLoggingLevel => ("set_logging_level", call.set_logging_level.is_some()),
        Type::ListFiles => ("list_files", call.list_files.is_some()),
        Type::ReadFile => ("read_file", call.read_file.is_some()),
        Type::LaunchNestedContainer => (
            "launch_nested_container",
            call.launch_nested_container.is_some(),
        ),
        Type::WaitNestedContainer => (
            "wait_nested_container",
            call.wait_nested_container.is_some(),
        ),
        Type::KillNestedContainer => (
            "kill_nested_container",
            call.kill_nested_container.is_some(),
        ),
        Type::LaunchNestedContainerSession => (
            "launch_nested_container_session",
            call.launch_nested_container_session.is_some(),
        ),
        Type::AttachContainerInput => (
            "attach_container_input",
            call.attach_container_input.is_some(),
        ),
        Type::AttachContainerOutput => (
            "attach_container_output",
            call.attach_container_output.is_some(),
        ),
        Type::RemoveNestedContainer => (
            "remove_nested_container",
            call.remove_nested_container.is_some(),
        ),
        _ => return absent_of_standalone(call, kind),
    };
    (!is_there).then_some(name)
}

/// As [`absent`], of calls about standalone containers and resource providers, and of those without
/// content.
fn absent_of_standalone(call: &Call, kind: Type) -> Option<&'static str> {
    let (name, is_there) = match kind {
        Type::LaunchContainer => ("launch_container", call.launch_container.is_some()),
        Type::WaitContainer => ("wait_container", call.wait_container.is_some()),
        Type::KillContainer => ("kill_container", call.kill_container.is_some()),
        Type::RemoveContainer => ("remove_container", call.remove_container.is_some()),
        Type::AddResourceProviderConfig => (
            "add_resource_provider_config",
            call.add_resource_provider_config.is_some(),
        ),
        Type::UpdateResourceProviderConfig => (
            "update_resource_provider_config",
            call.update_resource_provider_config.is_some(),
        ),
        Type::RemoveResourceProviderConfig => (
            "remove_resource_provider_config",
            call.remove_resource_provider_config.is_some(),
        ),
        Type::MarkResourceProviderGone => (
            "mark_resource_provider_gone",
            call.mark_resource_provider_gone.is_some(),
        ),
        _ => return None,
    };
    (!is_there).then_some(name)
}

/// Checks what the fields of the call say. Only that of the call's own type is looked at.
fn validate_content(call: &Call, kind: Type) -> Result<(), String> {
    match kind {
        Type::LaunchNestedContainer => {
            let Some(launch) = &call.launch_nested_container else {
                return Ok(());
            };
            let name = "launch_nested_container";
            validate_nested(name, &launch.container_id)?;
            let (command, container) = (launch.command.as_ref(), launch.container.as_ref());
            validate_program(name, command, container)?;
            match is_nested_twice(&launch.container_id) && share_cgroups(container) == Some(false) {
                true => Err(shares_no_cgroups(name)),
                false => Ok(()),
            }
        }
        Type::LaunchNestedContainerSession => {
            let Some(launch) = &call.launch_nested_container_session else {
                return Ok(());
            };
            let name = "launch_nested_container_session";
            validate_nested(name, &launch.container_id)?;
            let (command, container) = (launch.command.as_ref(), launch.container.as_ref());
            validate_program(name, command, container)?;
            match share_cgroups(container) {
                Some(false) => Err(format!(
                    "'{name}.container.linux_info' is invalid: 'share_cgroups' cannot be set to \
                     'false' for nested container sessions"
                )),
                Some(true) | None => Ok(()),
            }
        }
        Type::AttachContainerInput => validate_input(call),
        Type::LaunchContainer => call
            .launch_container
            .as_ref()
            .map_or(Ok(()), validate_launch),
        _ => validate_container_ids(call, kind),
    }
}

/// The calls of which nothing but the id of a container is checked, and a few others.
fn validate_container_ids(call: &Call, kind: Type) -> Result<(), String> {
    let nested = [
        (
            Type::WaitNestedContainer,
            "wait_nested_container",
            call.wait_nested_container
                .as_ref()
                .map(|it| &it.container_id),
        ),
        (
            Type::KillNestedContainer,
            "kill_nested_container",
            call.kill_nested_container
                .as_ref()
                .map(|it| &it.container_id),
        ),
        (
            Type::RemoveNestedContainer,
            "remove_nested_container",
            call.remove_nested_container
                .as_ref()
                .map(|it| &it.container_id),
        ),
    ];
    let any = [
        (
            Type::AttachContainerOutput,
            "attach_container_output",
            call.attach_container_output
                .as_ref()
                .map(|it| &it.container_id),
        ),
        (
            Type::WaitContainer,
            "wait_container",
            call.wait_container.as_ref().map(|it| &it.container_id),
        ),
        (
            Type::KillContainer,
            "kill_container",
            call.kill_container.as_ref().map(|it| &it.container_id),
        ),
        (
            Type::RemoveContainer,
            "remove_container",
            call.remove_container.as_ref().map(|it| &it.container_id),
        ),
    ];
    if let Some((_, name, Some(id))) = nested.into_iter().find(|(of, ..)| *of == kind) {
        return validate_nested(name, id);
    }
    if let Some((_, name, Some(id))) = any.into_iter().find(|(of, ..)| *of == kind) {
        return validate_id(name, id);
    }
    validate_provider_ids(call, kind)
}

/// The ids of resource providers are given by the agent, not to it.
fn validate_provider_ids(call: &Call, kind: Type) -> Result<(), String> {
    let added = call.add_resource_provider_config.as_ref();
    let updated = call.update_resource_provider_config.as_ref();
    let (name, info) = match kind {
        Type::AddResourceProviderConfig => {
            ("add_resource_provider_config", added.map(|it| &it.info))
        }
        Type::UpdateResourceProviderConfig => (
            "update_resource_provider_config",
            updated.map(|it| &it.info),
        ),
        _ => return Ok(()),
    };
    match info.is_some_and(|info| info.id.is_some()) {
        true => Err(format!("Expecting '{name}.info.id' to be unset")),
        false => Ok(()),
    }
}

fn validate_input(call: &Call) -> Result<(), String> {
    let name = "attach_container_input";
    let Some(input) = &call.attach_container_input else {
        return Ok(());
    };
    let kind = input.r#type.and_then(|kind| InputType::try_from(kind).ok());
    match kind {
        None => Err(missing("attach_container_input.type")),
        Some(InputType::Unknown) => Err(format!("'{name}.type' is unknown")),
        Some(InputType::ContainerId) => {
            let id = input.container_id.clone().unwrap_or_default();
            validate_id(name, &id)
        }
        Some(InputType::ProcessIo) => Ok(()),
    }
}

fn validate_launch(launch: &LaunchContainer) -> Result<(), String> {
    let name = "launch_container";
    validate_id(name, &launch.container_id)?;
    let resources = Resources::from_v1(&launch.resources)
        .map_err(|error| format!("Invalid resources: {error}"))?;
    let is_fraction = resources.scalar_milli("gpus") % 1000 != 0;
    if is_fraction {
        return Err(
            "Invalid GPU resources: The 'gpus' resource must be an unsigned integer".into(),
        );
    }
    // Containers without a parent use resources that were never offered.
    let stands_alone = launch.container_id.parent.is_none();
    if stands_alone && !resources.reserved().is_empty() {
        return Err(format!("'{name}.resources' must be unreserved"));
    }
    if stands_alone && !resources.persistent_volumes().is_empty() {
        return Err(format!("'{name}.resources' may not use persistent volumes"));
    }
    if stands_alone && !resources.revocable().is_empty() {
        return Err(format!("'{name}.resources' must be non-revocable"));
    }
    let container = launch.container.as_ref();
    validate_program(name, launch.command.as_ref(), container)?;
    let shares = share_cgroups(container);
    if is_nested_twice(&launch.container_id) {
        let cannot = |what: &str| {
            Err(format!(
                "'{name}' is invalid: containers nested at the second level or greater cannot \
                 specify {what}"
            ))
        };
        if !launch.resources.is_empty() {
            return cannot("resources");
        }
        if !launch.limits.is_empty() {
            return cannot("resource limits");
        }
        if shares == Some(false) {
            return Err(shares_no_cgroups(name));
        }
    }
    match stands_alone && shares == Some(true) {
        true => Err(format!(
            "'{name}' is invalid: containers without a parent cannot set 'share_cgroups' to 'true'"
        )),
        false => Ok(()),
    }
}

fn shares_no_cgroups(name: &str) -> String {
    format!(
        "'{name}' is invalid: containers nested at the second level or greater cannot set \
         'share_cgroups' to 'false'"
    )
}

fn validate_program(
    name: &str,
    command: Option<&CommandInfo>,
    container: Option<&ContainerInfo>,
) -> Result<(), String> {
    if let Some(command) = command {
        validate_command(command)
            .map_err(|error| format!("'{name}.command' is invalid: {error}"))?;
    }
    if let Some(container) = container {
        validate_container(container)
            .map_err(|error| format!("'{name}.container' is invalid: {error}"))?;
    }
    Ok(())
}

fn is_nested_twice(id: &ContainerId) -> bool {
    id.parent
        .as_ref()
        .is_some_and(|parent| parent.parent.is_some())
}

fn validate_nested(name: &str, id: &ContainerId) -> Result<(), String> {
    validate_id(name, id)?;
    match &id.parent {
        Some(_) => Ok(()),
        None => Err(missing(&format!("{name}.container_id.parent"))),
    }
}

fn validate_id(name: &str, id: &ContainerId) -> Result<(), String> {
    validate_container_id(id).map_err(|error| format!("'{name}.container_id' is invalid: {error}"))
}

/// Checks the id of a container and those of the containers around it.
///
/// Mesos: `validation::container::validateContainerId`.
pub fn validate_container_id(id: &ContainerId) -> Result<(), String> {
    let mut around = String::new();
    let mut next = Some(id);
    for _ in 0..MAX_DEPTH {
        let Some(id) = next else { return Ok(()) };
        validate_level(&id.value).map_err(|error| format!("{around}{error}"))?;
        around.push_str("'ContainerID.parent' is invalid: ");
        next = id.parent.as_deref();
    }
    match next {
        None => Ok(()),
        Some(_) => Err(format!(
            "containers may be nested at most {MAX_DEPTH} levels deep"
        )),
    }
}

fn validate_level(id: &str) -> Result<(), String> {
    ids::validate(id)?;
    if id.len() > MAX_CONTAINER_ID_BYTES {
        return Err(format!(
            "'ContainerID.value' '{id}' exceeds the maximum length ({MAX_CONTAINER_ID_BYTES})"
        ));
    }
    // Dots separate the levels of an id that is written as one word.
    if id.contains(['.', ' ']) {
        return Err(format!(
            "'ContainerID.value' '{id}' contains invalid characters"
        ));
    }
    Ok(())
}
