//! The server: one thread, one loop, and the only place that knows mio.
//!
//! The lobby keeps every promise of the server; this module carries bytes between it and the sockets. `Server::turn` is
//! one turn of the loop; read it first.

mod background;
mod clock;
pub mod connection;
mod console;
pub mod deadlines;
mod journal;
mod listener;
mod metrics;
pub mod reactor;
mod signals;
pub mod slots;
mod terminal;
mod transcript;
pub mod transport;

use std::io;
use std::path::Path;
use std::process::ExitCode;
use std::rc::Rc;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use anyhow::{Context, ensure};
use bytesize::ByteSize;
use mio::{Events, Poll, Registry, Token, Waker};

use crate::cli::{LogPlace, ServerArgs, TlsMode, WrongUsage};
use crate::lobby::access::AccessLimits;
use crate::lobby::limits::{Limits, MAX_TURNED_AWAY, SHARED_MAX_LINE, SHARED_SCROLLBACK};
use crate::lobby::rate_limit::Rate;
use crate::lobby::secret::{Keys, Secret};
use crate::password;
use crate::room::place::Place;
use clock::Clock;
use console::Console;
use journal::Journal;
use listener::Listener;
use metrics::Metrics;
use reactor::Reactor;
use signals::{Request, Signals, survive_file_size_limit};
use terminal::Terminal;
use transcript::Transcript;

use transport::Transport;
use transport::tls::{Terms, Tls, certificate};
use transport::web::Web;
use transport::web::http::Policy;

const LISTENER: Token = Token(usize::MAX);
const SIGNALS: Token = Token(usize::MAX - 1);
/// Another thread has something for the loop: the log, or the terminal.
const WAKE: Token = Token(usize::MAX - 2);

/// The most that one connection is read in one turn, in bytes.
const READ_BUDGET: usize = 64 * 1024;
/// How many connections are accepted in one turn at most, so that a crowd of them does not keep the others waiting.
const ACCEPT_BUDGET: usize = 1024;
/// Descriptors that are not connections: standard streams, the poll, the listener, signals, the transcript.
const OTHER_DESCRIPTORS: usize = 16;
/// The default of `--max-per-ip`. This machine is exempt from the default.
const DEFAULT_PER_PLACE: usize = 256;
/// How long one poll waits at most.
const LONGEST_WAIT: Duration = Duration::from_secs(60 * 60);
/// How long the console may take for its last lines at the end; the transcript has at least as long.
const PATIENCE: Duration = Duration::from_secs(1);

/// Runs a server until it is told to stop.
///
/// # Errors
/// Says what keeps the server from starting.
pub fn run(args: &ServerArgs) -> anyhow::Result<ExitCode> {
    let mut server = Server::new(args)?;
    let code = loop {
        if let Some(code) = server.turn()? {
            break code;
        }
    };
    server.finish();
    Ok(code)
}

struct Server {
    poll: Poll,
    events: Events,
    signals: Signals,
    /// `None` once the server is stopping.
    listener: Option<Listener>,
    registry: Rc<Registry>,
    reactor: Reactor<Transport>,
    /// The terms for TLS, and where the certificate is from, if it is spoken.
    tls: Option<(Rc<Terms>, certificate::Files)>,
    /// What browsers may do, if they may do anything.
    web: Option<Rc<Policy>>,
    console: Console,
    /// What monitoring asks, if it may.
    metrics: Option<Metrics>,
    /// Where the operator types, if there is a terminal.
    terminal: Option<Terminal>,
    transcript: Option<Transcript>,
    /// The room's log, if it is not in memory.
    journal: Option<Journal>,
    clock: Clock,
    drain: Duration,
    /// Once it is stopping: when it ends, even if not everything is delivered.
    stop_at: Option<Duration>,
}

impl Server {
    fn new(args: &ServerArgs) -> anyhow::Result<Server> {
        ensure!(
            args.tls != TlsMode::Off || args.tls_cert.is_none(),
            WrongUsage("--tls-cert is for a server with --tls offered or --tls required".into())
        );
        getrandom::u64().context("cannot get random bits")?;
        survive_file_size_limit().context("cannot handle signals")?;
        let mut console = Console::new(args.quiet, args.log_time).context("cannot start the console")?;
        let clients = descriptors_for(args.max_clients as usize, &mut console);
        let limits = limits(args, clients)?;
        let poll = Poll::new().context("cannot wait for events")?;
        let waker = Arc::new(Waker::new(poll.registry(), WAKE).context("cannot wait for other threads")?);
        let wake = move || waker.wake().expect("a waker needs no memory and no descriptor");
        let terminal = Terminal::open(wake.clone()).context("cannot read from the terminal")?;
        let (journal, mut lobby, clock) = journal::open(args, limits, Box::new(random), wake.clone(), &mut console)?;
        // What was said before is in the log, if there is one.
        let history = if journal.is_some() { 0 } else { args.history };
        let transcript = args.transcript.as_deref().map(|path| {
            let transcript = Transcript::open(path, &mut lobby, history);
            transcript.with_context(|| format!("cannot open the transcript {}", path.display()))
        });
        let transcript = transcript.transpose()?;
        let tls = (args.tls != TlsMode::Off).then(|| certificate_files(args)).transpose()?;
        let tls = tls.map(|files| {
            let (config, fingerprint) = files.load()?;
            anyhow::Ok((Terms::new(config), files, fingerprint))
        });
        let tls = tls.transpose()?;
        let mut listener = Listener::bind(&args.listen, args.stall_timeout)?;
        listener.register(poll.registry(), LISTENER).context("cannot wait for connections")?;
        let signals = Signals::register(poll.registry(), SIGNALS).context("cannot wait for signals")?;
        let registry = Rc::new(poll.registry().try_clone().context("cannot wait for events")?);
        let address = listener.local_address()?;
        console.status(format_args!("listening on {address}"));
        let reachable: Vec<String> = listener::reachable_at(address).iter().map(ToString::to_string).collect();
        if !reachable.is_empty() {
            console.status(format_args!("others reach it at {}", reachable.join(", ")));
        }
        if args.web {
            let scheme = if args.tls == TlsMode::Off { "http" } else { "https" };
            let places = if reachable.is_empty() { &[address.to_string()][..] } else { &reachable };
            let places: Vec<String> = places.iter().map(|place| format!("{scheme}://{place}")).collect();
            console.status(format_args!("browsers join at {}", places.join(", ")));
        }
        let log = if let LogPlace::File(path) = &args.log { Some(path.clone()) } else { None };
        let metrics = args.metrics.as_ref().map(|address| Metrics::serve(address, log, wake)).transpose()?;
        if let Some((_, address)) = &metrics {
            console.status(format_args!("metrics are at http://{address}/metrics"));
        }
        if let Some((_, _, fingerprint)) = &tls {
            console.status(format_args!("its key is {fingerprint}"));
        }
        if !address.ip().to_canonical().is_loopback() {
            if args.tls == TlsMode::Off {
                console.status(format_args!("whoever is on the way can read what is said; --tls offered changes that"));
            }
            if args.password_file.is_none() {
                console.status(format_args!("whoever reaches it can come in; --password-file changes that"));
            }
        }
        Ok(Server {
            poll,
            // As many as there can be, so that one poll returns every event: deadlines rely on it.
            events: Events::with_capacity(clients + MAX_TURNED_AWAY + 2),
            signals,
            listener: Some(listener),
            registry,
            reactor: Reactor::new(lobby, READ_BUDGET, args.gather, args.stall_timeout),
            tls: tls.map(|(terms, files, _)| (terms, files)),
            web: args
                .web
                .then(|| Rc::new(Policy { hosts: args.web_host.clone(), is_tls_required: args.is_tls_required() })),
            console,
            metrics: metrics.map(|(metrics, _)| metrics),
            terminal,
            transcript,
            journal,
            clock,
            drain: args.drain,
            stop_at: None,
        })
    }

    /// Runs one turn of the loop. Returns the exit code once the server is to end.
    fn turn(&mut self) -> anyhow::Result<Option<ExitCode>> {
        let looked_at = self.clock.now();
        self.poll(looked_at).context("cannot wait for events")?;
        let now = self.clock.now();
        let mut code = self.dispatch(now);
        if let Some(journal) = &mut self.journal {
            journal.apply(&mut self.reactor.lobby, now)?;
            self.clock.catch_up(self.reactor.lobby.room().now());
        }
        self.accept(now);
        self.obey(now);
        if let Some(metrics) = &self.metrics {
            metrics.answer(|| self.reactor.lobby.stats());
        }
        self.reactor.turn(looked_at, now);
        self.report(now);
        if let Some(journal) = &mut self.journal {
            journal.submit(&mut self.reactor.lobby, now, &mut self.console);
        }
        self.reactor.reap(looked_at, drop);
        let is_delivered = self.reactor.is_empty() && !self.journal.as_ref().is_some_and(Journal::is_behind);
        if self.stop_at.is_some_and(|at| at <= now || is_delivered) {
            code = code.or(Some(ExitCode::SUCCESS));
        }
        Ok(code)
    }

    /// Waits for events until the nearest deadline.
    fn poll(&mut self, now: Duration) -> io::Result<()> {
        // A deadline may be further away than the longest timeout of the system call.
        let timeout = self.wake_at(now).map(|at| at.saturating_sub(now).min(LONGEST_WAIT));
        match self.poll.poll(&mut self.events, timeout) {
            // After this, `events` still has those of an earlier poll.
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {
                self.events.clear();
                Ok(())
            }
            outcome => outcome,
        }
    }

    /// When the next turn has to begin even if nothing happens.
    fn wake_at(&mut self, now: Duration) -> Option<Duration> {
        let console = self.console.wake_at(now);
        let transcript = self.transcript.as_ref().and_then(|transcript| transcript.wake_at(now));
        let journal = self.journal.as_ref().and_then(|journal| journal.wake_at(now));
        let accepting = self.listener.as_ref().and_then(Listener::wake_at);
        [self.reactor.wake_at(now), console, transcript, journal, accepting, self.stop_at].into_iter().flatten().min()
    }

    /// Notes what the events say. A second request to stop ends the server at once.
    fn dispatch(&mut self, now: Duration) -> Option<ExitCode> {
        let mut stops = 0;
        for event in &self.events {
            match event.token() {
                // It was only to wake the loop.
                WAKE => {}
                LISTENER => self.listener.iter_mut().for_each(Listener::note),
                SIGNALS => {
                    for request in self.signals.requests() {
                        match request {
                            Request::Stop => stops += 1,
                            Request::HangUp if self.stop_at.is_none() => stops = stops.max(1),
                            Request::HangUp => {}
                            Request::Reload => {
                                self.transcript.iter_mut().for_each(Transcript::reopen);
                                reload(self.tls.as_ref(), &mut self.console);
                            }
                        }
                    }
                }
                token => {
                    let readable = event.is_readable() || event.is_read_closed() || event.is_error();
                    let writable = event.is_writable() || event.is_write_closed();
                    self.reactor.note(token, readable, writable);
                }
            }
        }
        if stops > 0 && self.stop_at.is_none() {
            self.stop(now);
            stops -= 1;
        }
        if stops > 0 {
            self.stop_at = Some(now);
            return Some(ExitCode::FAILURE);
        }
        None
    }

    /// Begins to stop: nobody is let in any more, everybody is told, and what is still to be sent is delivered.
    fn stop(&mut self, now: Duration) {
        self.listener = None;
        self.stop_at = Some(now + self.drain);
        self.reactor.lobby.shut_down(now);
        self.console.status(format_args!("shutting down; {} connections to end", self.reactor.len()));
    }

    /// Does what is typed at the terminal.
    fn obey(&mut self, now: Duration) {
        let lobby = &mut self.reactor.lobby;
        while lobby.has_room_for_console()
            && let Some(line) = self.terminal.as_mut().and_then(Terminal::next)
        {
            lobby.handle_console(&line, now);
        }
    }

    fn accept(&mut self, now: Duration) {
        let Some(listener) = &mut self.listener else { return };
        for _ in 0..ACCEPT_BUDGET {
            match listener.accept(now) {
                Ok(Some(peer)) => {
                    let (place, registry) = (Place::of(peer.address().ip()), &self.registry);
                    let terms = self.tls.as_ref().map(|(terms, _)| terms);
                    let web = self.web.as_ref();
                    let open = |token| Ok(Web::new(Tls::new(peer.register(registry, token)?, terms), web));
                    if let Err((peer, error)) = self.reactor.admit(place, now, open) {
                        self.console.trouble(format_args!("cannot take in {}: {error}", peer.address()));
                    }
                }
                Ok(None) => return,
                Err(error) => {
                    self.console.trouble(format_args!("cannot accept connections for now: {error}"));
                    return;
                }
            }
        }
    }

    /// Tells the operator what happened, and the transcript what was said.
    fn report(&mut self, now: Duration) {
        let lobby = &self.reactor.lobby;
        for event in lobby.events() {
            self.console.event(event, lobby.room().scrollback(), |id| {
                self.reactor.socket(id).map(|socket| socket.inner().inner().address())
            });
        }
        if let Some(transcript) = &mut self.transcript {
            transcript.flush(self.reactor.lobby.room().scrollback(), now, &mut self.console);
            self.reactor.lobby.hold(transcript.holds_back(now));
        }
        self.reactor.lobby.clear_events();
        self.console.flush(now);
    }

    /// Ends the remaining connections, and waits for the last lines to be written: for the transcript until `--drain`
    /// is over, for the console a moment. What is not written by then is lost; if it is the transcript's, the operator
    /// is told how much.
    fn finish(&mut self) {
        self.reactor.abort();
        if let Some(journal) = self.journal.take() {
            let patience = self.stop_at.unwrap_or_default().saturating_sub(self.clock.now()).max(PATIENCE);
            journal.close(&self.reactor.lobby, patience, &mut self.console);
        }
        self.settle();
        if let Some(transcript) = &self.transcript {
            transcript.finish(self.reactor.lobby.room().scrollback(), &mut self.console);
        }
        self.transcript = None;
        self.settle();
    }

    /// Waits until console and transcript have written everything, or their time is over.
    fn settle(&mut self) {
        let patience = self.clock.now() + PATIENCE;
        let drain = self.stop_at.unwrap_or_default().max(patience);
        loop {
            let now = self.clock.now();
            self.report(now);
            let transcript = now < drain && self.transcript.as_ref().is_some_and(Transcript::is_behind);
            let console = now < patience && self.console.is_behind();
            if !transcript && !console {
                return;
            }
            thread::sleep(Duration::from_millis(1));
        }
    }
}

/// Raises the system's limit on descriptors as far as possible, and returns how many of the wanted connections it
/// leaves room for. If these are fewer, the operator is told.
fn descriptors_for(wanted: usize, console: &mut Console) -> usize {
    #[cfg(unix)]
    if let Ok(limit) = rlimit::increase_nofile_limit(u64::MAX) {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let fit = limit.saturating_sub(MAX_TURNED_AWAY + OTHER_DESCRIPTORS).max(1);
        if fit < wanted {
            console
                .trouble(format_args!("the limit of {limit} open files leaves room for {fit} of {wanted} connections"));
            return fit;
        }
    }
    #[cfg(not(unix))]
    let _ = console;
    wanted
}

/// Where the certificate is from.
fn certificate_files(args: &ServerArgs) -> anyhow::Result<certificate::Files> {
    match (&args.tls_cert, &args.tls_key) {
        (Some(certificate), Some(key)) => Ok(certificate::Files { certificate: certificate.clone(), key: key.clone() }),
        _ => certificate::Files::of_this_server(),
    }
}

/// Loads the certificate anew. If it cannot be used, the old one stays.
fn reload(tls: Option<&(Rc<Terms>, certificate::Files)>, console: &mut Console) {
    let Some((terms, files)) = tls else { return };
    match files.load() {
        Ok((config, fingerprint)) => {
            terms.replace(config);
            console.status(format_args!("loaded the certificate anew; its key is {fingerprint}"));
        }
        Err(error) => console.trouble(format_args!("the old certificate stays: {error:#}")),
    }
}

/// The password in a file.
fn secret(path: &Path) -> anyhow::Result<Secret> {
    Ok(Secret::new(&password::read(path)?))
}

fn limits(args: &ServerArgs, clients: usize) -> anyhow::Result<Limits> {
    let limits = Limits {
        scrollback: usize::try_from(args.scrollback.as_u64()).unwrap_or(usize::MAX),
        max_line: args.max_line as usize,
        history: args.history,
        rate: Rate::new(args.rate, args.burst),
        login_timeout: args.login_timeout,
        stall_timeout: args.stall_timeout,
        grace: args.grace,
        reserve: args.reserve,
        access: AccessLimits {
            clients,
            per_place: args.max_per_ip.map_or(DEFAULT_PER_PLACE, |limit| limit as usize),
            count_loopback: args.max_per_ip.is_some(),
        },
        keys: Keys {
            password: args.password_file.as_deref().map(secret).transpose()?,
            operator_password: args.operator_password_file.as_deref().map(secret).transpose()?,
            is_tls_required: args.is_tls_required(),
        },
    };
    if let LogPlace::Nats(_) = args.log {
        ensure!(
            limits.max_line <= SHARED_MAX_LINE && limits.scrollback >= SHARED_SCROLLBACK,
            WrongUsage(format!(
                "where servers share a room, --max-line is at most {SHARED_MAX_LINE}, and --scrollback at least {}",
                ByteSize::b(SHARED_SCROLLBACK as u64)
            ))
        );
    }
    let least = limits.smallest_scrollback();
    ensure!(
        limits.scrollback >= least,
        WrongUsage(format!(
            "--scrollback must be at least {} where --max-line is {}",
            ByteSize::b(least as u64),
            args.max_line
        ))
    );
    Ok(limits)
}

fn random() -> u128 {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).expect("the system has random bits; it had some at the start");
    u128::from_ne_bytes(bytes)
}
