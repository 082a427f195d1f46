//! Makes a `ContainerizerConfig` of the flags.
//! Does not ask whether this machine can do it; the containerizer does when it starts.

use std::net::IpAddr;
use std::path::{Component, Path, PathBuf};

use tepui_protocol::json;
use tepui_protocol::v1::CapabilityInfo;

use super::error::FlagError;
use super::kind::parse_list;
use super::parse_bytes;
use super::values::Values;
use crate::agent::config::{
    Backend, ContainerDns, ContainerizerConfig, ContainerizerKind, DockerConfig, ImageGc,
    ImageProvider, ImagesConfig, LauncherKind, Logins,
};

/// The settings of containers.
pub(super) fn config(values: &Values, ip: IpAddr) -> Result<ContainerizerConfig, FlagError> {
    let cgroups_hierarchy = values.parse("cgroups_hierarchy", "a path", |text| {
        std::path::absolute(text).ok()
    })?;
    Ok(ContainerizerConfig {
        containerizers: values.parse(
            "containerizers",
            "a list out of 'mesos' and 'docker'",
            containerizers,
        )?,
        docker: docker(values)?,
        images: images(values)?,
        image_provisioner_backend: values.optional(
            "image_provisioner_backend",
            "'overlay' or 'copy'",
            backend,
        )?,
        docker_ignore_runtime: values.bool("docker_ignore_runtime")?,
        sandbox_directory: sandbox_directory(values)?.into(),
        isolation: values.parse(
            "isolation",
            "names of isolators with commas between, none of them twice",
            parse_list,
        )?,
        launcher: match values.optional("launcher", "'posix' or 'linux'", launcher)? {
            Some(given) => given,
            None => LauncherKind::of_machine(&cgroups_hierarchy),
        },
        cgroups_hierarchy,
        cgroups_root: values.parse("cgroups_root", "a relative path without '..'", root)?,
        cgroups_enable_cfs: values.bool("cgroups_enable_cfs")?,
        cgroups_limit_swap: values.bool("cgroups_limit_swap")?,
        cgroups_pids_limit: values.optional(
            "cgroups_pids_limit",
            "a number of at least 1",
            |text| text.parse().ok().filter(|limit| *limit > 0),
        )?,
        cgroups_destroy_timeout: values.duration("cgroups_destroy_timeout")?,
        revocable_cpu_low_priority: values.bool("revocable_cpu_low_priority")?,
        container_disk_watch_interval: values.duration("container_disk_watch_interval")?,
        enforce_container_disk_quota: values.bool("enforce_container_disk_quota")?,
        default_container_shm_size: values.optional(
            "default_container_shm_size",
            "a size",
            parse_bytes,
        )?,
        disallow_sharing_agent_ipc_namespace: values
            .bool("disallow_sharing_agent_ipc_namespace")?,
        disallow_sharing_agent_pid_namespace: values
            .bool("disallow_sharing_agent_pid_namespace")?,
        host_path_volume_force_creation: paths(values, "host_path_volume_force_creation")?
            .unwrap_or_default(),
        host_path_volume_prefixes: match paths(values, "host_path_volume_prefixes")? {
            None if !ip.is_loopback() => Some(Vec::new()),
            given => given,
        },
        effective_capabilities: capabilities(values, "effective_capabilities")?,
        bounding_capabilities: capabilities(values, "bounding_capabilities")?,
    })
}

/// Absolute paths with colons between.
fn paths(values: &Values, name: &'static str) -> Result<Option<Vec<PathBuf>>, FlagError> {
    values.optional(name, "absolute paths with colons between", |text| {
        let paths = text.split(':').map(PathBuf::from);
        paths
            .map(|path| path.is_absolute().then_some(path))
            .collect()
    })
}

fn containerizers(text: &str) -> Option<Vec<ContainerizerKind>> {
    let all = [ContainerizerKind::Mesos, ContainerizerKind::Docker];
    let known = |name: &String| all.into_iter().find(|kind| kind.name() == name);
    let given = parse_list(text).filter(|given| !given.is_empty())?;
    given.iter().map(known).collect()
}

fn docker(values: &Values) -> Result<DockerConfig, FlagError> {
    Ok(DockerConfig {
        docker_socket: values.parse("docker_socket", "a path", |text| {
            std::path::absolute(text).ok()
        })?,
        docker_stop_timeout: values.duration("docker_stop_timeout")?,
        docker_remove_delay: values.duration("docker_remove_delay")?,
        docker_kill_orphans: values.bool("docker_kill_orphans")?,
        sandbox_directory: sandbox_directory(values)?,
        docker_config: read_json(
            values,
            "docker_config",
            "logins as in Docker's config.json",
            Logins::read,
        )?,
        default_container_dns: read_json(
            values,
            "default_container_dns",
            "lists of networks and their DNS",
            ContainerDns::read,
        )?
        .unwrap_or_default(),
    })
}

/// A flag that is JSON, and says itself what is wrong with it.
fn read_json<T>(
    values: &Values,
    name: &'static str,
    expected: &str,
    read: impl FnOnce(&str) -> Result<T, String>,
) -> Result<Option<T>, FlagError> {
    let Some(text) = values.text(name) else {
        return Ok(None);
    };
    let wrong = |why| values.bad(name, &format!("{expected}, but {why}"));
    read(text).map(Some).map_err(wrong)
}

fn sandbox_directory(values: &Values) -> Result<String, FlagError> {
    values.parse("sandbox_directory", "an absolute path", |text| {
        text.starts_with('/').then(|| text.to_owned())
    })
}

/// Where images come from. Flags that belong to them mean nothing without any provider, and are
/// checked all the same.
fn images(values: &Values) -> Result<Option<ImagesConfig>, FlagError> {
    let providers = values.optional(
        "image_providers",
        "a list out of 'docker' and 'oci'",
        providers,
    )?;
    let registry = || {
        let expected =
            "the absolute path of a directory with images, as registries are not supported yet";
        values.parse("docker_registry", expected, |text| {
            text.starts_with('/').then(|| PathBuf::from(text))
        })
    };
    let is_given = values.is_given("docker_registry");
    let docker_registry = is_given.then(registry).transpose()?;
    let docker_store_dir = values.parse("docker_store_dir", "an absolute path", |text| {
        text.starts_with('/').then(|| text.into())
    })?;
    let gc = values.optional(
        "image_gc_config",
        "a JSON object such as {\"image_disk_headroom\": 0.1, \"image_disk_watch_interval\": \
         {\"nanoseconds\": 3600000000000}}",
        |text| ImageGc::parse(text).ok(),
    )?;
    let Some(providers) = providers else {
        return Ok(None);
    };
    let docker_registry = docker_registry.ok_or(FlagError::Required {
        name: "docker_registry",
        why: "--image_providers takes images from it; give --docker_registry=DIR",
    })?;
    Ok(Some(ImagesConfig {
        providers,
        docker_registry,
        docker_store_dir,
        gc,
    }))
}

fn providers(text: &str) -> Option<Vec<ImageProvider>> {
    let known = |name: &String| match name.to_ascii_lowercase().as_str() {
        "docker" => Some(ImageProvider::Docker),
        "oci" => Some(ImageProvider::Oci),
        _ => None,
    };
    let given = parse_list(text).filter(|given| !given.is_empty())?;
    given.iter().map(known).collect()
}

fn backend(text: &str) -> Option<Backend> {
    match text {
        "overlay" => Some(Backend::Overlay),
        "copy" => Some(Backend::Copy),
        _ => None,
    }
}

fn launcher(text: &str) -> Option<LauncherKind> {
    let all = [LauncherKind::Posix, LauncherKind::Linux];
    all.into_iter().find(|kind| kind.name() == text)
}

/// Below the hierarchy, and not the hierarchy itself, whose processes are not the agent's.
fn root(text: &str) -> Option<String> {
    let mut parts = Path::new(text).components().peekable();
    parts.peek()?;
    let is_plain = parts.all(|part| matches!(part, Component::Normal(_)));
    is_plain.then(|| text.to_owned())
}

fn capabilities(values: &Values, name: &'static str) -> Result<Option<CapabilityInfo>, FlagError> {
    let expected =
        "a JSON object with a list of capabilities, such as {\"capabilities\": [\"CHOWN\"]}";
    values.optional(name, expected, |text| {
        json::from_slice(text.as_bytes()).ok()
    })
}
