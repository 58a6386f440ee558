//! What the operator asks of a running server.

#[cfg(unix)]
pub use unix::{Signals, survive_file_size_limit};
#[cfg(not(unix))]
pub use windows::{Signals, survive_file_size_limit};

/// What can be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request {
    /// Stop: SIGINT, SIGTERM, or Ctrl-C.
    Stop,
    /// Stop, because the terminal was closed. This may come several times: the kernel and the shell both send it.
    HangUp,
    /// Open the transcript again, because the file was moved away, and load the certificate anew: SIGHUP to a server
    /// without a terminal.
    Reload,
}

#[cfg(unix)]
mod unix {
    use std::io::{self, IsTerminal};
    use std::sync::Arc;

    use mio::{Interest, Registry, Token};
    use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGXFSZ};

    use super::Request;

    /// Signals, as a source of events.
    pub struct Signals {
        pending: signal_hook_mio::v1_0::Signals,
        hang_up: Request,
    }

    /// From now on a write beyond the limit on the size of a file (`ulimit -f`) is an ordinary error. By default it would
    /// end the process.
    ///
    /// # Errors
    /// Where the system refuses.
    pub fn survive_file_size_limit() -> io::Result<()> {
        // Only the presence of the handler matters; nobody reads the flag.
        signal_hook::flag::register(SIGXFSZ, Arc::default()).map(drop)
    }

    impl Signals {
        /// From now on the signals arrive here. Whether the input is a terminal is checked now: once it is closed, it
        /// is no terminal any more.
        ///
        /// # Errors
        /// Where the system has no file descriptor left for them.
        pub fn register(registry: &Registry, token: Token) -> io::Result<Signals> {
            let mut pending = signal_hook_mio::v1_0::Signals::new([SIGINT, SIGTERM, SIGHUP])?;
            registry.register(&mut pending, token, Interest::READABLE)?;
            let hang_up = if io::stdin().is_terminal() { Request::HangUp } else { Request::Reload };
            Ok(Signals { pending, hang_up })
        }

        /// What was asked since this was called last.
        pub fn requests(&mut self) -> impl Iterator<Item = Request> {
            let hang_up = self.hang_up;
            self.pending.pending().map(move |signal| if signal == SIGHUP { hang_up } else { Request::Stop })
        }
    }
}

#[cfg(not(unix))]
mod windows {
    use std::io;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use mio::{Registry, Token, Waker};

    use super::Request;

    /// Ctrl-C and its like, which come on a thread of their own.
    #[derive(Debug)]
    pub struct Signals(Arc<AtomicUsize>);

    /// There is no such limit here.
    ///
    /// # Errors
    /// None.
    #[allow(clippy::unnecessary_wraps)] // Elsewhere it may fail.
    pub fn survive_file_size_limit() -> io::Result<()> {
        Ok(())
    }

    impl Signals {
        /// From now on they arrive here.
        ///
        /// # Errors
        /// Where the system refuses.
        pub fn register(registry: &Registry, token: Token) -> io::Result<Signals> {
            let waker = Waker::new(registry, token)?;
            let count = Arc::new(AtomicUsize::new(0));
            let counter = Arc::clone(&count);
            let handler = move || {
                counter.fetch_add(1, Ordering::Relaxed);
                let _ = waker.wake();
            };
            ctrlc::set_handler(handler).map_err(io::Error::other)?;
            Ok(Signals(count))
        }

        /// What was asked since this was called last.
        pub fn requests(&mut self) -> impl Iterator<Item = Request> {
            let count = self.0.swap(0, Ordering::Relaxed);
            std::iter::repeat_n(Request::Stop, count)
        }
    }
}
