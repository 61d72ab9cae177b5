//! Files that pages need, under names that carry their content's hash, so browsers may keep them for ever.

use bytes::Bytes;
use std::sync::LazyLock;

/// One file.
#[derive(Debug)]
pub struct Asset {
    /// `/assets/hustings-1a2b3c4d5e6f7081.css`
    pub path: String,
    pub content_type: &'static str,
    pub bytes: Bytes,
}

/// All files.
#[derive(Debug)]
pub struct Assets {
    pub style: Asset,
    pub script: Asset,
    pub icon: Asset,
}

pub static ASSETS: LazyLock<Assets> = LazyLock::new(|| Assets {
    style: asset("hustings", "css", "text/css; charset=utf-8", include_bytes!("../assets/hustings.css")),
    script: asset("live", "js", "text/javascript; charset=utf-8", include_bytes!("../assets/live.js")),
    icon: asset("mark", "svg", "image/svg+xml", include_bytes!("../assets/mark.svg")),
});

fn asset(stem: &str, ending: &str, content_type: &'static str, bytes: &'static [u8]) -> Asset {
    let hash = proof::sha256(&[bytes]).to_hex();
    let path = format!("/assets/{stem}-{}.{ending}", &hash[..16]);
    Asset { path, content_type, bytes: Bytes::from_static(bytes) }
}

impl Assets {
    pub fn find(&self, path: &str) -> Option<&Asset> {
        [&self.style, &self.script, &self.icon].into_iter().find(|asset| asset.path == path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_script_stays_small_and_pages_have_no_inline_code() {
        assert!(ASSETS.script.bytes.len() < 8 * 1024);
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
    fn an_asset_is_found_by_its_hashed_name_only() {
        assert!(ASSETS.find(&ASSETS.style.path).is_some());
        assert!(ASSETS.find("/assets/hustings.css").is_none());
    }
}
