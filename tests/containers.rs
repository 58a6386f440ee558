//! The image and the scripts on a real engine, as people use them: a network, a server, clients at their terminals.
//!
//! `GOTCP_TEST_CONTAINERS=docker` (or `podman`) runs it. The Dockerfile's builder image is used where it is there;
//! where it is not, a stand-in is made of what is installed (tests/support/builder-image.sh) and taken away again.
//! Everything that is made here is taken away again, and what was there before is not touched: where a network goTCPnet
//! or a container gotcpserver is there already, the test refuses to run.
#![cfg(unix)]

mod support;

use std::env;
use std::fs::{self, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use support::pty::{Setup, Terminal};
use tempfile::TempDir;

/// Time for two clients to come back to a server that was away: each may wait for half a minute before it tries again.
const REUNION: Duration = Duration::from_secs(90);

/// Time for anything else to happen that is bound to.
const SOON: Duration = Duration::from_secs(60);

#[test]
fn a_chatting_network_of_containers() {
    let Some(engine) = env::var("GOTCP_TEST_CONTAINERS").ok().filter(|engine| !engine.is_empty()) else {
        println!("skipped: GOTCP_TEST_CONTAINERS does not name an engine to test with");
        return;
    };
    let stage = Stage::set(engine);
    let port = free_port();

    // With nothing there, nobody can join, and there is nothing to stop.
    stage.refuses(&["client", "carol"], "dockerbuild: no server runs; ");
    assert!(stage.script(&["stop"]).out.contains("nothing to stop"));

    obstacles(&stage, port);

    let server = stage.script(&["server", "--port", &port.to_string()]);
    assert_eq!(server.code, 0, "{server:?}");
    assert!(server.out.contains(&format!("the server runs at port {port} of this machine")), "{server:?}");
    placed_and_confined(&stage);
    image_is_small(&stage);
    stage.refuses(&["server"], "dockerbuild: a server runs already; ");
    // A name that no chat accepts is for the client to refuse, and leaves no container.
    stage.refuses(&["client", "not one"], "gotcp: ");
    assert_eq!(stage.clients(), Vec::<String>::new());

    conversation(&stage, port);
    host_names_resolve(&stage);
    becomes_healthy(&stage);
    rebuild_is_quick(&stage);

    stops_gracefully(&stage);
    assert_eq!(stage.script(&["stop"]).code, 0);
    stage.nothing_is_left();
}

/// What stands in the way is one line, and nothing half made stays behind.
fn obstacles(stage: &Stage, port: u16) {
    let taken = free_port();
    let holder = TcpListener::bind(("0.0.0.0", taken)).expect("the port");
    stage.refuses(&["server", "--port", &taken.to_string()], &format!("port {taken} of this machine is taken"));
    drop(holder);
    stage.nothing_is_left();

    stage.engine_does(&["network", "create", "--subnet", "192.168.112.0/24", "goTCPnet"]);
    stage.refuses(
        &["server", "--port", &port.to_string()],
        "goTCPnet is there already, with the subnet 192.168.112.0/24",
    );
    assert_eq!(stage.script(&["stop"]).code, 0);
    stage.nothing_is_left();

    // An address that is not in the subnet.
    stage.refuses(&["server", "--subnet", "10.77.0.0/24", "--port", &port.to_string()], "dockerbuild: cannot ");
    stage.nothing_is_left();

    if stage.engine == "docker" {
        let nowhere = stage.command(&["server"]).env("DOCKER_HOST", "unix:///nonexistent").output().expect("a script");
        let err = String::from_utf8_lossy(&nowhere.stderr).into_owned();
        assert!(err.starts_with("dockerbuild: docker does not answer: "), "{err}");
        assert_eq!(err.lines().count(), 1, "{err}");
        assert_eq!(nowhere.status.code(), Some(1));
    }
}

/// The server is where it should be, and can do there what it has to and no more.
fn placed_and_confined(stage: &Stage) {
    let of = |format: &str| stage.engine_says(&["container", "inspect", "--format", format, "gotcpserver"]);
    assert_eq!(of("{{.NetworkSettings.Networks.goTCPnet.IPAddress}}"), "192.168.111.111");
    assert_eq!(of("{{.Config.User}}"), "65532:65532");
    assert_eq!(of("{{.HostConfig.ReadonlyRootfs}}"), "true");
    let network = stage.engine_says(&["network", "inspect", "goTCPnet"]);
    assert!(network.contains("\"192.168.111.0/24\""), "{network}");

    // What the kernel says of it counts more than what was asked for.
    let pid = of("{{.State.Pid}}");
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("a process");
    let field = |name: &str| {
        let line =
            status.lines().find(|line| line.starts_with(name)).unwrap_or_else(|| panic!("no {name} in {status}"));
        line.split_whitespace().skip(1).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(field("Uid:"), "65532 65532 65532 65532");
    assert_eq!(field("CapBnd:"), "0000000000000000");
    assert_eq!(field("NoNewPrivs:"), "1");
}

/// The image is one layer with one file, and says how it is to be used.
fn image_is_small(stage: &Stage) {
    let of = |format: &str| stage.engine_says(&["image", "inspect", "--format", format, "gotcp"]);
    let size: u64 = of("{{.Size}}").parse().expect("a number");
    println!("the image has {size} bytes");
    assert!(size < 5_000_000, "{size} bytes");
    assert_eq!(of("{{len .RootFS.Layers}}"), "1");
    let env = of("{{.Config.Env}}");
    assert!(env.contains("GOTCP_LISTEN=192.168.111.111:7777 GOTCP_SERVER=192.168.111.111:7777"), "{env}");
    assert_eq!(of("{{.Config.StopSignal}}"), "SIGTERM");
    assert!(of("{{.Config.Labels}}").contains("org.opencontainers.image.title:gotcp"));
}

/// Two clients at terminals, one of the same name as the first, one from the machine itself, one with no client at all.
fn conversation(stage: &Stage, port: u16) {
    let mut carol = stage.terminal("carol");
    let mut bob = stage.terminal("bob");
    carol.press("a word for bob\r");
    bob.wait_for("a word for bob");
    bob.press("and one back\r");
    carol.wait_for("and one back");

    let again = stage.terminal("carol");
    let mut containers = stage.clients();
    containers.sort();
    let [first, second, third] = containers.try_into().expect("three clients");
    assert!(first.starts_with("gotcpclientbob") && first.len() == "gotcpclientbob".len() + 6, "{first}");
    // The digits of a container are those of its person in the chat.
    bob.press("!who\r");
    for container in [&second, &third] {
        let tag = container.strip_prefix("gotcpclientcarol").expect("a carol");
        bob.wait_for(&format!("carol#{tag}"));
    }

    // From the machine itself, where there is nothing but the port.
    let mut plain = TcpStream::connect(("127.0.0.1", port)).expect("the port");
    plain.set_read_timeout(Some(SOON)).expect("a timeout");
    plain.write_all(b"nora\na word from outside\n").expect("a line");
    carol.wait_for("a word from outside");
    carol.press("we hear you\r");
    let heard = BufReader::new(&plain).lines().map_while(Result::ok).any(|line| line.ends_with(": we hear you"));
    assert!(heard, "the server closed");
    plain.write_all(b"!exit\n").expect("a line");

    let mut hannah = Command::new(env!("CARGO_BIN_EXE_gotcp"))
        .args(["client", "--username", "hannah", "--server", &format!("127.0.0.1:{port}")])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("a client");
    hannah.stdin.take().expect("a pipe").write_all(b"a word from the machine\n").expect("a line");
    bob.wait_for("a word from the machine");
    assert!(hannah.wait().expect("an end").success());

    // A server that is started anew is found again, and the network was kept for those who wait.
    let stopped = stage.script(&["stop"]);
    assert!(stopped.out.contains("goTCPnet stays, because it is still used by gotcpclient"), "{stopped:?}");
    assert_eq!(stage.script(&["server", "--port", &port.to_string()]).code, 0);
    bob.press("here we are again\r");
    let deadline = Instant::now() + REUNION;
    while !carol.screen().contains("here we are again") {
        assert!(Instant::now() < deadline, "{}", carol.screen());
        thread::sleep(Duration::from_millis(100));
    }

    // Whoever leaves takes the container along, and so does whoever just closes the window.
    bob.press("!exit\r");
    assert!(bob.end().success());
    again.hang_up();
    let deadline = Instant::now() + SOON;
    while stage.clients().len() > 1 {
        assert!(Instant::now() < deadline, "still there: {:?}", stage.clients());
        thread::sleep(Duration::from_millis(100));
    }
    carol.press("!exit\r");
    assert!(carol.end().success());
    assert_eq!(stage.clients(), Vec::<String>::new());
}

fn host_names_resolve(stage: &Stage) {
    let probe = |server: &str| {
        let client = ["run", "--rm", "--network", "goTCPnet", "gotcp", "client", "--probe", "--server", server];
        stage.engine(&client).status.success()
    };
    assert!(probe("gotcpserver:7777"));
    assert!(!probe("gotcpserver:7778"));
}

fn becomes_healthy(stage: &Stage) {
    // Podman leaves it to systemd to look regularly, so there it may have to be asked for.
    if stage.engine == "podman" {
        stage.engine_does(&["healthcheck", "run", "gotcpserver"]);
    }
    let deadline = Instant::now() + SOON;
    loop {
        let health =
            stage.engine_says(&["container", "inspect", "--format", "{{.State.Health.Status}}", "gotcpserver"]);
        if health == "healthy" {
            return;
        }
        assert!(Instant::now() < deadline, "{health}");
        thread::sleep(Duration::from_millis(200));
    }
}

/// After an edit, only the program itself is compiled.
fn rebuild_is_quick(stage: &Stage) {
    let main = stage.sources.path().join("src/main.rs");
    OpenOptions::new().append(true).open(main).and_then(|mut file| file.write_all(b"// An edit.\n")).expect("an edit");
    let start = Instant::now();
    // As the scripts do it, or Podman would not know the layers again.
    let format: &[&str] = if stage.engine == "podman" { &["--format", "docker"] } else { &[] };
    let sources = stage.sources.path().to_str().expect("a plain path");
    let build = stage.engine(&[&["build"], format, &["--force-rm", "--tag", "gotcp", sources]].concat());
    let output = String::from_utf8_lossy(&build.stdout).into_owned() + &String::from_utf8_lossy(&build.stderr);
    // Docker colours what a step says on stderr piece by piece, as it arrives: within a line, too.
    let output = anstream::adapter::strip_str(&output).to_string();
    println!("the rebuild took {:?}", start.elapsed());
    assert!(build.status.success(), "{output}");
    assert!(!output.contains("Compiling clap") && output.contains("Compiling gotcp"), "{output}");
}

/// Long before an engine loses its patience, which by itself it does after 10 s; a server that is killed has another code.
fn stops_gracefully(stage: &Stage) {
    stage.engine_does(&["stop", "--time", "5", "gotcpserver"]);
    assert_eq!(stage.engine_says(&["container", "inspect", "--format", "{{.State.ExitCode}}", "gotcpserver"]), "0");
    let log = stage.engine(&["logs", "gotcpserver"]);
    let log = String::from_utf8_lossy(&log.stdout).into_owned() + &String::from_utf8_lossy(&log.stderr);
    assert!(log.contains("shutting down"), "{log}");
}

fn free_port() -> u16 {
    TcpListener::bind(("0.0.0.0", 0)).and_then(|socket| socket.local_addr()).expect("a port").port()
}

/// The engine, with a copy of the sources to build from, and what is to be taken away in the end.
struct Stage {
    engine: String,
    sources: TempDir,
    /// Another folder, to call the scripts from.
    elsewhere: TempDir,
    builder: String,
    has_stand_in: bool,
    /// The image that had the name before.
    earlier: Option<String>,
}

/// What a script did.
#[derive(Debug)]
struct Outcome {
    code: i32,
    out: String,
    err: String,
}

impl Stage {
    fn set(engine: String) -> Self {
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        let dockerfile = fs::read_to_string(here.join("Dockerfile")).expect("a Dockerfile");
        let from = dockerfile.lines().find_map(|line| line.strip_prefix("FROM ")).expect("a builder");
        let mut stage = Self {
            engine,
            sources: TempDir::new().expect("a folder"),
            elsewhere: TempDir::new().expect("a folder"),
            builder: from.split(' ').next().expect("a name").to_owned(),
            has_stand_in: false,
            earlier: None,
        };
        for name in ["Cargo.toml", "Cargo.lock", "Dockerfile", ".dockerignore", "dockerbuild.sh", "src"] {
            let copied = Command::new("cp").arg("-R").arg(here.join(name)).arg(stage.sources.path()).status();
            assert!(copied.expect("cp").success());
        }
        // Dropped only from here on, so that nothing is taken away that was there before.
        let untouched = std::mem::ManuallyDrop::new(stage);
        assert!(untouched.engine(&["ps"]).status.success(), "{} does not answer", untouched.engine);
        for (kind, name) in [("container", "gotcpserver"), ("network", "goTCPnet")] {
            let found = untouched.engine(&[kind, "inspect", name]).status.success();
            assert!(!found, "a {kind} {name} is there already, and not this test's: it has to go first");
        }
        stage = std::mem::ManuallyDrop::into_inner(untouched);
        let earlier = stage.engine(&["image", "inspect", "--format", "{{.Id}}", "gotcp"]);
        stage.earlier = earlier.status.success().then(|| String::from_utf8_lossy(&earlier.stdout).trim().to_owned());
        if !stage.engine(&["image", "inspect", &stage.builder]).status.success() {
            println!("making a stand-in for {}", stage.builder);
            stage.has_stand_in = true;
            let script = here.join("tests/support/builder-image.sh");
            let made = Command::new(script).arg(&stage.builder).env("ENGINE", &stage.engine).status();
            assert!(made.expect("a script").success());
        }
        stage
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(self.sources.path().join("dockerbuild.sh"));
        command.args(args).args(["--engine", &self.engine]).current_dir(&self.elsewhere).stdin(Stdio::null());
        command
    }

    fn script(&self, args: &[&str]) -> Outcome {
        let Output { status, stdout, stderr } = self.command(args).output().expect("a script");
        Outcome {
            code: status.code().expect("an exit code"),
            out: String::from_utf8_lossy(&stdout).into_owned(),
            err: String::from_utf8_lossy(&stderr).into_owned(),
        }
    }

    /// Holds the script to an exit code that is not 0, and to a last line that says this.
    fn refuses(&self, args: &[&str], err: &str) {
        let outcome = self.script(args);
        assert!(outcome.err.lines().last().unwrap_or_default().contains(err), "{args:?}: {outcome:?}");
        assert_ne!(outcome.code, 0, "{args:?}");
    }

    fn engine(&self, args: &[&str]) -> Output {
        Command::new(&self.engine).args(args).stdin(Stdio::null()).output().expect("an engine")
    }

    fn engine_does(&self, args: &[&str]) {
        let output = self.engine(args);
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    }

    fn engine_says(&self, args: &[&str]) -> String {
        let output = self.engine(args);
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    /// The containers of all clients.
    fn clients(&self) -> Vec<String> {
        let names = self.engine_says(&["ps", "--all", "--filter", "name=gotcpclient", "--format", "{{.Names}}"]);
        names.lines().map(str::to_owned).collect()
    }

    fn nothing_is_left(&self) {
        for (kind, name) in [("container", "gotcpserver"), ("network", "goTCPnet")] {
            assert!(!self.engine(&[kind, "inspect", name]).status.success(), "the {kind} {name} is still there");
        }
    }

    /// A client at a terminal of its own, which has joined.
    fn terminal(&self, name: &str) -> Terminal {
        let mut setup = Setup::new("");
        self.sources.path().join("dockerbuild.sh").to_str().expect("a plain path").clone_into(&mut setup.program);
        setup.args = ["client", name, "--engine", &self.engine].map(str::to_owned).to_vec();
        let terminal = setup.start();
        terminal.wait_for(&format!("You({name}#"));
        assert!(!terminal.screen().contains("gotcp: "), "a complaint: {}", terminal.screen());
        terminal
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        for client in self.clients() {
            self.engine(&["rm", "--force", &client]);
        }
        self.engine(&["rm", "--force", "gotcpserver"]);
        self.engine(&["network", "rm", "goTCPnet"]);
        self.engine(&["rmi", "gotcp"]);
        if let Some(earlier) = &self.earlier {
            self.engine(&["tag", earlier, "gotcp"]);
        }
        if self.has_stand_in {
            self.engine(&["rmi", &self.builder]);
            // What was built in it, and under Podman each layer of the result, is an image too.
            for label in ["gotcp.stand-in=true", "org.opencontainers.image.title=gotcp"] {
                self.engine(&["image", "prune", "--force", "--filter", &format!("label={label}")]);
            }
        }
    }
}
