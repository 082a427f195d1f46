//! The place of an offer: its agent's host, fault domain and attributes as text.
//! Attributes are not judged; `accepts` does.

use tepui_protocol::v1;
use v1::value::Type as ValueType;

use crate::marathon::place::Place;
use crate::resources::to_milli;

/// Where an offer's agent is. Of attributes with one name the first counts. Marathon.
pub fn place_of(offer: &v1::Offer) -> Place {
    let domain = offer.domain.as_ref();
    let domain = domain.and_then(|domain| domain.fault_domain.as_ref());
    let mut place = Place {
        agent_id: offer.agent_id.value.clone(),
        host: offer.hostname.clone(),
        region: domain.map(|domain| domain.region.name.clone()),
        zone: domain.map(|domain| domain.zone.name.clone()),
        ..Place::default()
    };
    for attribute in &offer.attributes {
        if let Some(text) = text_of(attribute) {
            let name = attribute.name.clone();
            place.attributes.entry(name).or_insert(text);
        }
    }
    place
}

/// The value of IS in the form attributes have: numbers as scalars are written, all else as it is.
pub(super) fn normalised(value: &str) -> String {
    let is_number = value.bytes().all(|b| b.is_ascii_digit() || b == b'.')
        || value
            .strip_prefix(['-', '+'])
            .is_some_and(|rest| rest.bytes().all(|b| b.is_ascii_digit() || b == b'.'));
    match value.parse::<f64>() {
        Ok(number) if is_number => scalar_text(number),
        _ => value.to_owned(),
    }
}

fn text_of(attribute: &v1::Attribute) -> Option<String> {
    match ValueType::try_from(attribute.r#type).ok()? {
        ValueType::Scalar => Some(scalar_text(attribute.scalar.as_ref()?.value)),
        ValueType::Text => Some(attribute.text.as_ref()?.value.clone()),
        ValueType::Ranges => {
            let ranges = &attribute.ranges.as_ref()?.range;
            let mut ranges: Vec<(u64, u64)> = ranges.iter().map(|r| (r.begin, r.end)).collect();
            ranges.sort_unstable();
            let texts: Vec<String> = ranges.iter().map(|(b, e)| format!("{b}-{e}")).collect();
            Some(format!("[{}]", texts.join(",")))
        }
        ValueType::Set => {
            let mut items: Vec<&str> = attribute
                .set
                .as_ref()?
                .item
                .iter()
                .map(String::as_str)
                .collect();
            items.sort_unstable();
            Some(format!("{{{}}}", items.join(",")))
        }
    }
}

/// A number with up to three decimals, without trailing zeros.
fn scalar_text(value: f64) -> String {
    let milli = to_milli(value);
    if milli == i64::MIN {
        // Beyond fixed point there are no decimals to cut.
        return value.to_string();
    }
    let sign = if milli < 0 { "-" } else { "" };
    let (whole, rest) = (milli.unsigned_abs() / 1000, milli.unsigned_abs() % 1000);
    let text = format!("{sign}{whole}.{rest:03}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}
