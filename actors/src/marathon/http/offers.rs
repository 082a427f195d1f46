//! Offers as the queue shows them: resources and attributes by their kind.
//! Judges none.

use serde::Serialize;
use tepui_protocol::v1;

/// An offer as it is shown.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct OfferInfo<'a> {
    id: &'a str,
    hostname: &'a str,
    agent_id: &'a str,
    resources: Vec<Named<'a>>,
    attributes: Vec<Named<'a>>,
}

/// A resource, with its role, or an attribute, which has none.
#[derive(Serialize)]
struct Named<'a> {
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    scalar: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ranges: Option<Vec<Range>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    set: Option<&'a [String]>,
}

#[derive(Serialize)]
struct Range {
    begin: u64,
    end: u64,
}

impl<'a> OfferInfo<'a> {
    /// Of an offer.
    pub(super) fn of(offer: &'a v1::Offer) -> OfferInfo<'a> {
        OfferInfo {
            id: &offer.id.value,
            hostname: &offer.hostname,
            agent_id: &offer.agent_id.value,
            resources: offer.resources.iter().map(resource).collect(),
            attributes: offer.attributes.iter().map(attribute).collect(),
        }
    }
}

/// A resource belongs to the innermost role it is reserved to.
#[allow(deprecated, reason = "Mesos of old names the role of a resource so")]
fn resource(resource: &v1::Resource) -> Named<'_> {
    let reserved = resource.reservations.last();
    let reserved = reserved.and_then(|reservation| reservation.role.as_deref());
    let old = resource.role.as_deref();
    Named {
        name: &resource.name,
        role: reserved.or(old).or(Some("*")),
        text: None,
        scalar: resource.scalar.as_ref().map(|scalar| scalar.value),
        ranges: resource.ranges.as_ref().map(ranges),
        set: resource.set.as_ref().map(|set| set.item.as_slice()),
    }
}

fn attribute(attribute: &v1::Attribute) -> Named<'_> {
    Named {
        name: &attribute.name,
        role: None,
        text: attribute.text.as_ref().map(|text| text.value.as_str()),
        scalar: attribute.scalar.as_ref().map(|scalar| scalar.value),
        ranges: attribute.ranges.as_ref().map(ranges),
        set: attribute.set.as_ref().map(|set| set.item.as_slice()),
    }
}

fn ranges(ranges: &v1::value::Ranges) -> Vec<Range> {
    let range = |range: &v1::value::Range| Range {
        begin: range.begin,
        end: range.end,
    };
    ranges.range.iter().map(range).collect()
}
