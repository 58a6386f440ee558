//! NATS servers that keep rooms, for as long as they are wanted.

use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use tempfile::TempDir;

/// How long they may take until they listen.
const PATIENCE: Duration = Duration::from_secs(10);

/// One engine, or several that are one cluster.
pub struct Engines {
    children: Vec<Child>,
    addresses: Vec<SocketAddr>,
    folder: TempDir,
}

impl Engines {
    /// Starts them, all on this machine; `None` where there is no nats-server.
    pub fn start(count: usize) -> anyhow::Result<Option<Engines>> {
        let folder = TempDir::new()?;
        let addresses: Vec<SocketAddr> = (0..count).map(|_| free_address()).collect::<Result<_, _>>()?;
        let routes: Vec<SocketAddr> = (0..count).map(|_| free_address()).collect::<Result<_, _>>()?;
        let others: Vec<String> = routes.iter().map(|route| format!("\"nats://{route}\"")).collect();
        let mut engines = Engines { children: Vec::new(), addresses, folder };
        for (number, route) in routes.iter().enumerate() {
            let home = engines.folder.path().join(number.to_string());
            fs::create_dir(&home)?;
            let cluster = format!("cluster {{ name: lab, listen: \"{route}\", routes: [{}] }}\n", others.join(", "));
            let config = format!(
                "listen: \"{}\"\nserver_name: n{number}\njetstream {{ max_file: 4GB, store_dir: \"{}\" }}\n{}",
                engines.addresses[number],
                home.display(),
                if count > 1 { &cluster } else { "" }
            );
            let file = home.join("nats.conf");
            fs::write(&file, config)?;
            let mut command = Command::new("nats-server");
            command.arg("-c").arg(&file).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
            let Ok(child) = command.spawn() else { return Ok(None) };
            engines.children.push(child);
        }
        let started = Instant::now();
        while engines.addresses.iter().any(|address| TcpStream::connect(address).is_err()) {
            ensure!(started.elapsed() < PATIENCE, "nats-server does not listen");
            thread::sleep(Duration::from_millis(20));
        }
        Ok(Some(engines))
    }

    /// Where a room of this name is.
    pub fn place(&self, room: &str) -> String {
        let hosts: Vec<String> = self.addresses.iter().map(ToString::to_string).collect();
        format!("nats://{}/{room}", hosts.join(","))
    }
}

impl Drop for Engines {
    fn drop(&mut self) {
        for child in &mut self.children {
            // Both fail only where it has ended already.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn free_address() -> anyhow::Result<SocketAddr> {
    TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).context("there is no free port")
}
