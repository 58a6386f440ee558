//! A server as a process of its own: on its own core, with its CPU time and memory.

use std::io::{self, ErrorKind};
use std::net::{SocketAddr, TcpListener};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use core_affinity::CoreId;
use procfs::net::TcpState;
use procfs::process::Process as Info;

/// How long a server may take to listen.
const PATIENCE: Duration = Duration::from_secs(10);

/// A running server, which is killed when this is dropped.
pub struct Server {
    child: Child,
    info: Info,
    /// Where it listens.
    pub address: SocketAddr,
}

/// Resident memory of a server, in KiB.
#[derive(Clone, Copy, Debug)]
pub struct Memory {
    /// Now.
    pub now: u32,
    /// At its highest.
    pub peak: u32,
}

impl Server {
    /// Starts what `command` makes of a free address, on the last core, and waits until it listens there.
    ///
    /// Its output goes through a pipe, and is discarded at the other end.
    pub fn start(command: impl FnOnce(SocketAddr) -> Command) -> io::Result<Server> {
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let mut command = command(address);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let (ours, theirs) = cores();
        pin(theirs);
        let child = command.spawn();
        pin(ours);
        let mut child = child?;
        let mut output = child.stdout.take().expect("it is a pipe");
        thread::spawn(move || io::copy(&mut output, &mut io::sink()));
        let info = Info::new(child.id().cast_signed()).map_err(io::Error::other)?;
        let server = Server { child, info, address };
        let give_up = Instant::now() + PATIENCE;
        while !is_listening(address)? {
            if Instant::now() > give_up {
                return Err(ErrorKind::TimedOut.into());
            }
            thread::sleep(Duration::from_millis(10));
        }
        Ok(server)
    }

    /// The CPU time of all its threads.
    pub fn cpu(&self) -> io::Result<Duration> {
        let mut nanoseconds = 0;
        for task in self.info.tasks().map_err(io::Error::other)? {
            nanoseconds += task.and_then(|task| task.schedstat()).map_err(io::Error::other)?.sum_exec_runtime;
        }
        Ok(Duration::from_nanos(nanoseconds))
    }

    /// Its resident memory.
    pub fn memory(&self) -> io::Result<Memory> {
        let status = self.info.status().map_err(io::Error::other)?;
        let kib = |figure: Option<u64>| figure.and_then(|kib| u32::try_from(kib).ok()).unwrap_or(u32::MAX);
        Ok(Memory { now: kib(status.vmrss), peak: kib(status.vmhwm) })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Whether a socket listens on an address, as the system knows it. A connection would be part of the run, and ncat dies
/// of one that is gone before it is accepted.
fn is_listening(address: SocketAddr) -> io::Result<bool> {
    let sockets = procfs::net::tcp().map_err(io::Error::other)?;
    Ok(sockets.iter().any(|socket| socket.state == TcpState::Listen && socket.local_address == address))
}

/// The core for the load and the one for the server, if there are two.
fn cores() -> (Option<CoreId>, Option<CoreId>) {
    // Asked once: later it would return only the one that this thread is pinned to.
    static CORES: std::sync::OnceLock<Vec<CoreId>> = std::sync::OnceLock::new();
    match CORES.get_or_init(|| core_affinity::get_core_ids().unwrap_or_default()).as_slice() {
        [first, .., last] => (Some(*first), Some(*last)),
        _ => (None, None),
    }
}

/// Keeps this thread, and what it starts from now on, on one core.
fn pin(core: Option<CoreId>) {
    if let Some(core) = core {
        core_affinity::set_for_current(core);
    }
}
