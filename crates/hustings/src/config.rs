//! Configuration: flags, environment and file become a [`RawConfig`] each; the strongest wins value by value,
//! and [`Settings`] remember where every value comes from. Checked once, at start, in `commands::serve`.

use std::fmt::Display;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::ArgMatches;
use clap::parser::ValueSource;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::cli::ConfigArgs;
use crate::exit::Failure;

pub const DEFAULT_DATA: &str = "hustings-data";
pub const DEFAULT_PORT: u16 = 8700;
/// Name of the configuration file in the data folder.
pub const CONFIG_FILE: &str = "hustings.toml";

/// Where a value in force comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    Default,
    File(PathBuf),
    Environment(&'static str),
    Flag,
}

impl Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Origin::Default => f.write_str("default"),
            Origin::File(path) => write!(f, "file {}", path.display()),
            Origin::Environment(name) => write!(f, "environment {name}"),
            Origin::Flag => f.write_str("flag"),
        }
    }
}

/// A value in force and where it comes from.
#[derive(Clone, Debug)]
pub struct Setting<T> {
    pub value: T,
    pub origin: Origin,
}

/// Declares every setting once: its flag, its `HUSTINGS_…` name, its key in the file and its default.
/// `required`: there is always a value. `optional`: none unless given.
macro_rules! settings {
    (
        required { $( $(#[doc = $doc:literal])* $name:ident ($env:literal, $shown:literal): $type:ty = $default:expr; )* }
        optional { $( $(#[doc = $odoc:literal])* $oname:ident ($oenv:literal, $oshown:literal): $otype:ty; )* }
    ) => {
        /// The settings of one origin, as given.
        #[derive(Clone, Debug, Default, clap::Args, Deserialize)]
        #[serde(deny_unknown_fields)]
        pub struct RawConfig {
            $( $(#[doc = $doc])* #[arg(long, env = $env, value_name = $shown, help_heading = "Settings", hide_env_values = true)]
               pub $name: Option<$type>, )*
            $( $(#[doc = $odoc])* #[arg(long, env = $oenv, value_name = $oshown, help_heading = "Settings", hide_env_values = true)]
               pub $oname: Option<$otype>, )*
        }

        /// The settings in force.
        #[derive(Clone, Debug)]
        pub struct Settings {
            $( pub $name: Setting<$type>, )*
            $( pub $oname: Setting<Option<$otype>>, )*
        }

        impl Settings {
            /// `given` are flags and environment (told apart by `given_from`), `file` what the file says.
            pub fn merge(given: RawConfig, given_from: impl Fn(&str, &'static str) -> Origin,
                         file: RawConfig, path: &Path) -> Self {
                Self {
                    $( $name: match (given.$name, file.$name) {
                        (Some(value), _) => Setting { value, origin: given_from(stringify!($name), $env) },
                        (None, Some(value)) => Setting { value, origin: Origin::File(path.to_owned()) },
                        (None, None) => Setting { value: $default, origin: Origin::Default },
                    }, )*
                    $( $oname: match (given.$oname, file.$oname) {
                        (Some(value), _) => Setting { value: Some(value), origin: given_from(stringify!($oname), $oenv) },
                        (None, Some(value)) => Setting { value: Some(value), origin: Origin::File(path.to_owned()) },
                        (None, None) => Setting { value: None, origin: Origin::Default },
                    }, )*
                }
            }

            /// Every setting: its key, its value as JSON, its origin.
            pub fn all(&self) -> Vec<(&'static str, Value, &Origin)> {
                vec![
                    $( (stringify!($name), json!(self.$name.value), &self.$name.origin), )*
                    $( (stringify!($oname), json!(self.$oname.value), &self.$oname.origin), )*
                ]
            }
        }
    };
}

settings! {
    required {
        /// Data folder: ledger, keys, caches
        data ("HUSTINGS_DATA", "DIR"): PathBuf = PathBuf::from(DEFAULT_DATA);
        /// Address to listen on [default: 127.0.0.1:8700]
        listen ("HUSTINGS_LISTEN", "ADDR:PORT"): SocketAddr = SocketAddr::from(([127, 0, 0, 1], DEFAULT_PORT));
        /// Log form: human or json
        log_format ("HUSTINGS_LOG_FORMAT", "FORM"): String = "human".to_owned();
        /// What is logged, such as info or warn,server=debug
        log ("HUSTINGS_LOG", "FILTER"): String = "info".to_owned();
        /// Ballots in work at once; 5 gives the classic behaviour
        max_concurrent ("HUSTINGS_MAX_CONCURRENT", "N"): usize = 4_096;
        /// Ballots that may wait; beyond it 503 with Retry-After
        queue_max ("HUSTINGS_QUEUE_MAX", "N"): usize = 65_536;
    }
    optional {
        /// Address that voters see in links and QR codes, such as https://vote.example.org
        public_url ("HUSTINGS_PUBLIC_URL", "URL"): String;
        /// ZeroMQ PUB address for the live feed, such as 127.0.0.1:8701
        zmq ("HUSTINGS_ZMQ", "ADDR:PORT"): String;
        /// TLS certificate chain (PEM)
        tls_cert ("HUSTINGS_TLS_CERT", "FILE"): PathBuf;
        /// TLS private key (PEM)
        tls_key ("HUSTINGS_TLS_KEY", "FILE"): PathBuf;
    }
}

/// The settings in force for these arguments; `matches` is the innermost command's.
pub fn settle(args: ConfigArgs, matches: &ArgMatches) -> Result<Settings> {
    let data = args.settings.data.clone().unwrap_or_else(|| PathBuf::from(DEFAULT_DATA));
    let (path, file) = match args.config {
        Some(path) => {
            let file = read_file(&path)?.ok_or_else(|| {
                Failure::usage(format!("configuration file `{}` is not there", path.display()))
            })?;
            (path, file)
        }
        None => {
            let path = data.join(CONFIG_FILE);
            let file = read_file(&path)?.unwrap_or_default();
            if file.data.is_some() {
                return Err(Failure::usage(format!(
                    "`{}` cannot say where its own folder is",
                    path.display()
                ))
                .hint("Take the line `data = …` out, or name the file with --config.")
                .into());
            }
            (path, file)
        }
    };
    let from = |name: &str, env: &'static str| match matches.value_source(name) {
        Some(ValueSource::EnvVariable) => Origin::Environment(env),
        _ => Origin::Flag,
    };
    Ok(Settings::merge(args.settings, from, file, &path))
}

/// The file's settings; `None` where there is no file.
fn read_file(path: &Path) -> Result<Option<RawConfig>> {
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => {
            return Err(
                Failure::usage(format!("cannot read configuration `{}`: {error}", path.display())).into()
            );
        }
    };
    let raw = toml::from_str(&text).map_err(|error| {
        Failure::usage(format!(
            "configuration `{}` is wrong\n{}",
            path.display(),
            error.to_string().trim_end()
        ))
    })?;
    Ok(Some(raw))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn merged(given: RawConfig, file: &str) -> Settings {
        let file: RawConfig = toml::from_str(file).expect("valid");
        let from = |name: &str, env| match name {
            "listen" => Origin::Environment(env),
            _ => Origin::Flag,
        };
        Settings::merge(given, from, file, Path::new("hustings.toml"))
    }

    #[test]
    fn the_strongest_origin_wins_value_by_value() {
        let given = RawConfig {
            listen: Some("0.0.0.0:80".parse().expect("an address")),
            queue_max: Some(7),
            ..RawConfig::default()
        };
        let settings = merged(given, "queue_max = 1\nmax_concurrent = 5\npublic_url = \"https://x\"\n");
        let text: Vec<String> = settings
            .all()
            .into_iter()
            .map(|(key, value, origin)| format!("{key} = {value} ({origin})"))
            .collect();
        assert!(
            text.contains(&"listen = \"0.0.0.0:80\" (environment HUSTINGS_LISTEN)".to_owned()),
            "{text:#?}"
        );
        assert!(text.contains(&"queue_max = 7 (flag)".to_owned()), "{text:#?}");
        assert!(text.contains(&"max_concurrent = 5 (file hustings.toml)".to_owned()), "{text:#?}");
        assert!(text.contains(&"public_url = \"https://x\" (file hustings.toml)".to_owned()), "{text:#?}");
        assert!(text.contains(&"zmq = null (default)".to_owned()), "{text:#?}");
    }

    #[test]
    fn an_unknown_key_in_the_file_is_refused_with_its_line() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("hustings.toml");
        fs::write(&path, "listen = \"127.0.0.1:1\"\nlisten_port = 80\n").expect("written");
        let message = format!("{:#}", read_file(&path).expect_err("is refused"));
        assert!(message.contains("line 2"), "{message}");
        assert!(message.contains("unknown field `listen_port`"), "{message}");
    }

    #[test]
    fn a_missing_file_is_no_mistake() {
        assert!(read_file(Path::new("/nonexistent/hustings.toml")).expect("fine").is_none());
    }
}
