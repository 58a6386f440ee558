//! The client: a prompt for people, a pipe for scripts.
//!
//! In reading order: [`session`] is what makes a line arrive once, without a socket or a clock; `render` is what lines
//! look like, and `wrap` where long ones end. `network` is the thread that owns a session and its connection, and makes
//! the connection again: `rounds` says at which server, and when, with the waits of `backoff`. `handle` is what the
//! other threads have of it. A `stream` is plain or TLS; `trust` judges whom it leads to, by what is `known`. `kept` is
//! the file of a session that outlives the client. `crowd` folds who come and go. `plain` is the form for pipes,
//! `terminal` the one for people, with a `prompt`. [`wanted`] is the name that the user asked for; `signals` and
//! `panics` end the program in order. `probe` only looks whether a server is there.
//!
//! ```text
//!               ┌── commands ──> Handle ──> Network ── Session ──> server
//!     user ─────┤                              │                     │
//!               └<── screen <── Renderer <─────┴── what is for people <
//! ```

mod backoff;
mod crowd;
mod handle;
mod kept;
mod known;
mod network;
mod panics;
mod plain;
mod probe;
mod prompt;
mod render;
mod rounds;
pub mod session;
mod signals;
mod stream;
mod terminal;
mod trust;
pub mod wanted;
mod wrap;

use std::env;
use std::io::{IsTerminal, stdin, stdout};
use std::process::ExitCode;

use anstream::{AutoStream, ColorChoice};

use crate::address::Address;
use crate::cli::{ClientArgs, When, WrongUsage};
use crate::password;
use crate::protocol::name::Name;
use kept::{AskedFor, Keeper};
use session::Session;
use trust::Trust;
use wanted::{Tags, parse_name};

/// What a user without a name is asked.
const NAME_QUESTION: &str = "Your name: ";

/// The environment variable that may have the room's password.
const PASSWORD_VARIABLE: &str = "GOTCP_PASSWORD";

/// Terminals that can do no more than a typewriter.
const TYPEWRITERS: [&str; 3] = ["dumb", "cons25", "emacs"];

/// Talks with the server until the user leaves.
///
/// # Errors
/// Says, in one line, what keeps the user from the room.
pub fn run(args: &ClientArgs) -> anyhow::Result<ExitCode> {
    if args.probe {
        return Ok(if probe::is_answered(args)? { ExitCode::SUCCESS } else { ExitCode::FAILURE });
    }
    let name = args.username.as_deref().map(|name| parse_name(name, !args.no_tag)).transpose();
    let name = name.map_err(|why| WrongUsage(format!("--username: {why}")))?;
    let is_typewriter = env::var("TERM").is_ok_and(|term| TYPEWRITERS.contains(&term.as_str()));
    let colors = match args.color {
        // Under continuous integration, colours would be chosen for a typewriter, too.
        When::Auto => !is_typewriter && AutoStream::choice(&stdout()) != ColorChoice::Never,
        When::Always => true,
        When::Never => false,
    };
    panics::silence();
    // A prompt needs to read keys and to draw.
    let has_screen = stdin().is_terminal() && stdout().is_terminal() && !is_typewriter;
    let form = if has_screen { terminal::run } else { plain::run };
    panics::catch(|| form(args, name, colors))
}

/// A server, as the network thread knows it.
struct Server {
    address: Address,
    /// Whom to trust there, if TLS is spoken.
    trust: Option<Trust>,
    /// Whether it was somebody else the last time.
    is_mistrusted: bool,
}

/// What it takes to begin.
struct Start {
    /// Those that show the room.
    servers: Vec<Server>,
    /// The one that was kept, or a new one.
    session: Session,
    /// Where it is kept from now on.
    keeper: Option<Keeper>,
    /// What to tell the user about that.
    trouble: Option<String>,
}

impl Start {
    /// For somebody who wants to be called `name`.
    fn new(name: Name, args: &ClientArgs) -> anyhow::Result<Start> {
        let trust = Trust::open(&args.server, args.pin)?;
        let server = |(address, trust)| Server { address, trust, is_mistrusted: false };
        let servers = args.server.addresses.iter().cloned().zip(trust).map(server).collect();
        let asked_for = AskedFor { name: name.as_str().into(), is_tagged: !args.no_tag };
        let tags: Option<Tags> = (!args.no_tag).then(|| -> Tags { Box::new(random) });
        let mut session = Session::new(name, tags);
        let (keeper, kept, trouble) = match Keeper::open(&args.server.room(), asked_for, args.new) {
            Ok(Some((keeper, kept))) => (Some(keeper), kept, None),
            Ok(None) => (None, None, None),
            Err(error) => (None, None, Some(format!("you come anew, and your session is not kept: {error}"))),
        };
        session.use_password(password_given(args)?);
        if keeper.is_some() {
            session.keep(kept.map(|kept| (kept.name, kept.token, kept.position)));
        }
        Ok(Start { servers, session, keeper, trouble })
    }
}

/// The password that the user has given along.
fn password_given(args: &ClientArgs) -> anyhow::Result<Option<String>> {
    let Some(file) = &args.password_file else {
        return Ok(env::var(PASSWORD_VARIABLE).ok().filter(|word| !word.is_empty()));
    };
    password::read(file).map(Some)
}

/// Bits by chance. Where the system has none to give, tags are not tried twice and waits are not drawn out: no harm.
fn random() -> u32 {
    getrandom::u32().unwrap_or_default()
}
