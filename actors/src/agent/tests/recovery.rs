//! What an agent finds out when it starts.

use std::path::Path;

use super::super::boot_id;
use super::super::config::BOOT_ID;

#[test]
fn a_boot_id_is_read_where_there_is_one() {
    let own = boot_id(Path::new(BOOT_ID)).unwrap();
    assert_eq!((own.len(), own.trim()), (36, own.as_str()));
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("boot_id");
    assert_eq!(boot_id(&file), None);
    for (text, expected) in [("", None), ("\n", None), ("abc\n", Some("abc"))] {
        std::fs::write(&file, text).unwrap();
        assert_eq!(boot_id(&file).as_deref(), expected, "{text:?}");
    }
}
