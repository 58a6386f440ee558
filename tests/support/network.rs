//! Hosts with cables between them: network namespaces that a test makes for itself.

use std::fs::File;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

use nix::sched::{CloneFlags, setns};

/// A host of its own, removed when this is dropped.
pub struct Host {
    name: String,
}

impl Host {
    /// A host with nothing but a loopback; `None` if the test may not create one.
    pub fn new() -> Option<Host> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("gotcp{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let host = ip(&["netns", "add", &name]).then_some(Host { name })?;
        host.ip("link set lo up").then_some(host)
    }

    /// Configures it: runs `ip` with these arguments, separated by spaces. Returns whether that worked.
    pub fn ip(&self, args: &str) -> bool {
        let args: Vec<&str> = ["-n", &self.name].into_iter().chain(args.split(' ')).collect();
        ip(&args)
    }

    /// Lays a cable to another host: `there` is the name of its end here, `here` that of its end there.
    pub fn connect(&self, there: &str, other: &Host, here: &str) -> bool {
        self.ip(&format!("link add {there} type veth peer name {here} netns {}", other.name))
            && self.ip(&format!("link set {there} up"))
            && other.ip(&format!("link set {here} up"))
    }

    /// Does something on this host. Sockets and processes made there stay there.
    pub fn run<T: Send>(&self, what: impl FnOnce() -> T + Send) -> T {
        let namespace = File::open(format!("/run/netns/{}", self.name)).expect("it was made");
        let enter_and_run = move || {
            setns(namespace, CloneFlags::CLONE_NEWNET).expect("a process that may create one may enter it");
            what()
        };
        thread::scope(|scope| {
            scope.spawn(enter_and_run).join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        ip(&["netns", "delete", &self.name]);
    }
}

fn ip(args: &[&str]) -> bool {
    let output = Command::new("ip").args(args).stdin(Stdio::null()).output();
    output.is_ok_and(|output| output.status.success())
}
