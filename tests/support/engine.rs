//! Engines: NATS servers with JetStream, as processes of their own.

use std::env;
use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::address::free_address;
use super::skip::skipped;

/// How long an engine may take until it listens.
const PATIENCE: Duration = Duration::from_secs(30);

/// One engine. It is ended when it is dropped.
pub struct Engine {
    folder: TempDir,
    args: Vec<String>,
    address: SocketAddr,
    /// Where it tells how it is doing.
    monitor: SocketAddr,
    child: Option<Child>,
}

impl Engine {
    /// Starts an engine; `None`, and that is said, where there is no nats-server.
    pub fn start() -> Option<Engine> {
        let config = "jetstream { max_mem: 64MB, max_file: 4GB }\n";
        Engine::configured(config)
    }

    /// Starts engines that are one cluster.
    pub fn start_cluster(count: usize) -> Option<Vec<Engine>> {
        let routes: Vec<SocketAddr> = (0..count).map(|_| free_address()).collect();
        let others: Vec<String> = routes.iter().map(|address| format!("\"nats://{address}\"")).collect();
        let engines = routes.iter().enumerate().map(|(number, route)| {
            let config = format!(
                "server_name: n{number}\njetstream {{ max_mem: 64MB, max_file: 4GB }}\n\
                 cluster {{ name: lab, listen: \"{route}\", routes: [{}] }}\n",
                others.join(", ")
            );
            Engine::configured(&config)
        });
        engines.collect()
    }

    /// Starts an engine with this in its configuration.
    pub fn configured(config: &str) -> Option<Engine> {
        let (folder, address) = (TempDir::new().expect("a folder"), free_address());
        let file = folder.path().join("nats.conf");
        let monitor = free_address();
        fs::write(&file, format!("listen: \"{address}\"\nhttp: \"{monitor}\"\n{config}")).expect("a file");
        let store = folder.path().join("store");
        let args = ["-c", &file.display().to_string(), "-sd", &store.display().to_string()].map(ToOwned::to_owned);
        let mut engine = Engine { folder, args: args.into(), address, monitor, child: None };
        engine.run().then_some(engine)
    }

    /// Starts it again, with what it has kept.
    pub fn restart(&mut self) {
        assert!(self.run(), "it was there before");
    }

    fn run(&mut self) -> bool {
        let log = fs::File::options().create(true).append(true).open(self.folder.path().join("log")).expect("a file");
        let command =
            Command::new(program()).args(&self.args).stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn();
        let Ok(child) = command else {
            skipped("several servers share no room here: there is no nats-server");
            return false;
        };
        self.child = Some(child);
        let started = Instant::now();
        while TcpStream::connect(self.address).is_err() {
            assert!(started.elapsed() < PATIENCE, "no engine listens on {}: {}", self.address, self.log());
            thread::sleep(Duration::from_millis(10));
        }
        true
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where it tells how it is doing.
    pub fn monitor(&self) -> SocketAddr {
        self.monitor
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.as_ref().expect("it runs").id()
    }

    /// Kills it, without a word to anyone.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            // Both fail only where it has ended already.
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// A copy of what it has kept.
    pub fn copy_of_store(&self) -> TempDir {
        let copy = TempDir::new().expect("a folder");
        copy_folder(&self.folder.path().join("store"), copy.path());
        copy
    }

    /// Replaces what it has kept by something else, or nothing.
    pub fn replace_store(&self, copy: Option<TempDir>) {
        let store = self.folder.path().join("store");
        fs::remove_dir_all(&store).expect("a folder");
        if let Some(copy) = copy {
            copy_folder(copy.path(), &store);
        }
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.kill();
    }
}

fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder");
    for entry in fs::read_dir(from).expect("a folder") {
        let entry = entry.expect("an entry");
        let to = to.join(entry.file_name());
        if entry.file_type().expect("a type").is_dir() {
            copy_folder(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).expect("a file");
        }
    }
}

/// The program: the one that `GOTCP_NATS_SERVER` names, or any.
fn program() -> PathBuf {
    let named = env::var_os("GOTCP_NATS_SERVER").filter(|name| !name.is_empty());
    named.map_or_else(|| "nats-server".into(), PathBuf::from)
}
