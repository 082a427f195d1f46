//! Apps and offers for the tests of placement.
//! Holds no tests itself.

use serde_json::{Value, json};
use tepui_protocol::marathon::App;
use tepui_protocol::v1;

use crate::ids::IdSource;
use crate::marathon::constraint::{Rules, Spread};
use crate::resources::attributes::parse_attributes;
use crate::resources::{Format, Resources};
use crate::time::Now;

use super::{Match, MatchRequest, MatchSettings, OpenOffer, Refusal, match_offer};

/// A plain app of role `web` with 1 CPU and 128 MiB, with some members changed.
pub(crate) fn app(changes: Value) -> App {
    let mut app = json!({
        "id": "/shop/cart", "cmd": "run", "backoffFactor": 1.15, "backoffSeconds": 1,
        "cpus": 1.0, "disk": 0.0, "executor": "", "instances": 1,
        "maxLaunchDelaySeconds": 300, "mem": 128.0, "gpus": 0, "networks": [{"mode": "host"}],
        "requirePorts": false,
        "upgradeStrategy": {"maximumOverCapacity": 1.0, "minimumHealthCapacity": 1.0},
        "version": "2021-07-02T10:00:00.123Z", "killSelection": "YOUNGEST_FIRST",
        "unreachableStrategy": {"inactiveAfterSeconds": 0, "expungeAfterSeconds": 0},
        "role": "web",
    });
    for (member, value) in changes.as_object().expect("an object") {
        match value {
            Value::Null => app.as_object_mut().expect("an object").remove(member),
            value => app
                .as_object_mut()
                .expect("an object")
                .insert(member.clone(), value.clone()),
        };
    }
    serde_json::from_value(app).expect("an app")
}

/// An offer to role `web` of resources and attributes in Mesos's text forms.
pub(crate) fn offer(resources: &str, attributes: &str) -> v1::Offer {
    let resources = Resources::parse(resources, "*").expect("resources");
    v1::Offer {
        id: id("O"),
        framework_id: v1::FrameworkId { value: "F".into() },
        agent_id: v1::AgentId { value: "S".into() },
        hostname: "host1".into(),
        resources: resources.allocated_to("web").to_v1(Format::PreRefinement),
        attributes: parse_attributes(attributes).expect("attributes"),
        allocation_info: Some(v1::resource::AllocationInfo {
            role: Some("web".into()),
        }),
        ..Default::default()
    }
}

fn id(text: &str) -> v1::OfferId {
    v1::OfferId { value: text.into() }
}

/// The same offer in a fault domain.
pub(crate) fn within(mut offer: v1::Offer, region: &str, zone: &str) -> v1::Offer {
    use v1::domain_info::fault_domain::{RegionInfo, ZoneInfo};
    offer.domain = Some(v1::DomainInfo {
        fault_domain: Some(v1::domain_info::FaultDomain {
            region: RegionInfo {
                name: region.into(),
            },
            zone: ZoneInfo { name: zone.into() },
        }),
    });
    offer
}

/// An offer with more than enough of everything.
pub(crate) fn large() -> v1::Offer {
    offer("cpus:64;mem:65536;disk:1000000;ports:[31000-32000]", "")
}

/// A source of random numbers that is the same in each run.
pub(crate) fn random() -> IdSource {
    IdSource::from_seed([7; 32])
}

/// Matches with default flags and no instances yet.
pub(crate) fn try_match(app: &App, offer: &v1::Offer) -> Result<Match, Refusal> {
    try_with(app, offer, &MatchSettings::default(), Now::default())
}

/// Matches with no instances yet.
pub(crate) fn try_with(
    app: &App,
    offer: &v1::Offer,
    settings: &MatchSettings,
    now: Now,
) -> Result<Match, Refusal> {
    let offer = OpenOffer::read(offer).expect("an offer");
    let rules = Rules::of(app);
    let spread = Spread::new(&app.constraints);
    let request = MatchRequest {
        app,
        rules: &rules,
        spread: &spread,
        settings,
        now,
    };
    match_offer(&offer, &request, &mut random())
}
