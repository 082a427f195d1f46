//! RecordIO against whole, split and hostile streams.
//! What records hold does not matter here.

#![allow(clippy::unwrap_used, reason = "helpers of tests may unwrap, too")]

use bytes::Bytes;
use proptest::prelude::*;
use tepui_protocol::recordio::{Decoder, RecordError, encode};

fn drain(decoder: &mut Decoder) -> Result<Vec<Bytes>, RecordError> {
    let mut records = Vec::new();
    while let Some(record) = decoder.next_record()? {
        records.push(record);
    }
    Ok(records)
}

fn decode(stream: &[u8], limit: usize) -> Result<Vec<Bytes>, RecordError> {
    let mut decoder = Decoder::new(limit);
    decoder.push(stream);
    drain(&mut decoder)
}

#[test]
fn a_record_is_its_length_a_newline_and_its_bytes() {
    assert_eq!(encode(b"hello"), "5\nhello");
    assert_eq!(encode(b""), "0\n");
    assert_eq!(
        decode(b"5\nhello0\n2\n\n\n", 10).unwrap(),
        ["hello", "", "\n\n"]
    );
}

#[test]
fn what_is_no_length_ends_the_stream_for_good() {
    for bad in [
        "x\n",
        "\n",
        "-1\n",
        "+1\n",
        " 1\n",
        "1 \n",
        "0x1\n",
        "{\"type\":1}",
        "99999999999999999999\n",
    ] {
        let mut decoder = Decoder::new(100);
        decoder.push(b"1\na");
        decoder.push(bad.as_bytes());
        assert_eq!(decoder.next_record().unwrap().unwrap(), "a");
        let error = decoder.next_record().unwrap_err();
        assert!(matches!(error, RecordError::Length(_)), "{bad}: {error}");
        decoder.push(b"1\na");
        assert_eq!(decoder.next_record(), Err(error));
        assert!(!decoder.is_at_border());
    }
}

#[test]
fn a_length_without_end_is_refused_early() {
    let mut decoder = Decoder::default();
    decoder.push(&[b'1'; 20]);
    assert_eq!(decoder.next_record(), Ok(None));
    decoder.push(b"1");
    assert!(matches!(decoder.next_record(), Err(RecordError::Length(_))));
}

#[test]
fn a_record_beyond_the_limit_is_refused_before_it_comes() {
    assert_eq!(decode(b"4\nabcd", 4).unwrap(), ["abcd"]);
    let error = RecordError::TooLarge {
        length: 5,
        limit: 4,
    };
    assert_eq!(decode(b"5\n", 4), Err(error));
}

#[test]
fn the_border_between_records_is_known() {
    let mut decoder = Decoder::default();
    assert!(decoder.is_at_border());
    for piece in ["1", "0\n", "abcde"] {
        decoder.push(piece.as_bytes());
        assert_eq!(decoder.next_record(), Ok(None));
        assert!(!decoder.is_at_border());
    }
    decoder.push(b"fghij");
    assert_eq!(decoder.next_record().unwrap().unwrap(), "abcdefghij");
    assert!(decoder.is_at_border());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_split_gives_the_same_records(
        records in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..8),
        piece in 1_usize..16,
    ) {
        let stream: Vec<u8> = records.iter().flat_map(|record| encode(record)).collect();
        let mut decoder = Decoder::new(40);
        let mut decoded = Vec::new();
        for piece in stream.chunks(piece) {
            decoder.push(piece);
            decoded.extend(drain(&mut decoder).unwrap());
        }
        prop_assert!(decoder.is_at_border());
        prop_assert_eq!(decoded, records);
    }

    #[test]
    fn no_stream_makes_the_decoder_panic(stream in prop::collection::vec(prop_oneof![Just(b'\n'), b'0'..=b'9', any::<u8>()], 0..100)) {
        if let Ok(records) = decode(&stream, 50) {
            prop_assert!(records.iter().all(|record| record.len() <= 50));
        }
    }
}
