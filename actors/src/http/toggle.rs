//! `/logging/toggle`: how much master and agent log, which can be raised for some time.
//! Keeps no level; `crate::logging` does.

use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse};

use super::{json, text};
use crate::flags::parse_duration;
use crate::logging;

/// Answers any method, as Mesos does. Mesos: `Logging::toggle`.
pub fn toggle(request: &HttpRequest) -> HttpResponse {
    let (level, time) = match (
        json::query(request, "level"),
        json::query(request, "duration"),
    ) {
        (None, None) => {
            let level = logging::process().verbosity();
            return text(StatusCode::OK, format!("{level}\n"));
        }
        (Some(_), None) => return refuse("Expecting 'duration=value' in query"),
        (None, Some(_)) => return refuse("Expecting 'level=value' in query"),
        (Some(level), Some(time)) => (level, time),
    };
    let read = read_level(&level).and_then(|level| Ok((level, read_duration(&time)?)));
    match read {
        Ok((level, time)) => {
            logging::process().set_verbosity(level, time);
            HttpResponse::Ok().finish()
        }
        Err(why) => refuse(&why),
    }
}

fn refuse(why: &str) -> HttpResponse {
    text(StatusCode::BAD_REQUEST, format!("{why}.\n"))
}

fn read_level(level: &str) -> Result<u32, String> {
    let number: i32 = level
        .parse()
        .map_err(|_| format!("Failed to convert '{level}' to number"))?;
    u32::try_from(number).map_err(|_| format!("Invalid level '{number}'"))
}

/// A number and a unit, with Mesos's words for what is neither; a negative time is over at once.
fn read_duration(time: &str) -> Result<Duration, String> {
    let given = time.strip_prefix('-').unwrap_or(time);
    if let Some(read) = parse_duration(given) {
        return Ok(if given == time { read } else { Duration::ZERO });
    }
    let is_of_number = |c: char| c.is_ascii_digit() || ".+-".contains(c);
    let end = time.find(|c| !is_of_number(c)).unwrap_or(time.len());
    let (number, unit) = time.split_at(end);
    let is_unit = parse_duration(&format!("0{unit}")).is_some();
    Err(match number.parse::<f64>() {
        Err(_) => format!("Failed to convert '{number}' to number"),
        Ok(_) if is_unit => "Argument out of the range that a Duration can represent due to \
                             int64_t's size limit"
            .to_owned(),
        Ok(_) => format!("Unknown duration unit '{unit}'"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_numbers_from_zero() {
        assert_eq!(read_level("3"), Ok(3));
        let why = "Failed to convert 'abc' to number".to_owned();
        assert_eq!(read_level("abc"), Err(why));
        assert_eq!(read_level("-1"), Err("Invalid level '-1'".to_owned()));
        assert!(read_level("99999999999").is_err());
        assert!(read_level("").is_err());
    }

    #[test]
    fn times_have_a_unit() {
        assert_eq!(read_duration("1.5mins"), Ok(Duration::from_secs(90)));
        assert_eq!(read_duration("-1mins"), Ok(Duration::ZERO));
        let why = "Failed to convert '' to number".to_owned();
        assert_eq!(read_duration("abc"), Err(why));
        let why = "Unknown duration unit 'parsecs'".to_owned();
        assert_eq!(read_duration("5parsecs"), Err(why));
        let why = read_duration("9999999weeks").expect_err("too long");
        assert!(why.starts_with("Argument out of the range"), "{why}");
        for odd in [
            "",
            "-",
            "--1secs",
            "5",
            "1e999secs",
            "9999999weeks",
            "\u{e9}",
        ] {
            assert!(read_duration(odd).is_err(), "{odd}");
        }
    }
}
