//! Files that pages need, under names that carry their content's hash, so browsers may keep them for ever.
//!
//! They are compressed once, when the first is asked for.

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use hyper::header::HeaderValue;
use std::io::Write;
use std::sync::LazyLock;

/// One file.
#[derive(Debug)]
pub struct Asset {
    /// `/assets/hustings-1a2b3c4d5e6f7081.css`
    pub path: String,
    pub content_type: &'static str,
    pub bytes: Bytes,
    gzip: Bytes,
}

/// How a file goes over the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    Plain,
    Gzip,
}

/// All files.
#[derive(Debug)]
pub struct Assets {
    /// What every page is dressed in.
    pub style: Asset,
    /// The projector's and the overlay's.
    pub screen_style: Asset,
    /// The officers'.
    pub officer_style: Asset,
    pub script: Asset,
    /// The projector's and the officers', beside the script of all pages; voters' phones never load it.
    pub stage_script: Asset,
    /// Where a cluster's servers have an address each: goes on at another one when this falls silent.
    pub elsewhere_script: Asset,
    pub icon: Asset,
}

pub static ASSETS: LazyLock<Assets> = LazyLock::new(|| Assets {
    style: asset("hustings", "css", "text/css; charset=utf-8", &include_bytes!("../assets/hustings.css")[..]),
    screen_style: asset(
        "screen",
        "css",
        "text/css; charset=utf-8",
        &include_bytes!("../assets/screen.css")[..],
    ),
    officer_style: asset(
        "officer",
        "css",
        "text/css; charset=utf-8",
        &include_bytes!("../assets/officer.css")[..],
    ),
    script: asset("live", "js", "text/javascript; charset=utf-8", lean(include_str!("../assets/live.js"))),
    stage_script: asset(
        "stage",
        "js",
        "text/javascript; charset=utf-8",
        lean(include_str!("../assets/stage.js")),
    ),
    elsewhere_script: asset(
        "elsewhere",
        "js",
        "text/javascript; charset=utf-8",
        lean(include_str!("../assets/elsewhere.js")),
    ),
    icon: asset("mark", "svg", "image/svg+xml", &include_bytes!("../assets/mark.svg")[..]),
});

fn asset(stem: &str, ending: &str, content_type: &'static str, bytes: impl Into<Bytes>) -> Asset {
    let bytes = bytes.into();
    let hash = proof::sha256(&[&bytes]).to_hex();
    let path = format!("/assets/{stem}-{}.{ending}", &hash[..16]);
    Asset { path, content_type, gzip: gzip(&bytes), bytes }
}

/// A script without indentation and without lines of comment alone: phones need neither. Nothing else is touched, so a
/// script may not have text that goes over several lines.
fn lean(script: &str) -> Vec<u8> {
    let lines = script.lines().map(str::trim);
    let is_comment = |line: &&str| ["//", "/*", "*"].iter().any(|start| line.starts_with(start));
    let lines = lines.filter(|line| !line.is_empty() && !is_comment(line));
    lines.flat_map(|line| [line, "\n"]).collect::<String>().into_bytes()
}

fn gzip(bytes: &[u8]) -> Bytes {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    let written = encoder.write_all(bytes).and_then(|()| encoder.finish());
    Bytes::from(written.expect("writing to memory does not fail"))
}

impl Asset {
    /// The smallest form that a client with this `Accept-Encoding` takes.
    pub fn encoded(&self, accepts: Option<&HeaderValue>) -> (&Bytes, Encoding) {
        let accepts = accepts.and_then(|value| value.to_str().ok()).unwrap_or_default();
        let takes_gzip = accepts.split(',').any(|item| {
            let (name, parameters) = item.split_once(';').unwrap_or((item, ""));
            let quality =
                parameters.trim().strip_prefix("q=").map_or(Some(1.0), |text| text.parse::<f32>().ok());
            matches!(name.trim(), "gzip" | "*") && quality.is_some_and(|quality| quality > 0.0)
        });
        if takes_gzip && self.gzip.len() < self.bytes.len() {
            (&self.gzip, Encoding::Gzip)
        } else {
            (&self.bytes, Encoding::Plain)
        }
    }
}

impl Assets {
    pub fn find(&self, path: &str) -> Option<&Asset> {
        [
            &self.style,
            &self.screen_style,
            &self.officer_style,
            &self.script,
            &self.stage_script,
            &self.elsewhere_script,
            &self.icon,
        ]
        .into_iter()
        .find(|asset| asset.path == path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_script_stays_small_and_pages_have_no_inline_code() {
        assert!(ASSETS.script.bytes.len() < 15 * 1024);
        assert!(ASSETS.stage_script.bytes.len() < 10 * 1024);
        assert!(ASSETS.elsewhere_script.bytes.len() < 5 * 1024);
        let live = include_str!("../assets/live.js");
        for script in [live, include_str!("../assets/stage.js"), include_str!("../assets/elsewhere.js")] {
            assert!(script.lines().all(|line| line.matches('`').count() % 2 == 0), "text over several lines");
        }
        let templates = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/templates")).unwrap();
        for template in templates {
            let path = template.unwrap().path();
            let text = std::fs::read_to_string(&path).unwrap();
            for forbidden in [" style=", " onclick", "javascript:", "<style", "https://", "|safe"] {
                assert!(!text.contains(forbidden), "{} has `{forbidden}`", path.display());
            }
        }
    }

    #[test]
    fn assets_go_compressed_to_those_who_take_it() {
        let encoding =
            |accepts: &'static str| ASSETS.style.encoded(Some(&HeaderValue::from_static(accepts))).1;
        assert_eq!(encoding("br, gzip;q=0.8"), Encoding::Gzip);
        assert_eq!(encoding("gzip;q=0"), Encoding::Plain);
        assert_eq!(encoding("br"), Encoding::Plain);
        assert_eq!(ASSETS.style.encoded(None).1, Encoding::Plain);
        assert!(ASSETS.style.gzip.len() + ASSETS.script.gzip.len() < 20 * 1024);
    }

    #[test]
    fn an_asset_is_found_by_its_hashed_name_only() {
        assert!(ASSETS.find(&ASSETS.style.path).is_some());
        assert!(ASSETS.find("/assets/hustings.css").is_none());
    }
}
