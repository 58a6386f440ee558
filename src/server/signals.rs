//! What the operator asks of a running server.

#[cfg(unix)]
pub use unix::Signals;
#[cfg(not(unix))]
pub use windows::Signals;

/// What can be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request {
    /// Stop: SIGINT, SIGTERM, or Ctrl-C.
    Stop,
    /// Open the transcript again, the file having been moved away: SIGHUP.
    Reopen,
}

#[cfg(unix)]
mod unix {
    use std::io;

    use mio::{Interest, Registry, Token};
    use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

    use super::Request;

    /// Signals, as a source of events.
    pub struct Signals(signal_hook_mio::v1_0::Signals);

    impl Signals {
        /// From now on the signals arrive here.
        ///
        /// # Errors
        /// Where the system has no descriptor left for them.
        pub fn register(registry: &Registry, token: Token) -> io::Result<Signals> {
            let mut signals = signal_hook_mio::v1_0::Signals::new([SIGINT, SIGTERM, SIGHUP])?;
            registry.register(&mut signals, token, Interest::READABLE)?;
            Ok(Signals(signals))
        }

        /// What was asked since this was called last.
        pub fn requests(&mut self) -> impl Iterator<Item = Request> {
            self.0.pending().map(|signal| if signal == SIGHUP { Request::Reopen } else { Request::Stop })
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
