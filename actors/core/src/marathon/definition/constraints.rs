//! Rules for placement constraints of apps.
//! How they are matched against offers is not said here.

use regex::Regex;
use tepui_protocol::marathon::{Constraint, Operator};

const IS_VALUES: &str = "IS only supports Mesos text and float values (see http://mesos.apache.org/documentation/latest/attributes-resources/)";

/// Reads `[field, operator]` or `[field, operator, value]`; the error is Marathon's text.
pub(crate) fn read_constraint(parts: &[String]) -> Result<Constraint, String> {
    let (field, operator, value) = match parts {
        [field, operator] => (field, operator, None),
        [field, operator, value] => (field, operator, Some(value)),
        _ => return Err("Each constraint must have either 2 or 3 fields".into()),
    };
    if field.is_empty() {
        return Err("missing field for constraint declaration".into());
    }
    let Some(operator) = Operator::from_name(operator) else {
        return Err("operator must be one of the following UNIQUE, CLUSTER, GROUP_BY, LIKE, MAX_PER, UNLIKE or IS".into());
    };
    check_value(operator, value.map(String::as_str))?;
    Ok(Constraint {
        field: field.clone(),
        operator,
        value: value.cloned(),
    })
}

fn check_value(operator: Operator, value: Option<&str>) -> Result<(), String> {
    let integer = value.is_some_and(|value| value.parse::<i32>().is_ok());
    let (fine, text) = match operator {
        Operator::Unique => (
            value.is_none_or(str::is_empty),
            "UNIQUE does not accept a value",
        ),
        Operator::Cluster => (true, ""),
        Operator::GroupBy => (
            integer || value.is_none_or(str::is_empty),
            "GROUP BY must define an integer value or else no value at all",
        ),
        Operator::MaxPer => (integer, "MAX_PER requires an integer value"),
        Operator::Like | Operator::Unlike => return check_regex(value),
        Operator::Is => (value.is_some_and(is_text_or_number), IS_VALUES),
    };
    match fine {
        true => Ok(()),
        false => Err(text.into()),
    }
}

fn check_regex(value: Option<&str>) -> Result<(), String> {
    let Some(value) = value.filter(|value| !value.is_empty()) else {
        return Err("LIKE and UNLIKE require a non-empty, regular expression value".into());
    };
    match Regex::new(value) {
        Ok(_) => Ok(()),
        Err(_) => Err(format!("'{value}' is not a valid regular expression")),
    }
}

/// A text of letters, digits and `-_/.`, or a number; neither a set nor ranges.
fn is_text_or_number(value: &str) -> bool {
    let plain = |c: char| c.is_alphanumeric() || "-_/.+:@ ".contains(c);
    !value.is_empty() && value.chars().all(plain)
}
