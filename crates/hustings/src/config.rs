//! Configuration: flags, environment and file become a [`RawConfig`] each; the strongest wins value by value,
//! and [`Settings`] remember where every value comes from. Checked once, at start, in `commands::serve`.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::ArgMatches;
use clap::parser::ValueSource;
use cluster::net::ClusterName;
use cluster::{MEMBER_ADDRESS_BYTES_MAX, MEMBERS_MAX};
use serde::Deserialize;
use serde_json::{Value, json};
use server::{AddressRange, Limits, ServerConfig, TlsFiles};

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
/// `required`: there is always a value. `optional`: none unless given. `lists`: given several times, or with commas.
macro_rules! settings {
    (
        required { $( $(#[doc = $doc:literal])* $name:ident ($env:literal, $shown:literal): $type:ty = $default:expr; )* }
        optional { $( $(#[doc = $odoc:literal])* $oname:ident ($oenv:literal, $oshown:literal): $otype:ty; )* }
        lists { $( $(#[doc = $ldoc:literal])* $lname:ident ($lenv:literal, $lshown:literal); )* }
    ) => {
        /// The settings of one origin, as given.
        #[derive(Clone, Debug, Default, clap::Args, Deserialize)]
        #[serde(deny_unknown_fields)]
        pub struct RawConfig {
            $( $(#[doc = $doc])* #[arg(long, env = $env, value_name = $shown, help_heading = "Settings", hide_env_values = true)]
               pub $name: Option<$type>, )*
            $( $(#[doc = $odoc])* #[arg(long, env = $oenv, value_name = $oshown, help_heading = "Settings", hide_env_values = true)]
               pub $oname: Option<$otype>, )*
            $( $(#[doc = $ldoc])* #[arg(long, env = $lenv, value_name = $lshown, help_heading = "Settings", hide_env_values = true, value_delimiter = ',')]
               pub $lname: Option<Vec<String>>, )*
            /// `[limits]` of the file; on the command line they are `--limit NAME=VALUE`.
            #[arg(skip)]
            pub limits: Option<toml::Table>,
        }

        /// The settings in force.
        #[derive(Clone, Debug)]
        pub struct Settings {
            $( pub $name: Setting<$type>, )*
            $( pub $oname: Setting<Option<$otype>>, )*
            $( pub $lname: Setting<Vec<String>>, )*
            /// Every limit of the HTTP side, by name.
            pub limits: BTreeMap<String, Setting<u64>>,
        }

        impl Settings {
            /// `given` are flags and environment (told apart by `given_from`), `file` what the file says.
            pub fn merge(given: RawConfig, given_from: impl Fn(&str, &'static str) -> Origin,
                         file: RawConfig, path: &Path, limits: BTreeMap<String, Setting<u64>>) -> Self {
                Self {
                    limits,
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
                    $( $lname: match (given.$lname, file.$lname) {
                        (Some(value), _) => Setting { value, origin: given_from(stringify!($lname), $lenv) },
                        (None, Some(value)) => Setting { value, origin: Origin::File(path.to_owned()) },
                        (None, None) => Setting { value: Vec::new(), origin: Origin::Default },
                    }, )*
                }
            }

            /// Every setting: its key, its value as JSON, its origin.
            pub fn all(&self) -> Vec<(String, Value, &Origin)> {
                let mut all = vec![
                    $( (stringify!($name).to_owned(), json!(self.$name.value), &self.$name.origin), )*
                    $( (stringify!($oname).to_owned(), json!(self.$oname.value), &self.$oname.origin), )*
                    $( (stringify!($lname).to_owned(), json!(self.$lname.value), &self.$lname.origin), )*
                ];
                let limit = |(name, limit)| {
                    let (name, Setting { value, origin }): (&String, &Setting<u64>) = (name, limit);
                    (format!("limits.{name}"), json!(value), origin)
                };
                all.extend(self.limits.iter().map(limit));
                all
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
        /// Largest segment of the ledger, in MiB
        segment_mib_max ("HUSTINGS_SEGMENT_MIB_MAX", "MIB"): u64 = 64;
        /// Seconds between two comparisons of a cluster's clocks
        time_sync_interval ("HUSTINGS_TIME_SYNC_INTERVAL", "SECONDS"): u64 = 5;
        /// Whether a server that leads hands over to the newest one, once that has been up to date for half a minute
        prefer_highest ("HUSTINGS_PREFER_HIGHEST", "true|false"): bool = false;
        /// Ballots between two snapshots; a restart reads at most so many again
        snapshot_every_ballots ("HUSTINGS_SNAPSHOT_EVERY_BALLOTS", "N"): u64 = 5_000_000;
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
        /// Proxies whose X-Forwarded-For and -Proto are believed: addresses or ranges, separated by commas
        trusted_proxy ("HUSTINGS_TRUSTED_PROXY", "ADDR,…"): String;
        /// Name of the cluster this server belongs to; the join key is taken from HUSTINGS_JOIN_KEY
        cluster ("HUSTINGS_CLUSTER", "NAME"): String;
        /// Address for the cluster's other servers [default: 0.0.0.0 and the port after --listen]
        node_listen ("HUSTINGS_NODE_LISTEN", "ADDR:PORT"): SocketAddr;
        /// Address under which the other servers reach this one, where it is not the one of the default route
        node_address ("HUSTINGS_NODE_ADDRESS", "HOST:PORT"): String;
        /// Found the cluster together with so many new servers, this one included, once all of them agree
        expect ("HUSTINGS_EXPECT", "N"): usize;
        /// Whether servers look for each other on the network: lan, or off (then --seeds say where) [default: lan]
        discovery ("HUSTINGS_DISCOVERY", "lan|off"): String;
        /// Threads that serve connections [default: one per core]
        workers ("HUSTINGS_WORKERS", "N"): usize;
    }
    lists {
        /// Node addresses of servers of the cluster, tried beside what is found on the network
        seeds ("HUSTINGS_SEEDS", "HOST:PORT,…");
        /// Site whose pages may show results in a frame, such as https://example.org; may be repeated
        embed_origin ("HUSTINGS_EMBED_ORIGIN", "ORIGIN");
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
    let limits = settle_limits(&args.limit, from("limit", "HUSTINGS_LIMIT"), file.limits.as_ref(), &path)?;
    Ok(Settings::merge(args.settings, from, file, &path, limits))
}

/// What is in force with no configuration at all.
pub fn standard() -> Settings {
    let path = Path::new("");
    let limits = settle_limits(&[], Origin::Default, None, path).expect("the standard limits are good");
    Settings::merge(RawConfig::default(), |_, _| Origin::Default, RawConfig::default(), path, limits)
}

/// The standard limits, those of the file over them, those given as `NAME=VALUE` over all.
fn settle_limits(
    given: &[String],
    given_from: Origin,
    file: Option<&toml::Table>,
    path: &Path,
) -> Result<BTreeMap<String, Setting<u64>>, Failure> {
    let standard = serde_json::to_value(Limits::STANDARD).expect("limits are numbers");
    let standard = standard.as_object().expect("limits have names");
    let mut limits = BTreeMap::new();
    for (name, value) in standard {
        let value = value.as_u64().expect("limits are not negative");
        limits.insert(name.clone(), Setting { value, origin: Origin::Default });
    }
    let mut set = |name: &str, value: Option<u64>, shown: &str, origin: Origin| {
        let Some(limit) = limits.get_mut(name) else {
            return Err(Failure::usage(format!("there is no limit `{name}` ({origin})"))
                .hint("`hustings config show` lists them all."));
        };
        let value = value.ok_or_else(|| {
            Failure::usage(format!("limit `{name}` = {shown} is not a whole number ({origin})"))
        })?;
        *limit = Setting { value, origin };
        Ok(())
    };
    for (name, value) in file.into_iter().flatten() {
        let number = value.as_integer().and_then(|value| u64::try_from(value).ok());
        set(name, number, &value.to_string(), Origin::File(path.to_owned()))?;
    }
    for text in given {
        let Some((name, value)) = text.split_once('=') else {
            return Err(Failure::usage(format!("`{text}` is not NAME=VALUE")));
        };
        set(name.trim(), value.trim().parse().ok(), value, given_from.clone())?;
    }
    Ok(limits)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogForm {
    Human,
    Json,
}

/// A checked configuration: every value can be used as it is.
#[derive(Clone, Debug)]
pub struct Config {
    pub data: PathBuf,
    pub listen: SocketAddr,
    /// `base_url` is still what was configured; it is completed once the address is bound.
    pub server: ServerConfig,
    pub log: String,
    pub log_form: LogForm,
    pub max_concurrent: usize,
    pub queue_max: usize,
    pub segment_bytes_max: u64,
    pub snapshot_every_ballots: u64,
    /// `None` for a server alone.
    pub cluster: Option<ClusterSettings>,
}

/// How a server belongs to a cluster.
#[derive(Clone, Debug)]
pub struct ClusterSettings {
    pub name: ClusterName,
    pub node_listen: SocketAddr,
    pub node_address: Option<String>,
    pub expect: Option<usize>,
    pub seeds: Vec<String>,
    /// Whether servers look for each other by broadcast and multicast.
    pub beacons: bool,
    pub prefer_highest: bool,
    pub time_sync_seconds: u64,
}

/// Segments are addressed with 32 bits.
const SEGMENT_MIB_MAX: u64 = 4_095;

impl Settings {
    /// Checks every value; the first that cannot be used is the answer.
    pub fn check(&self) -> Result<Config, Failure> {
        let wrong = |key: &str, origin: &Origin, why: &str| {
            Err(Failure::usage(format!("setting `{key}` {why} (from: {origin})")))
        };
        let log_form = match self.log_format.value.as_str() {
            "human" => LogForm::Human,
            "json" => LogForm::Json,
            _ => return wrong("log_format", &self.log_format.origin, "must be human or json"),
        };
        for (key, Setting { value, origin }) in [
            ("max_concurrent", &self.max_concurrent),
            ("queue_max", &self.queue_max),
            (
                "workers",
                &Setting { value: self.workers.value.unwrap_or(1), origin: self.workers.origin.clone() },
            ),
        ] {
            if *value == 0 {
                return wrong(key, origin, "must be at least 1");
            }
        }
        if !(1..=SEGMENT_MIB_MAX).contains(&self.segment_mib_max.value) {
            let why = format!("must be 1 to {SEGMENT_MIB_MAX}");
            return wrong("segment_mib_max", &self.segment_mib_max.origin, &why);
        }
        let tls = match (&self.tls_cert.value, &self.tls_key.value) {
            (Some(certificates), Some(key)) => {
                Some(TlsFiles { certificates: certificates.clone(), key: key.clone() })
            }
            (None, None) => None,
            (Some(_), None) => return wrong("tls_cert", &self.tls_cert.origin, "needs tls_key beside it"),
            (None, Some(_)) => return wrong("tls_key", &self.tls_key.origin, "needs tls_cert beside it"),
        };
        if let Some(url) = &self.public_url.value
            && !is_public_url(url)
        {
            let why = "must be http:// or https:// and a host, without a path";
            return wrong("public_url", &self.public_url.origin, why);
        }
        let proxies = self.trusted_proxy.value.as_deref().unwrap_or_default().split(',').map(str::trim);
        let trusted_proxies = proxies.filter(|proxy| !proxy.is_empty()).map(str::parse::<AddressRange>);
        let trusted_proxies = match trusted_proxies.collect() {
            Ok(proxies) => proxies,
            Err(error) => {
                return wrong("trusted_proxy", &self.trusted_proxy.origin, &format!("is wrong: {error}"));
            }
        };
        // As browsers compare origins: a path, or a quote from nowhere, would open the policy to more than was meant.
        if let Some(origin) = self.embed_origin.value.iter().find(|origin| !is_public_url(origin)) {
            let why = format!("must be http:// or https:// and a host, without a path; `{origin}` is not");
            return wrong("embed_origin", &self.embed_origin.origin, &why);
        }
        let embed_origins = self.embed_origin.value.iter();
        let embed_origins = embed_origins.map(|origin| origin.trim_end_matches('/').to_owned()).collect();
        let limits = self.limits.iter().map(|(name, limit)| (name.clone(), json!(limit.value)));
        let limits: Limits = serde_json::from_value(Value::Object(limits.collect()))
            .map_err(|error| Failure::usage(format!("a limit is out of range: {error}")))?;
        let cluster = self.check_cluster()?;
        // Voters and other servers come from elsewhere.
        let listen = match (&cluster, &self.listen.origin) {
            (Some(_), Origin::Default) => SocketAddr::from(([0, 0, 0, 0], self.listen.value.port())),
            _ => self.listen.value,
        };
        Ok(Config {
            data: self.data.value.clone(),
            listen,
            cluster,
            server: ServerConfig {
                tls,
                base_url: self.public_url.value.as_deref().map(|url| url.trim_end_matches('/').to_owned()),
                trusted_proxies,
                embed_origins,
                zmq: self.zmq.value.as_deref().and_then(zmq_address),
                workers: self.workers.value,
                limits,
                ..ServerConfig::plain()
            },
            log: self.log.value.clone(),
            log_form,
            max_concurrent: self.max_concurrent.value,
            queue_max: self.queue_max.value,
            segment_bytes_max: self.segment_mib_max.value << 20,
            snapshot_every_ballots: self.snapshot_every_ballots.value,
        })
    }
}

impl Settings {
    fn check_cluster(&self) -> Result<Option<ClusterSettings>, Failure> {
        let wrong = |key: &str, origin: &Origin, why: &str| {
            Failure::usage(format!("setting `{key}` {why} (from: {origin})"))
        };
        let Some(name) = &self.cluster.value else {
            let lonely = [
                ("node_listen", self.node_listen.value.is_some(), &self.node_listen.origin),
                ("node_address", self.node_address.value.is_some(), &self.node_address.origin),
                ("expect", self.expect.value.is_some(), &self.expect.origin),
                ("seeds", !self.seeds.value.is_empty(), &self.seeds.origin),
            ];
            return match lonely.into_iter().find(|(_, is_set, _)| *is_set) {
                Some((key, _, origin)) => {
                    Err(wrong(key, origin, "is for a cluster's server: name the cluster with --cluster NAME"))
                }
                None => Ok(None),
            };
        };
        let name: ClusterName = name
            .parse()
            .map_err(|error| wrong("cluster", &self.cluster.origin, &format!("cannot be used: {error}")))?;
        let beacons = match self.discovery.value.as_deref() {
            None | Some("lan") => true,
            Some("off") => false,
            Some(_) => return Err(wrong("discovery", &self.discovery.origin, "must be lan or off")),
        };
        if self.expect.value.is_some_and(|expect| !(1..=MEMBERS_MAX).contains(&expect)) {
            let why = format!("must be 1 to {MEMBERS_MAX}");
            return Err(wrong("expect", &self.expect.origin, &why));
        }
        let addresses = self.seeds.value.iter().chain(&self.node_address.value);
        if let Some(address) = addresses.into_iter().find(|address| !is_host_and_port(address)) {
            let why = format!("must be HOST:PORT; `{address}` is not");
            return Err(wrong("seeds", &self.seeds.origin, &why));
        }
        let standard = || {
            let port = self.listen.value.port().checked_add(1).unwrap_or(DEFAULT_PORT + 1);
            let ip = match self.listen.origin {
                Origin::Default => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
                _ => self.listen.value.ip(),
            };
            SocketAddr::new(ip, port)
        };
        Ok(Some(ClusterSettings {
            name,
            node_listen: self.node_listen.value.unwrap_or_else(standard),
            node_address: self.node_address.value.clone(),
            expect: self.expect.value,
            seeds: self.seeds.value.clone(),
            beacons,
            prefer_highest: self.prefer_highest.value,
            time_sync_seconds: self.time_sync_interval.value.clamp(1, 3_600),
        }))
    }
}

fn is_host_and_port(address: &str) -> bool {
    let Some((host, port)) = address.rsplit_once(':') else { return false };
    !host.is_empty() && address.len() <= MEMBER_ADDRESS_BYTES_MAX && port.parse::<u16>().is_ok()
}

/// `off` is none, `ADDR:PORT` means TCP.
pub fn zmq_address(text: &str) -> Option<String> {
    match text {
        "off" | "" => None,
        text if text.contains("://") => Some(text.to_owned()),
        text => Some(format!("tcp://{text}")),
    }
}

pub fn is_public_url(url: &str) -> bool {
    let rest = ["http://", "https://"].iter().find_map(|scheme| url.strip_prefix(scheme));
    let host = rest.map(|rest| rest.strip_suffix('/').unwrap_or(rest)).unwrap_or_default();
    !host.is_empty() && !host.contains(['/', '?', '#', ' ', '@', ';', ',', '\'', '"', '*'])
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
        let path = Path::new("hustings.toml");
        let limits = settle_limits(&[], Origin::Flag, file.limits.as_ref(), path).expect("good limits");
        Settings::merge(given, from, file, path, limits)
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
    fn limits_come_from_the_file_and_from_flags() {
        let settings = merged(RawConfig::default(), "[limits]\nballot_bytes_max = 1000\n");
        let config = settings.check().expect("good");
        assert_eq!(config.server.limits, Limits { ballot_bytes_max: 1_000, ..Limits::STANDARD });

        let message = |given: &str| {
            let error = settle_limits(&[given.to_owned()], Origin::Flag, None, Path::new("x"));
            error.expect_err("is refused").message
        };
        assert_eq!(message("ballots"), "`ballots` is not NAME=VALUE");
        assert_eq!(message("votes_max=1"), "there is no limit `votes_max` (flag)");
        assert_eq!(
            message("ballot_bytes_max=many"),
            "limit `ballot_bytes_max` = many is not a whole number (flag)"
        );
    }

    #[test]
    fn a_value_that_cannot_be_used_is_named_with_its_origin() {
        let message = |file: &str| merged(RawConfig::default(), file).check().expect_err(file).message;
        assert_eq!(
            message("log_format = \"xml\""),
            "setting `log_format` must be human or json (from: file hustings.toml)"
        );
        assert_eq!(
            message("max_concurrent = 0"),
            "setting `max_concurrent` must be at least 1 (from: file hustings.toml)"
        );
        assert_eq!(
            message("tls_key = \"k\""),
            "setting `tls_key` needs tls_cert beside it (from: file hustings.toml)"
        );
        assert_eq!(
            message("public_url = \"vote.example.org\""),
            "setting `public_url` must be http:// or https:// and a host, without a path (from: file hustings.toml)"
        );
        assert_eq!(
            message("embed_origin = [\"https://a.example\", \"https://b.example; script-src *\"]"),
            "setting `embed_origin` must be http:// or https:// and a host, without a path; \
             `https://b.example; script-src *` is not (from: file hustings.toml)"
        );
        assert!(message("trusted_proxy = \"10.0.0.0/8, me\"").contains("`me` is not an address"));
        assert!(message("[limits]\nheartbeat_seconds = 99999999999").starts_with("a limit is out of range"));
    }

    #[test]
    fn a_missing_file_is_no_mistake() {
        assert!(read_file(Path::new("/nonexistent/hustings.toml")).expect("fine").is_none());
    }
}
