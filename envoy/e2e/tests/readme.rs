//! `scripts/up` as a newcomer runs it: it starts, the tour that it prints works as it is printed, and
//! Ctrl-C leaves nothing running; every file the README names is there. (`examples.rs` runs what the README shows.)

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test ends with it, and says where"
)]

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::thread;

use countersign_e2e::stack::run;
use countersign_e2e::{Person, Process, Repository};

/// `scripts/up`; killed, it could not end what it started.
struct Up(Process);

impl Drop for Up {
    fn drop(&mut self) {
        let _ = self.0.interrupt();
    }
}

const PORTS: [&str; 4] = ["gateway", "console", "upstream", "admin"];

/// Ports that were free a moment ago.
fn free_ports() -> Vec<u16> {
    let held: Vec<TcpListener> = PORTS
        .iter()
        .map(|_| TcpListener::bind("127.0.0.1:0").unwrap())
        .collect();
    held.iter()
        .map(|l| l.local_addr().unwrap().port())
        .collect()
}

fn start(repository: &Repository, folder: &Path, ports: &[u16]) -> Up {
    // Whoever runs the tests in the background has SIGINT ignored, and a shell cannot undo that.
    let mut command = Command::new("env");
    command
        .arg("--default-signal=INT")
        .arg(repository.path("scripts/up"))
        .arg("--data")
        .arg(folder.join("data"));
    for (name, port) in PORTS.iter().zip(ports) {
        command.args([format!("--{name}-port"), port.to_string()]);
    }
    // The programs are there already: `Repository::program` has brought them up to date.
    repository.program("countersign").unwrap();
    command.env("COUNTERSIGN_BUILT", "1");
    Up(Process::start("up", &mut command, folder).unwrap())
}

/// The printed line that begins with `start`, without it.
fn line<'a>(printed: &'a str, start: &str) -> &'a str {
    printed
        .lines()
        .find_map(|l| l.trim().strip_prefix(start))
        .unwrap_or_else(|| panic!("no line `{start}…` in\n{printed}"))
}

/// What is printed for a number of the tour: the rest of its own line, and the command below it.
fn step(printed: &str, number: u8) -> (&str, &str) {
    let mut lines = printed.lines().map(str::trim);
    let title = lines
        .find_map(|l| l.strip_prefix(&format!("{number}. ")))
        .unwrap_or_else(|| panic!("no step {number} in\n{printed}"));
    (title, lines.next().unwrap_or_default())
}

/// Pastes lines into a shell, as their reader does; what they print.
fn paste(folder: &Path, lines: &[&str]) -> String {
    let mut bash = Command::new("bash");
    bash.arg("-c")
        .arg(format!("exec 2>&1\n{}\ntrue", lines.join("\n")))
        .current_dir(folder)
        .env("TMPDIR", folder)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_TERMINAL_PROMPT", "0");
    run(&mut bash).unwrap()
}

#[test]
fn the_tour_works_as_it_is_printed_and_ctrl_c_leaves_nothing() {
    let repository = Repository::find().unwrap();
    let folder = tempfile::TempDir::with_prefix("countersign-up-").unwrap();
    let dir = folder.path();
    let ports = free_ports();
    let mut up = start(&repository, dir, &ports);
    let printed =
        up.0.wait_for("tour", |log| {
            log.contains("Ctrl-C stops everything")
                .then(|| log.to_owned())
        })
        .unwrap();

    let export = format!("export {}", line(&printed, "export "));
    let (_, console) = printed.split_once("console   http").unwrap();
    let console = format!("http{}", console.lines().next().unwrap_or_default());
    let alice = Person::from_link(&console, &printed).unwrap();

    let answer = paste(dir, &[&export, step(&printed, 1).1]);
    assert!(
        answer.contains("Repositories are deleted by the platform team."),
        "{answer}"
    );

    let answer = paste(dir, &[&export, step(&printed, 2).1]);
    assert!(answer.contains("[REDACTED:github-token]"), "{answer}");
    assert!(answer.ends_with("data: [DONE]"), "{answer}");

    let answer = thread::scope(|scope| {
        scope.spawn(|| {
            let asked = alice.asked("the push of the tour", |_| true).unwrap();
            alice.approve(&asked).unwrap();
        });
        paste(dir, &[&export, step(&printed, 3).1])
    });
    assert!(answer.contains("main -> main"), "{answer}");

    for (number, shows) in [(4, "approved"), (5, "repo.delete")] {
        let (title, _) = step(&printed, number);
        let url = title.split_whitespace().last().unwrap_or_default();
        let page = alice.page(url.strip_prefix(&console).unwrap()).unwrap();
        let page = page.to_lowercase();
        assert!(page.contains(shows), "{url} does not show {shows}:\n{page}");
    }

    // A log is read by people and programs: no colours in it.
    for log in ["upstream", "console", "envoy"] {
        let text = fs::read_to_string(dir.join(format!("data/logs/{log}.log"))).unwrap();
        assert!(!text.contains('\u{1b}'), "{log}.log has colours");
    }

    let status = up.0.interrupt().unwrap();
    assert_eq!(status.code(), Some(130));
    for (name, port) in PORTS.iter().zip(&ports) {
        assert!(
            TcpStream::connect(("127.0.0.1", *port)).is_err(),
            "the {name} still answers"
        );
    }
    // Each program has the folder in its arguments.
    let left = Command::new("pgrep")
        .args(["-fa", "--"])
        .arg(dir)
        .output()
        .unwrap();
    let left = String::from_utf8_lossy(&left.stdout);
    assert!(left.is_empty(), "left running:\n{left}");
}

/// What a text names: the targets of its links, and files and folders in backticks.
fn named(markdown: &str) -> Vec<&str> {
    const FOLDERS: [&str; 6] = [
        "filter/",
        "console/",
        "envoy/",
        "scripts/",
        "examples/",
        "./scripts/",
    ];
    let links = markdown.split("](").skip(1);
    let links = links.filter_map(|rest| rest.split_once(')').map(|(link, _)| link));
    let code = markdown.split('`').skip(1).step_by(2);
    let code = code.filter_map(|text| text.split_whitespace().next());
    links
        .filter(|link| !link.contains("://"))
        .chain(code.filter(|text| FOLDERS.iter().any(|folder| text.starts_with(folder))))
        .collect()
}

/// Whether a file is there, with the heading that a link names.
fn is_there(name: &str) -> bool {
    let repository = Repository::find().unwrap();
    let Some((file, anchor)) = name.split_once('#') else {
        return repository.path(name).exists();
    };
    let slug = |heading: &str| -> String {
        let kept = heading
            .trim()
            .chars()
            .filter(|c| c.is_alphanumeric() || " -_".contains(*c));
        kept.collect::<String>().to_lowercase().replace(' ', "-")
    };
    let text = repository.read(file).unwrap_or_default();
    text.lines()
        .filter(|line| line.starts_with('#'))
        .any(|line| slug(line.trim_start_matches('#')) == anchor)
}

#[test]
fn every_file_that_the_readme_names_is_there() {
    let readme = Repository::find().unwrap().read("README.md").unwrap();
    // Blocks have backticks of their own.
    let prose: Vec<&str> = readme.split("```").step_by(2).collect();
    let prose = prose.join("\n");
    let names = named(&prose);
    assert!(names.contains(&"filter/core/src/lib.rs"), "{names:?}");
    let missing: Vec<_> = names.iter().filter(|name| !is_there(name)).collect();
    assert!(missing.is_empty(), "not there: {missing:?}");
}

#[test]
fn a_taken_port_is_named_with_its_remedy() {
    let repository = Repository::find().unwrap();
    let folder = tempfile::TempDir::with_prefix("countersign-up-").unwrap();
    let ports = free_ports();
    let _taken = TcpListener::bind(("127.0.0.1", ports[1])).unwrap();
    let mut up = start(&repository, folder.path(), &ports);
    let ended = up.0.wait_for("tour", |log| {
        log.contains("Ctrl-C stops everything").then_some(())
    });
    let told = ended.unwrap_err().to_string();
    assert!(
        told.contains(&format!("port {} on 127.0.0.1 cannot be used", ports[1])),
        "{told}"
    );
    assert!(
        told.contains("choose another with --console-port N"),
        "{told}"
    );
}
