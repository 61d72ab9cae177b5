//! `picture add`: a file becomes a picture that a choice can name.

use std::fs;

use anyhow::Result;

use crate::cli::PictureAddArgs;
use crate::client::Client;
use crate::exit::{Exit, Failure};
use crate::output::{Form, note};

/// Endings of picture files and what the server calls them.
const CONTENT_TYPES: [(&str, &str); 4] =
    [("png", "image/png"), ("jpg", "image/jpeg"), ("jpeg", "image/jpeg"), ("webp", "image/webp")];

pub fn add(args: PictureAddArgs, client: &Client, form: Form) -> Result<Exit> {
    let path = &args.file;
    let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default().to_ascii_lowercase();
    let Some((_, content_type)) = CONTENT_TYPES.iter().find(|(known, _)| *known == ending) else {
        let what = format!("`{}` does not end in .png, .jpg or .webp", path.display());
        return Err(Failure::usage(what).hint("Convert it first; 512 by 512 pixels are plenty.").into());
    };
    let bytes = fs::read(path)
        .map_err(|error| Failure::usage(format!("cannot read `{}`: {error}", path.display())))?;
    let added = client.post_bytes("/api/v1/pictures", content_type, bytes)?;
    let photo = added["photo"].as_str().unwrap_or("?");
    form.result(&added, || photo.to_owned());
    note(format!("Write it into the election file: {{ name = \"…\", photo = \"{photo}\" }}"));
    Ok(Exit::Ok)
}
