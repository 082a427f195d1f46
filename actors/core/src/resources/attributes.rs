//! The text grammar of agent attributes: `rack:r1;level:1;range:[1-5]`.
//! Does not match constraints against them; `validation::constraints` does.

use tepui_protocol::v1;
use v1::value::Type as ValueType;

use super::ResourceError;
use super::value::{TextValue, to_milli};

/// Reads attributes; names may repeat. Values are numbers, ranges or text; sets are refused.
pub fn parse_attributes(text: &str) -> Result<Vec<v1::Attribute>, ResourceError> {
    let tokens = text.split([';', '\n']).filter(|token| !token.is_empty());
    tokens
        .map(|token| read_attribute(token).map_err(ResourceError))
        .collect()
}

/// Whether two lists hold the same attributes, in any order. Copies of one attribute do not
/// count, as in Mesos.
pub fn same_attributes(a: &[v1::Attribute], b: &[v1::Attribute]) -> bool {
    let within = |inner: &[v1::Attribute], outer: &[v1::Attribute]| {
        inner
            .iter()
            .all(|one| outer.iter().any(|other| equal(one, other)))
    };
    a.len() == b.len() && within(a, b) && within(b, a)
}

fn equal(a: &v1::Attribute, b: &v1::Attribute) -> bool {
    if a.name != b.name || a.r#type != b.r#type {
        return false;
    }
    match (&a.scalar, &b.scalar) {
        (Some(a), Some(b)) => to_milli(a.value) == to_milli(b.value),
        _ => a.text == b.text && a.ranges == b.ranges && a.set == b.set,
    }
}

fn read_attribute(token: &str) -> Result<v1::Attribute, String> {
    let (name, value) = match token.split_once(':') {
        Some((name, value)) if !name.is_empty() && !value.is_empty() => (name, value),
        _ => return Err(format!("Invalid attribute key:value pair '{token}'")),
    };
    let parsed = TextValue::parse(value)
        .map_err(|error| format!("Failed to parse attribute {name} text {value} error {error}"))?;
    let mut attribute = v1::Attribute {
        name: name.to_owned(),
        ..Default::default()
    };
    let kind = match parsed {
        TextValue::Scalar(value) => {
            attribute.scalar = Some(v1::value::Scalar { value });
            ValueType::Scalar
        }
        TextValue::Ranges(ranges) => {
            if let Some((begin, end)) = ranges.iter().find(|(begin, end)| begin > end) {
                return Err(format!(
                    "Failed to parse attribute {name} text {value} error range {begin}-{end} \
                     ends before it begins"
                ));
            }
            let range = ranges
                .into_iter()
                .map(|(begin, end)| v1::value::Range { begin, end });
            attribute.ranges = Some(v1::value::Ranges {
                range: range.collect(),
            });
            ValueType::Ranges
        }
        TextValue::Text(value) => {
            attribute.text = Some(v1::value::Text { value });
            ValueType::Text
        }
        TextValue::Set(_) => {
            return Err(format!(
                "Bad type for attribute {name} text {value} type SET"
            ));
        }
    };
    attribute.r#type = kind as i32;
    Ok(attribute)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(text: &str) -> String {
        parse_attributes(text).unwrap_err().0
    }

    #[test]
    fn reads_every_kind_of_value() {
        let read = parse_attributes("rack:r1;level:1.5;range:[1-2,3-5]\nurl:http://a:80").unwrap();
        let names: Vec<&str> = read.iter().map(|a| a.name.as_str()).collect();
        assert_eq!(names, ["rack", "level", "range", "url"]);
        assert_eq!(read[0].text.as_ref().unwrap().value, "r1");
        assert_eq!(read[0].r#type, ValueType::Text as i32);
        assert_eq!(read[1].scalar.as_ref().unwrap().value, 1.5);
        assert_eq!(
            read[2].ranges.as_ref().unwrap().range,
            [v1::value::Range { begin: 1, end: 5 }]
        );
        assert_eq!(read[3].text.as_ref().unwrap().value, "http://a:80");
    }

    #[test]
    fn names_may_repeat_and_numbers_may_be_negative_text() {
        let read = parse_attributes("a:1;a:-1").unwrap();
        assert_eq!(read.len(), 2);
        assert_eq!(read[1].text.as_ref().unwrap().value, "-1");
        assert!(parse_attributes("").unwrap().is_empty());
    }

    #[test]
    fn refuses_what_is_no_attribute() {
        assert_eq!(error("rack"), "Invalid attribute key:value pair 'rack'");
        assert_eq!(error(":r1"), "Invalid attribute key:value pair ':r1'");
        assert_eq!(error("rack:"), "Invalid attribute key:value pair 'rack:'");
        assert_eq!(
            error("s:{a,b}"),
            "Bad type for attribute s text {a,b} type SET"
        );
        assert_eq!(
            error("r:[1-2"),
            "Failed to parse attribute r text [1-2 error Mismatched brackets"
        );
        assert!(error("r:[5-2]").ends_with("range 5-2 ends before it begins"));
    }

    #[test]
    fn comparison_ignores_order() {
        let read = |text| parse_attributes(text).unwrap();
        assert!(same_attributes(&read("a:1;b:x"), &read("b:x;a:1")));
        assert!(same_attributes(&read("a:1"), &read("a:1.0001")));
        assert!(!same_attributes(&read("a:1"), &read("a:2")));
        assert!(!same_attributes(&read("a:x"), &read("a:x;a:x")));
        assert!(!same_attributes(&read("a:[1-2]"), &read("a:[1-3]")));
    }
}
