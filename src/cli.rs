//! The command line: options and their defaults.

use std::fmt;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use anyhow::{Context, bail, ensure};
use bytesize::ByteSize;
use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use humantime::parse_rfc3339_weak;

use crate::address::{ListenAddress, ServerList};
use crate::fingerprint::Fingerprint;
use crate::log::nats::NatsPlace;

/// The default address of both halves.
const DEFAULT_ADDRESS: &str = "127.0.0.1:7777";

/// The longest time that an option may have: sums of several such times do not overflow.
const LONGEST: Duration = Duration::from_secs(100 * 366 * 24 * 60 * 60);

/// A small real-time chat over TCP.
#[derive(Debug, Parser)]
#[command(
    version,
    about,
    max_term_width = 100,
    args_override_self = true,
    after_help = "`nc HOST 7777` is a full client, too: its first line is a name."
)]
pub struct Cli {
    /// Which half to run.
    #[command(subcommand)]
    pub half: Half,
}

/// The two halves of the chat, and what helps with them.
#[derive(Debug, Subcommand)]
#[allow(clippy::large_enum_variant)] // There is only one of it.
pub enum Half {
    /// Run a room: everyone who connects reads every line, in one order
    Server(ServerArgs),
    /// Join a room and talk
    Client(ClientArgs),
    /// Print what was said in a room whose server keeps it in a file
    Log(LogArgs),
    /// Print completions for a shell: what Tab offers behind `gotcp`
    Completions {
        /// Which shell
        #[arg(value_name = "SHELL")]
        shell: Shell,
    },
    /// Print the manual page, or that of one half
    Man {
        /// Which half
        #[arg(value_name = "HALF", value_parser = ["server", "client", "log"])]
        half: Option<String>,
    },
}

/// Options of the server.
#[derive(Clone, Debug, Args)]
#[allow(clippy::struct_excessive_bools)] // Each is a switch of the command line.
pub struct ServerArgs {
    /// Address to listen on; HOST alone means port 7777, a port alone every address of this machine
    #[arg(long, value_name = "HOST:PORT", env = "GOTCP_LISTEN", default_value = DEFAULT_ADDRESS)]
    pub listen: ListenAddress,

    /// Connections at a time; further ones are told that the server is full
    #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub max_clients: u32,

    /// Connections from one address (IPv6: one /64) at a time [default: 256, and loopback is exempt]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub max_per_ip: Option<u32>,

    /// Time to send a name
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = positive_duration)]
    pub login_timeout: Duration,

    /// Time that a reader may take nothing while lines wait for it
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = positive_duration)]
    pub stall_timeout: Duration,

    /// Time that a name is kept for someone whose connection broke
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = duration)]
    pub grace: Duration,

    /// Time that a name is kept for someone with a session who has left; 0s: not at all
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = duration)]
    pub reserve: Duration,

    /// Lines that a newcomer is shown of what was said before
    #[arg(long, value_name = "LINES", default_value_t = 20)]
    pub history: usize,

    /// What the server keeps of what was said, for slow readers and returning ones
    #[arg(long, value_name = "SIZE", default_value = "8MiB")]
    pub scrollback: ByteSize,

    /// Longest line, in bytes, its end included
    #[arg(long, value_name = "BYTES", default_value_t = 65_536, value_parser = clap::value_parser!(u32).range(16..=16_777_216))]
    pub max_line: u32,

    /// Lines a second that one sender may send; 0: no limit
    #[arg(long, value_name = "LINES", default_value_t = 20)]
    pub rate: u32,

    /// Lines that one sender may send at once before --rate applies
    #[arg(long, value_name = "LINES", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..))]
    pub burst: u32,

    /// Where the room is kept: in memory; in FILE, so that it survives its server; or in NATS, so that several servers
    /// share it
    #[arg(
        long,
        value_name = "memory|FILE|nats://HOST/ROOM",
        env = "GOTCP_LOG",
        hide_env_values = true,
        default_value = "memory",
        value_parser = log_place
    )]
    pub log: LogPlace,

    /// How long a log that lasts keeps what was said, and sessions that nobody comes back to
    #[arg(long, value_name = "TIME", default_value = "30d", value_parser = positive_duration)]
    pub keep: Duration,

    /// The longest that a line waits for others, to be sent together with them; 0s: never
    #[arg(long, value_name = "TIME", default_value = "20ms", value_parser = duration)]
    pub gather: Duration,

    /// Whether TLS is spoken, on the same port: off, offered (plain text as well), or required
    #[arg(long, value_name = "off|offered|required", value_enum, default_value_t = TlsMode::Off, hide_possible_values = true)]
    pub tls: TlsMode,

    /// Certificate for TLS, as PEM; without it, one is made at the first start and kept
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    pub tls_cert: Option<PathBuf>,

    /// The private key of --tls-cert, as PEM
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    pub tls_key: Option<PathBuf>,

    /// File whose first line has to be said to come in; taken over TLS, or from this machine
    #[arg(long, value_name = "FILE")]
    pub password_file: Option<PathBuf>,

    /// File whose first line makes whoever says it an operator, with !operator
    #[arg(long, value_name = "FILE")]
    pub operator_password_file: Option<PathBuf>,

    /// Address on which figures for Prometheus are served, at /metrics
    #[arg(long, value_name = "HOST:PORT")]
    pub metrics: Option<ListenAddress>,

    /// Whether browsers may join, on the same port: http://HOST:PORT is a page to talk on
    #[arg(long)]
    pub web: bool,

    /// Names by which browsers may call the server, apart from addresses and localhost
    #[arg(long, value_name = "NAME[,NAME…]", value_delimiter = ',', requires = "web", value_parser = host_name)]
    pub web_host: Vec<String>,

    /// Time to deliver what is still owed when the server is stopped
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = duration)]
    pub drain: Duration,

    /// File to write the conversation to; newcomers' history is read back from it after a restart
    #[arg(long, value_name = "FILE", value_parser = file_name)]
    pub transcript: Option<PathBuf>,

    /// Begin each line of the console with the time, even on a terminal
    #[arg(long)]
    pub log_time: bool,

    /// Say less on the console: -q leaves out what was said, -qq all but trouble
    #[arg(short, action = clap::ArgAction::Count)]
    pub quiet: u8,
}

impl ServerArgs {
    /// Whether the server speaks with nobody in plain text.
    #[must_use]
    pub fn is_tls_required(&self) -> bool {
        self.tls == TlsMode::Required
    }
}

/// Options of the client.
#[derive(Clone, Debug, Args)]
#[allow(clippy::struct_excessive_bools)] // Each is a switch of the command line.
pub struct ClientArgs {
    /// Server to join, over TLS with tls:// before it, or several that show the same room; HOST alone means port 7777
    #[arg(long, value_name = "[tls://]HOST:PORT[,…]", env = "GOTCP_SERVER", default_value = DEFAULT_ADDRESS)]
    pub server: ServerList,

    /// The key that the server must have, or each of several, as it prints it: TLS with this one only, from now on
    #[arg(long, value_name = "SHA256:KEY")]
    pub pin: Option<Fingerprint>,

    /// File whose first line is the room's password; else it is in the environment (`GOTCP_PASSWORD`), or asked for
    #[arg(long, value_name = "FILE")]
    pub password_file: Option<PathBuf>,

    /// Your name; asked for if it is absent
    #[arg(long, value_name = "NAME", env = "GOTCP_USERNAME")]
    pub username: Option<String>,

    /// Join as NAME alone, without `#` and six random digits after it
    #[arg(long)]
    pub no_tag: bool,

    /// End when the connection breaks instead of coming back
    #[arg(long)]
    pub no_reconnect: bool,

    /// Come anew: forget the session that was kept from the last time
    #[arg(long)]
    pub new: bool,

    /// In a pipe: print what was said before you came, too
    #[arg(long)]
    pub history: bool,

    /// At the prompt: recall nothing of what you sent in earlier sessions, and keep nothing for later ones
    #[arg(long)]
    pub no_history: bool,

    /// Never ring the bell, and show no notice on the desktop
    #[arg(long)]
    pub no_bell: bool,

    /// Whether to use colours
    #[arg(long, value_name = "WHEN", value_enum, default_value_t = When::Auto)]
    pub color: When,

    /// Exit with 0 if a server answers there, or one of several, without joining
    #[arg(long)]
    pub probe: bool,
}

/// Options of `gotcp log`.
#[derive(Clone, Debug, Args)]
pub struct LogArgs {
    /// The file of the server's --log
    #[arg(value_name = "FILE", value_parser = file_name)]
    pub file: PathBuf,

    /// Only what was said since then: a time (2026-11-27T21:04:05Z), a day (2026-11-27), both UTC, or so long ago (2h)
    #[arg(long, value_name = "TIME", value_parser = since)]
    pub since: Option<Duration>,

    /// Go on printing what is said from now on
    #[arg(long, short)]
    pub follow: bool,
}

/// Where the log of the room is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogPlace {
    /// In memory: it ends with the server.
    Memory,
    /// In a file.
    File(PathBuf),
    /// In NATS, where several servers share it.
    Nats(NatsPlace),
}

/// Whether a server speaks TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum TlsMode {
    /// No
    Off,
    /// To those who do
    Offered,
    /// To everyone
    Required,
}

/// When to do something that depends on where the output goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum When {
    /// Where the output is a terminal that can, and `NO_COLOR` is not set
    Auto,
    /// In any case
    Always,
    /// Not at all
    Never,
}

fn host_name(text: &str) -> anyhow::Result<String> {
    let is_in_name = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
    ensure!(
        !text.is_empty() && text.chars().all(is_in_name),
        "it must be a name like chat.example.org, without a port"
    );
    Ok(text.to_owned())
}

fn file_name(text: &str) -> anyhow::Result<PathBuf> {
    ensure!(!text.contains("://"), "it must be the name of a file, not an address");
    Ok(text.into())
}

fn log_place(text: &str) -> anyhow::Result<LogPlace> {
    ensure!(!text.is_empty(), "it must be `memory`, the name of a file, or nats://HOST/ROOM");
    Ok(match text {
        "memory" => LogPlace::Memory,
        _ if text.contains("://") => LogPlace::Nats(text.parse()?),
        // An address whose scheme was forgotten, perhaps with a password in it.
        _ if text.contains('@') && text.contains(':') && !text.starts_with(['.', '/']) => {
            bail!("an address begins with nats://, and a file with such a name with ./")
        }
        _ => LogPlace::File(text.into()),
    })
}

/// A moment, as the time since the UNIX epoch.
fn since(text: &str) -> anyhow::Result<Duration> {
    let moment = match humantime::parse_duration(text) {
        Ok(ago) => SystemTime::now().checked_sub(ago),
        Err(_) => parse_rfc3339_weak(text).or_else(|_| parse_rfc3339_weak(&format!("{text} 00:00:00"))).ok(),
    };
    let moment = moment
        .context("it must be a time like 2026-11-27T21:04:05Z, a day like 2026-11-27, or so long ago, like 2h")?;
    Ok(moment.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default())
}

fn duration(text: &str) -> anyhow::Result<Duration> {
    let duration = humantime::parse_duration(text)?;
    ensure!(duration <= LONGEST, "it must not be longer than a hundred years");
    Ok(duration)
}

fn positive_duration(text: &str) -> anyhow::Result<Duration> {
    let duration = duration(text)?;
    ensure!(!duration.is_zero(), "it must be longer than 0s");
    Ok(duration)
}

/// A mistake on the command line that shows only when its options are taken together.
#[derive(Debug)]
pub struct WrongUsage(pub String);

impl fmt::Display for WrongUsage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for WrongUsage {}
