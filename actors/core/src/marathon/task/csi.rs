//! CSI volumes, from the options in which an app gives them.
//! Asks no plugin whether the volume exists.

use std::collections::BTreeMap;

use tepui_protocol::marathon::{App, ExternalVolume};
use tepui_protocol::v1;
use v1::volume::source::CsiVolume;
use v1::volume::source::csi_volume::volume_capability::access_mode::Mode;
use v1::volume::source::csi_volume::volume_capability::{AccessMode, MountVolume};
use v1::volume::source::csi_volume::{StaticProvisioning, VolumeCapability};

use super::secret;

/// The volume in Mesos's form; none when the options lack what validation asks for.
pub(super) fn csi_volume(app: &App, external: &ExternalVolume) -> Option<CsiVolume> {
    let plugin_name = external.options.get("pluginName")?.as_str()?.to_owned();
    let secrets = |option: &str| -> BTreeMap<String, v1::Secret> {
        let names = texts(external, option).into_iter();
        names.map(|(key, name)| (key, secret(app, &name))).collect()
    };
    Some(CsiVolume {
        plugin_name,
        static_provisioning: Some(StaticProvisioning {
            volume_id: external.name.clone()?,
            volume_capability: capability(external)?,
            node_stage_secrets: secrets("nodeStageSecret"),
            node_publish_secrets: secrets("nodePublishSecret"),
            volume_context: texts(external, "volumeContext"),
        }),
    })
}

fn capability(external: &ExternalVolume) -> Option<VolumeCapability> {
    let capability = external.options.get("capability")?;
    let text = |member: &str| capability.get(member).and_then(|value| value.as_str());
    let access = text("accessMode")?.to_ascii_uppercase();
    let mut sent = VolumeCapability {
        access_mode: AccessMode {
            mode: Mode::from_str_name(&access)? as i32,
        },
        ..Default::default()
    };
    if text("accessType")?.eq_ignore_ascii_case("block") {
        sent.block = Some(Default::default());
        return Some(sent);
    }
    let flags = capability
        .get("mountFlags")
        .and_then(|flags| flags.as_array());
    let flags = flags.into_iter().flatten();
    let flags = flags.filter_map(|flag| flag.as_str().map(str::to_owned));
    sent.mount = Some(MountVolume {
        fs_type: text("fsType").map(str::to_owned),
        mount_flags: flags.collect(),
    });
    Some(sent)
}

/// The texts of an option that is an object.
fn texts(external: &ExternalVolume, option: &str) -> BTreeMap<String, String> {
    let object = external
        .options
        .get(option)
        .and_then(|value| value.as_object());
    let members = object.into_iter().flatten();
    members
        .filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())))
        .collect()
}
