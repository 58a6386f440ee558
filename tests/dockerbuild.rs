//! The two scripts, dockerbuild.sh and dockerbuild.ps1, in front of an engine that only pretends: what they ask of it,
//! what they say to people, and that they are each other's equal. tests/containers.rs has the real engine.
#![cfg(unix)]

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

const SHELL: &str = include_str!("../dockerbuild.sh");
const POWERSHELL: &str = include_str!("../dockerbuild.ps1");

const NO_SERVER: Answer = Answer("container inspect", 1, "Error: No such container: gotcpserver");
const NO_NETWORK: Answer = Answer("network inspect", 1, "Error: No such network: goTCPnet");
const SERVER: Answer = Answer("container inspect --format {{.State.Running}}", 0, "true");
const ADDRESS: Answer = Answer("container inspect --format {{.NetworkSettings", 0, "192.168.111.111");
const NETWORK: Answer =
    Answer("network inspect", 0, r#"[ { "IPAM": { "Config": [ { "Subnet": "192.168.111.0/24" } ] } } ]"#);
const PORT_TAKEN: Answer = Answer(
    "start",
    1,
    "Error response from daemon: driver failed programming external connectivity on endpoint gotcpserver: \
     Bind for 0.0.0.0:7777 failed: port is already allocated\nError: failed to start containers: gotcpserver",
);

const BUILD: &str = "build --force-rm --tag gotcp HERE";
const MAKE_NETWORK: &str = "network create --subnet 192.168.111.0/24 goTCPnet";
const MAKE_SERVER: &str = "create --name gotcpserver --network goTCPnet --ip 192.168.111.111 --publish 7777:7777 \
    --env GOTCP_LISTEN=192.168.111.111:7777 --env GOTCP_SERVER=192.168.111.111:7777 --restart unless-stopped \
    --read-only --cap-drop ALL --security-opt no-new-privileges gotcp server";
const JOIN: &str = "run --rm --interactive --tty=false --name gotcpclientcarolTAG --network goTCPnet \
    --env GOTCP_SERVER=192.168.111.111:7777 --env TZ=local-00:00 --no-healthcheck \
    --read-only --cap-drop ALL --security-opt no-new-privileges gotcp client --no-tag --username=carol#TAG";

/// What the engine says to a command that starts so, and its exit code.
#[derive(Clone, Copy)]
struct Answer(&'static str, u8, &'static str);

/// One use of a script.
struct Case {
    args: &'static [&'static str],
    typed: &'static str,
    engines: &'static [&'static str],
    zone: &'static str,
    answers: Vec<Answer>,
}

/// What came of it.
#[derive(Debug, PartialEq, Eq)]
struct Outcome {
    code: i32,
    out: String,
    err: String,
    /// The commands that change something, as the engine got them.
    changes: Vec<String>,
}

fn case(args: &'static [&'static str], answers: &[Answer]) -> Case {
    Case { args, typed: "", engines: &["docker"], zone: "UTC", answers: answers.to_vec() }
}

impl Case {
    /// Runs it with the shell script, and with the other one too where there is a PowerShell.
    fn run(&self) -> Outcome {
        let outcome = self.run_with(OsStr::new("/bin/sh"), "dockerbuild.sh");
        if let Some(pwsh) = find("pwsh") {
            assert_eq!(self.run_with(pwsh.as_os_str(), "dockerbuild.ps1"), outcome, "{:?} with PowerShell", self.args);
        }
        outcome
    }

    fn run_with(&self, interpreter: &OsStr, script: &str) -> Outcome {
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        let bin = TempDir::new().expect("a folder for programs");
        // What the shell script calls besides the engine; its wait for the server is cut short.
        for tool in
            ["cat", "cut", "date", "dirname", "grep", "head", "mktemp", "od", "paste", "rm", "sed", "tail", "tr"]
        {
            symlink(find(tool).unwrap_or_else(|| panic!("no {tool}")), bin.path().join(tool)).expect("a link");
        }
        program(&bin.path().join("sleep"), "");
        let log = bin.path().join("log");
        for engine in self.engines {
            program(&bin.path().join(engine), &self.engine(&log));
        }

        let mut child = Command::new(interpreter)
            .arg(here.join(script))
            .args(self.args)
            // From another folder, and with no way to a real engine.
            .current_dir(&bin)
            .env_clear()
            .env("PATH", bin.path())
            .env("HOME", bin.path())
            .env("TZ", self.zone)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("a shell");
        // A script that never reads has closed its end perhaps.
        let _ = child.stdin.take().expect("a pipe").write_all(self.typed.as_bytes());
        let Output { status, stdout, stderr } = child.wait_with_output().expect("an end");

        let asked = fs::read_to_string(log).unwrap_or_default();
        let tag = asked.split_once(" --name gotcpclient").map(|(_, rest)| {
            let container = rest.split_once(' ').expect("more words").0;
            container[container.len() - 6..].to_owned()
        });
        let plain = |text: &str| {
            let mut text = text
                .split(' ')
                .map(|word| if word.ends_with(script) { "ME" } else { word })
                .collect::<Vec<_>>()
                .join(" ");
            if let Some(tag) = &tag {
                text = text.replace(tag, "TAG");
            }
            text.replace(here.to_str().expect("a plain path"), "HERE")
        };
        let looks = ["ps ", "container inspect", "network inspect", "image inspect", "logs ", "exec "];
        Outcome {
            code: status.code().expect("an exit code"),
            out: plain(&String::from_utf8(stdout).expect("UTF-8")),
            err: plain(&String::from_utf8(stderr).expect("UTF-8")),
            changes: plain(&asked)
                .lines()
                .filter(|line| !looks.iter().any(|look| line.starts_with(look)))
                .map(str::to_owned)
                .collect(),
        }
    }

    /// An engine that notes what it is asked, and answers as it is told.
    fn engine(&self, log: &Path) -> String {
        let mut script = format!("printf '%s\\n' \"$*\" >> '{}'\n", log.display());
        // Something to say besides, as engines are wont to.
        script += "case $1 in build | run) ;; *) echo 'warning: Error in some file of settings' >&2 ;; esac\n";
        script += "case \"$*\" in\n";
        for Answer(start, code, text) in &self.answers {
            let stream = if *code == 0 { 1 } else { 2 };
            writeln!(script, "'{start}'*) printf '%s\\n' '{text}' >&{stream}; exit {code} ;;").expect("memory");
        }
        script + "esac\n"
    }
}

/// A program of the search path.
fn find(name: &str) -> Option<PathBuf> {
    std::env::split_paths(&std::env::var_os("PATH")?).map(|folder| folder.join(name)).find(|path| path.is_file())
}

fn program(path: &Path, script: &str) {
    fs::write(path, format!("#!/bin/sh\n{script}")).expect("a program");
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("permissions");
}

/// Holds one line on the error stream, and nothing else.
fn refuses(case: &Case, code: i32, err: &str, changes: &[&str]) {
    let outcome = case.run();
    assert_eq!(outcome.err, format!("dockerbuild: {err}\n"), "{:?}", case.args);
    assert_eq!((outcome.code, outcome.out.as_str()), (code, ""), "{:?}", case.args);
    assert_eq!(outcome.changes, changes, "{:?}", case.args);
}

fn does(case: &Case, out: &str, changes: &[&str]) {
    let outcome = case.run();
    assert_eq!((outcome.code, outcome.err.as_str(), outcome.out.as_str()), (0, "", out), "{:?}", case.args);
    assert_eq!(outcome.changes, changes, "{:?}", case.args);
}

const RUNS: &str =
    "dockerbuild: the server runs at port 7777 of this machine; to watch it: docker logs --follow gotcpserver
dockerbuild: to join it: ME client; to end it: ME stop
";

#[test]
fn server_makes_what_is_not_there() {
    does(&case(&["server"], &[NO_SERVER, NO_NETWORK]), RUNS, &[BUILD, MAKE_NETWORK, MAKE_SERVER, "start gotcpserver"]);
    does(&case(&["server"], &[NO_SERVER, NETWORK]), RUNS, &[BUILD, MAKE_SERVER, "start gotcpserver"]);
}

#[test]
fn server_replaces_one_that_has_ended() {
    let ended = Answer(SERVER.0, 0, "false");
    let changes = [BUILD, "rm --force gotcpserver", MAKE_SERVER, "start gotcpserver"];
    does(&case(&["server"], &[ended, NETWORK]), RUNS, &changes);
}

#[test]
fn another_address_port_and_subnet_are_options() {
    let outcome = case(&["server", "--address", "10.1.2.3", "--port", "9000"], &[NO_SERVER, NO_NETWORK]).run();
    assert_eq!(outcome.changes[1], "network create --subnet 10.1.2.0/24 goTCPnet");
    let expected = MAKE_SERVER.replace("192.168.111.111", "10.1.2.3").replace("--publish 7777", "--publish 9000");
    assert_eq!(outcome.changes[2], expected);
    assert!(outcome.out.contains("at port 9000 of"), "{}", outcome.out);

    let outcome = case(&["server", "--address", "10.1.2.3", "--subnet", "10.1.0.0/16"], &[NO_SERVER, NO_NETWORK]).run();
    assert_eq!(outcome.changes[1], "network create --subnet 10.1.0.0/16 goTCPnet");
}

#[test]
fn client_follows_the_server_to_another_address() {
    let elsewhere = Answer(ADDRESS.0, 0, "10.1.2.3");
    does(&case(&["client", "carol"], &[elsewhere]), "", &[&JOIN.replace("192.168.111.111", "10.1.2.3")]);
}

/// A dry run shows the commands, ready to be typed, and gives none of them.
#[test]
fn dry_run_only_shows() {
    let shown = |commands: &[&str]| commands.iter().fold(String::new(), |text, line| text + "docker " + line + "\n");
    does(
        &case(&["server", "--dry-run"], &[NO_SERVER, NO_NETWORK]),
        &shown(&[BUILD, MAKE_NETWORK, MAKE_SERVER, "start gotcpserver"]),
        &[],
    );
    does(
        &case(&["--dry-run", "stop"], &[SERVER, NETWORK]),
        &shown(&["stop gotcpserver", "rm --force gotcpserver", "network rm goTCPnet"]),
        &[],
    );

    let outcome = case(&["client", "--dry-run", "carol"], &[ADDRESS]).run();
    let username = outcome.out.split(" --no-tag ").nth(1).expect("a username");
    let tag = username.trim_end().trim_end_matches('\'').rsplit('#').next().expect("a tag");
    assert_eq!(
        outcome.out.replace(tag, "TAG"),
        shown(&[&JOIN.replace("--username=carol#TAG", "'--username=carol#TAG'")])
    );
}

#[test]
fn podman_serves_where_docker_is_absent() {
    let mut case = case(&["server"], &[NO_SERVER, NO_NETWORK]);
    case.engines = &["podman"];
    let build = BUILD.replace("build", "build --format docker");
    let changes = [build.as_str(), MAKE_NETWORK, MAKE_SERVER, "start gotcpserver"];
    does(&case, &RUNS.replace("docker logs", "podman logs"), &changes);

    case.args = &["server", "--engine", "docker"];
    refuses(&case, 1, "there is no docker on this machine; Docker or Podman is needed", &[]);

    // With both at hand it is Docker, or the one that is named.
    case.engines = &["docker", "podman"];
    case.args = &["server"];
    assert_eq!(case.run().changes[0], BUILD);
    case.args = &["server", "--engine", "podman"];
    assert_eq!(case.run().changes[0], build);
}

#[test]
fn client_asks_for_a_name_that_is_not_given() {
    let mut case = case(&["client"], &[ADDRESS]);
    case.typed = "carol\n";
    let outcome = case.run_with(OsStr::new("/bin/sh"), "dockerbuild.sh");
    assert_eq!((outcome.code, outcome.out.as_str()), (0, "Your name: "));
    assert_eq!(outcome.changes, [JOIN]);

    case.typed = "";
    let outcome = case.run_with(OsStr::new("/bin/sh"), "dockerbuild.sh");
    assert_eq!((outcome.code, outcome.err.as_str()), (1, "dockerbuild: nobody joins without a name\n"));
}

/// A client shows the time of the machine that it runs on: so far east of UTC, which POSIX writes with a minus.
#[test]
fn clients_are_told_the_time_zone() {
    for (zone, told) in [("India-5:30", "local-05:30"), ("Newfoundland3:30", "local+03:30")] {
        let mut case = case(&["client", "carol"], &[ADDRESS]);
        case.zone = zone;
        let outcome = case.run_with(OsStr::new("/bin/sh"), "dockerbuild.sh");
        assert_eq!(outcome.changes, [JOIN.replace("local-00:00", told)]);
    }
}

/// Two clients of one name are two containers, and two people in the chat.
#[test]
fn each_client_has_its_own_digits() {
    let containers = || {
        let outcome =
            case(&["client", "carol", "--dry-run"], &[ADDRESS]).run_with(OsStr::new("/bin/sh"), "dockerbuild.sh");
        outcome.out.split(' ').find(|word| word.starts_with("gotcpclientcarol")).expect("a container").to_owned()
    };
    let (one, other) = (containers(), containers());
    assert_eq!(one.len(), "gotcpclientcarol".len() + 6);
    assert!(one["gotcpclientcarol".len()..].bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')), "{one}");
    assert_ne!(one, other);
}

/// A name of any script is passed on as it is; the container's name keeps of it what such a name may hold.
#[test]
fn container_names_hold_what_they_may() {
    for (name, plain) in [("Зоя", ""), ("zoë-2", "zo-2"), ("a/b $c;d", "abcd"), ("x.y_z", "x.y_z")] {
        let mut case = case(&["client"], &[ADDRESS]);
        let args: &'static [&'static str] = Box::leak(Box::new(["client", name]));
        case.args = args;
        let outcome = case.run();
        assert_eq!(outcome.changes, [JOIN.replace("=carol", &format!("={name}")).replace("carol", plain)]);
    }
}

#[test]
fn client_builds_an_image_that_is_not_there() {
    let no_image = Answer("image inspect", 1, "Error: No such image: gotcp");
    does(&case(&["client", "carol"], &[ADDRESS, no_image]), "", &[BUILD, JOIN]);
}

/// What the client itself has against a name is its own to say, and its exit code is the script's.
#[test]
fn the_clients_exit_code_is_passed_on() {
    refuses_with_output(
        &case(&["client", "carol"], &[ADDRESS, Answer("run", 2, "gotcp: bad name")]),
        2,
        "gotcp: bad name\n",
    );
}

fn refuses_with_output(case: &Case, code: i32, err: &str) {
    let outcome = case.run();
    assert_eq!((outcome.code, outcome.err.as_str()), (code, err));
}

#[test]
fn stop_takes_down_what_server_put_up() {
    does(
        &case(&["stop"], &[SERVER, NETWORK]),
        "",
        &["stop gotcpserver", "rm --force gotcpserver", "network rm goTCPnet"],
    );
    does(&case(&["stop"], &[NO_SERVER, NETWORK]), "", &["network rm goTCPnet"]);
    does(&case(&["stop"], &[NO_SERVER, NO_NETWORK]), "dockerbuild: nothing to stop\n", &[]);
}

#[test]
fn stop_leaves_a_network_that_others_use() {
    let users = Answer("ps --all", 0, "gotcpclientcarol0b9189\ngotcpserver\ngotcpclientbob77a1f0");
    does(
        &case(&["stop"], &[SERVER, NETWORK, users]),
        "dockerbuild: goTCPnet stays, because it is still used by gotcpclientcarol0b9189 gotcpclientbob77a1f0\n",
        &["stop gotcpserver", "rm --force gotcpserver"],
    );
}

/// Whatever stands in the way is one line, and what was begun is taken back.
#[test]
fn what_goes_wrong_is_one_line_and_leaves_nothing() {
    let server = &["server"];
    refuses(&case(server, &[SERVER]), 1, "a server runs already; ME stop ends it", &[]);
    refuses(&case(&["client", "carol"], &[NO_SERVER]), 1, "no server runs; ME server starts one", &[]);
    refuses(
        &case(
            server,
            &[Answer("ps", 1, "Cannot connect to the Docker daemon at unix:///x. Is the docker daemon running?")],
        ),
        1,
        "docker does not answer: Cannot connect to the Docker daemon at unix:///x. Is the docker daemon running?",
        &[],
    );
    refuses(
        &case(server, &[NO_SERVER, Answer(NETWORK.0, 0, r#"[ { "subnet": "10.0.0.0/8" } ]"#)]),
        1,
        "goTCPnet is there already, with the subnet 10.0.0.0/8; ME stop removes it, --address and --subnet fit it",
        &[],
    );
    let outcome = case(server, &[NO_SERVER, NO_NETWORK, Answer("build", 1, "no such image")]).run();
    assert_eq!(outcome.err, "no such image\ndockerbuild: the image could not be built; the lines above say why\n");
    assert_eq!((outcome.code, outcome.changes), (1, vec![BUILD.to_owned()]));
    refuses(
        &case(
            server,
            &[NO_SERVER, NO_NETWORK, Answer("network create", 1, "Error response from daemon: Pool overlaps")],
        ),
        1,
        "cannot make goTCPnet with the subnet 192.168.111.0/24: Pool overlaps",
        &[BUILD, MAKE_NETWORK],
    );
    refuses(
        &case(server, &[NO_SERVER, NO_NETWORK, Answer("create", 1, "Error: no room")]),
        1,
        "cannot make the server: no room",
        &[BUILD, MAKE_NETWORK, MAKE_SERVER, "network rm goTCPnet"],
    );
    let taken = "port 7777 of this machine is taken, or not yours to take; choose another with --port";
    let undone =
        [BUILD, MAKE_NETWORK, MAKE_SERVER, "start gotcpserver", "rm --force gotcpserver", "network rm goTCPnet"];
    refuses(&case(server, &[NO_SERVER, NO_NETWORK, PORT_TAKEN]), 1, taken, &undone);
    // A network that was there before stays.
    let undone = [BUILD, MAKE_SERVER, "start gotcpserver", "rm --force gotcpserver"];
    refuses(&case(server, &[NO_SERVER, NETWORK, PORT_TAKEN]), 1, taken, &undone);
    refuses(
        &case(server, &[NO_SERVER, NETWORK, Answer("exec", 1, ""), Answer("logs", 0, "gotcp: cannot listen")]),
        1,
        "the server does not answer: gotcp: cannot listen",
        &undone,
    );
}

#[test]
fn wrong_words_are_one_line() {
    let wrong: &[(&'static [&'static str], &str)] = &[
        (&[], "say what to do: server, client or stop"),
        (&["frob"], "there is no frob, only server, client and stop"),
        (&["server", "--frob"], "there is no option --frob"),
        (&["server", "--port"], "--port needs a value"),
        (&["server", "--port", "0"], "0 is not a port"),
        (&["server", "--port", "65536"], "65536 is not a port"),
        (&["server", "--port", "http"], "http is not a port"),
        (&["server", "--address", "here"], "here is not an address like 192.168.111.111"),
        (&["server", "--subnet", "all"], "all is not a subnet like 192.168.111.0/24"),
        (&["server", "--engine", "train"], "train is neither docker nor podman"),
        (&["server", "twice"], "server has no use for twice"),
        (&["client", "carol", "bob"], "client has no use for bob"),
        (&["client", "--port", "9000"], "--port is for server alone"),
        (&["stop", "--address", "10.1.2.3"], "--address is for server alone"),
    ];
    for (args, err) in wrong {
        refuses(&case(args, &[]), 2, &format!("{err} (see ME -h)"), &[]);
    }
}

#[test]
fn help_needs_no_engine() {
    for args in [&["-h"], &["--help"]] {
        let mut case = case(args, &[]);
        case.engines = &[];
        let outcome = case.run();
        assert_eq!((outcome.code, outcome.err.as_str()), (0, ""));
        for word in ["ME server ", "ME client [NAME] ", "ME stop ", "--address", "--port", "--dry-run"] {
            assert!(outcome.out.contains(word), "no {word} in {}", outcome.out);
        }
    }
}

/// Without a PowerShell to run it, its script can still be held to the other one: the same help; the same functions
/// that ask the engine, word for word; and in each of the larger functions the same steps and sentences in the same
/// order.
#[test]
fn the_powershell_script_reads_as_the_shell_script_does() {
    let help = |script: &str, start: &str, end: &str| between(script, start, end).to_owned();
    assert_eq!(help(POWERSHELL, "@\"\n", "\"@"), help(SHELL, "<< END\n", "END\n"));

    let shell = functions(&SHELL.replace("\\\n", ""));
    let powershell = functions(&POWERSHELL.replace("`\n", ""));
    let words = |body: &str| body.split_whitespace().collect::<Vec<_>>().join(" ");
    let asks = |all: &[(String, String)]| -> Vec<(String, String)> {
        all.iter()
            .map(|(name, body)| (name.clone(), words(body)))
            .filter(|(_, body)| {
                ["ask ", "tell ", "run "].iter().any(|verb| body.starts_with(&format!("{verb}\"$engine\"")))
            })
            .collect()
    };
    assert_eq!(asks(&powershell), asks(&shell));
    let steps: Vec<_> = asks(&shell).into_iter().map(|(name, _)| name).collect();
    assert!(steps.len() > 15, "{steps:?}");

    for name in ["server", "client", "stop", "build", "wait_for_server", "undo"] {
        let story = |all: &[(String, String)]| {
            let (_, body) = all.iter().find(|(found, _)| found == name).unwrap_or_else(|| panic!("no function {name}"));
            story(body, &steps)
        };
        assert_eq!(story(&powershell), story(&shell), "in {name}");
    }

    let main = |script: &str| script.rsplit("# ----").next().expect("a last part").to_owned();
    assert_eq!(story(&main(POWERSHELL), &steps), story(&main(SHELL), &steps));
    for option in ["-h", "--help", "--dry-run", "--address", "--subnet", "--port", "--engine"] {
        assert!(main(SHELL).contains(option) && main(POWERSHELL).contains(&format!("'{option}'")), "{option}");
    }
    // Old PowerShells take a script without a mark for one in the local code page.
    assert!(POWERSHELL.is_ascii());
}

fn between<'a>(text: &'a str, start: &str, end: &str) -> &'a str {
    let text = &text[text.find(start).unwrap_or_else(|| panic!("no {start}")) + start.len()..];
    &text[..text.find(end).unwrap_or_else(|| panic!("no {end}"))]
}

/// The functions of a script of either kind, which both end in a brace at the start of a line.
fn functions(script: &str) -> Vec<(String, String)> {
    let mut functions = Vec::new();
    let mut lines = script.lines();
    while let Some(line) = lines.next() {
        let Some(head) = line.strip_suffix(" {").filter(|head| !head.starts_with([' ', '$', '#'])) else { continue };
        let name = head.trim_start_matches("function ").split('(').next().expect("a name");
        let body: Vec<_> = lines.by_ref().take_while(|line| *line != "}").collect();
        functions.push((name.to_owned(), body.join("\n")));
    }
    functions
}

/// The steps that a function takes and the sentences that it says, in order, without what differs between the
/// languages.
fn story(body: &str, steps: &[String]) -> Vec<String> {
    let mut story = Vec::new();
    for line in body.lines().map(str::trim).filter(|line| !line.starts_with('#')) {
        let mut rest = line;
        while !rest.is_empty() {
            let word_end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
            let (word, after) = rest.split_at(word_end);
            if steps.iter().any(|step| step == word) || word == "build" || word == "wait_for_server" {
                story.push(word.to_owned());
            } else if ["say", "die", "wrong"].contains(&word) && after.starts_with(" \"") {
                let sentence = between(after, "\"", "\"");
                story.push(format!("{word} {sentence}"));
                rest = &after[sentence.len() + 3..];
                continue;
            }
            let mut skip = after.chars();
            skip.next();
            rest = skip.as_str();
        }
    }
    story
}
