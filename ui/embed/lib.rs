//! The web pages as they are embedded in the programs.
//! Serves none; whoever does adds the headers.

/// One file of the pages.
#[derive(Debug, Clone, Copy)]
pub struct Page {
    /// Its path below the pages' root, such as `assets/index-1a2b.js`.
    pub path: &'static str,
    /// Its media type.
    pub kind: &'static str,
    /// Changes with the content; in quotes, as an `ETag` is written.
    pub etag: &'static str,
    /// Whether the name changes with the content, so that it may be kept for ever.
    pub is_hashed: bool,
    /// The content.
    pub plain: &'static [u8],
    /// The content in gzip.
    pub gzip: &'static [u8],
}

/// The first page, for servers that have it in the directory of the other files.
pub const INDEX: &str = "index.html";

/// The first page, for servers that have it at `/` and the other files below `/ui/`.
pub const ROOT_INDEX: &str = "root.html";

/// All files, sorted by path.
pub static PAGES: &[Page] = include!(concat!(env!("OUT_DIR"), "/pages.rs"));

/// The file of this path.
#[must_use]
pub fn find(path: &str) -> Option<&'static Page> {
    let place = PAGES.binary_search_by_key(&path, |page| page.path).ok()?;
    PAGES.get(place)
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    /// The most that a browser has to load, in bytes of gzip. uPlot and Svelte are in it.
    const MAX_BUNDLE_BYTES: usize = 200_000;

    #[test]
    fn the_first_pages_lead_to_files_that_are_there() {
        for (name, below) in [(INDEX, "\"./"), (ROOT_INDEX, "\"./ui/")] {
            let page = find(name).expect(name);
            let text = std::str::from_utf8(page.plain).expect("UTF-8");
            let links: Vec<&str> = text
                .split(below)
                .skip(1)
                .filter_map(|rest| rest.split('"').next())
                .collect();
            assert!(links.len() >= 2, "{name} names {links:?}");
            for link in links {
                assert!(find(link).is_some(), "{name} leads to {link}");
            }
            assert!(!page.is_hashed);
        }
    }

    #[test]
    fn nothing_is_loaded_from_elsewhere_and_no_script_stands_in_a_page() {
        for name in [INDEX, ROOT_INDEX] {
            let text = std::str::from_utf8(find(name).expect(name).plain).expect("UTF-8");
            assert!(!text.contains("://"), "{text}");
            let mut scripts = text.split("<script").skip(1);
            assert!(
                scripts.all(|script| script.contains("src=\"") && script.contains("></script>"))
            );
            assert!(!text.contains("<style") && !text.contains("style="));
        }
    }

    #[test]
    fn the_bundle_is_small() {
        let all: usize = PAGES.iter().map(|page| page.gzip.len()).sum();
        assert!(all > 10_000, "{all} bytes hold no pages");
        assert!(all < MAX_BUNDLE_BYTES, "{all} bytes of gzip");
    }

    #[test]
    fn both_forms_hold_the_same() {
        for page in PAGES {
            let mut read = Vec::new();
            let mut gzip = flate2::read::GzDecoder::new(page.gzip);
            gzip.read_to_end(&mut read).expect("gzip");
            assert_eq!(read, page.plain, "{}", page.path);
        }
    }
}
