//! Numbers, sets and sizes in messages.

use std::collections::BTreeSet;

use crate::validation::text;

#[test]
fn numbers_are_written_as_c_streams_write_them() {
    let cases = [
        (0.0, "0"),
        (1.0, "1"),
        (-1.5, "-1.5"),
        (0.001, "0.001"),
        (0.0001, "0.0001"),
        (0.00001, "1e-05"),
        (100_000.0, "100000"),
        (1_000_000.0, "1e+06"),
        (123_456.7, "123457"),
        (1e30, "1e+30"),
        (1.5e-300, "1.5e-300"),
        (999_999.9, "1e+06"),
        (f64::INFINITY, "inf"),
        (f64::NEG_INFINITY, "-inf"),
        (f64::NAN, "nan"),
    ];
    for (value, wanted) in cases {
        assert_eq!(text::number(value), wanted);
    }
}

#[test]
fn sets_are_in_braces_and_in_order() {
    assert_eq!(text::set(&BTreeSet::from(["b", "a"])), "{ a, b }");
    assert_eq!(text::set(&BTreeSet::from(["a"])), "{ a }");
}

#[test]
fn sizes_take_the_largest_unit_that_fits() {
    let cases = [
        (0, "0B"),
        (1, "1MB"),
        (32, "32MB"),
        (1024, "1GB"),
        (1025, "1025MB"),
        (3 * 1024, "3GB"),
        (1024 * 1024, "1TB"),
        (1024 * 1024 * 1024, "1024TB"),
    ];
    for (count, wanted) in cases {
        assert_eq!(text::megabytes(count), wanted);
    }
}
