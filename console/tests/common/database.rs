//! The engine that a test runs on. Test files are compiled twice: by themselves, over SQLite, and in
//! `on_postgres`, over a PostgreSQL server that is started for it.

use std::collections::HashMap;
use std::fs::Permissions;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use countersign::store::sql::Connection;
use countersign::store::{Keeper, Place, Store, StoreError};

/// Whether this test runs over PostgreSQL.
pub fn on_postgres() -> bool {
    module_path!().starts_with("on_postgres") || module_path!().starts_with("consoles")
}

/// The database that belongs to a data folder: the file in it, or one of the server's.
pub fn place(folder: &Path) -> Place {
    match on_postgres() {
        true => Place::Server(Box::new(Server::get().database(folder).parse().unwrap())),
        false => Place::File(folder.join("countersign.db")),
    }
}

/// Changes the database of a data folder behind the console's back.
pub fn alter(folder: &Path, sql: &str) {
    if on_postgres() {
        let server = Server::get();
        let url = server.database(folder);
        server.sql(url.rsplit('/').next().unwrap(), sql);
    } else {
        let behind = rusqlite::Connection::open(folder.join("countersign.db")).unwrap();
        behind.execute_batch(sql).unwrap();
    }
}

/// Somebody who may write the database does so with more than SQL, past every rule of the tables. A
/// console may have it open.
pub fn behind(folder: &Path, work: impl FnOnce(&Connection) + Send + 'static) {
    let place = place(folder);
    let rules = match &place {
        Place::File(path) => {
            let connection = Connection::open(path).unwrap();
            connection
                .execute_batch("PRAGMA foreign_keys = off")
                .unwrap();
            return work(&connection);
        }
        Place::Server(_) => "SET LOCAL session_replication_role = replica",
    };
    let store = Store::open_at(&place, Box::new(Nobody)).unwrap();
    store
        .write_now(move |c| {
            c.execute_batch(rules)?;
            work(c);
            Ok(())
        })
        .unwrap();
    store.close();
}

/// Keeps nothing up: what is written is all that is changed.
struct Nobody;

impl Keeper for Nobody {
    fn before_commit(&mut self, _: &Connection) -> Result<(), StoreError> {
        Ok(())
    }

    fn after_commit(&mut self) {}

    fn has_work(&self) -> bool {
        false
    }

    fn when_idle(&mut self, _: &Connection, _: &dyn Fn() -> bool) -> Result<bool, StoreError> {
        Ok(false)
    }
}

/// A copy of the database of a data folder that no console has open, for another folder.
pub fn copy_database(from: &Path, to: &Path) {
    if on_postgres() {
        return Server::get().copy(from, to);
    }
    assert!(!from.join("countersign.db-wal").exists(), "it was closed");
    std::fs::copy(from.join("countersign.db"), to.join("countersign.db")).unwrap();
}

/// What a program has to be told to find the database of a data folder.
pub fn environment(folder: &Path) -> Option<(&'static str, String)> {
    on_postgres().then(|| ("COUNTERSIGN_DATABASE", Server::get().database(folder)))
}

/// PostgreSQL's own.
const PORT: u16 = 5432;

/// A PostgreSQL server of the tests' own, in a temporary folder, on a socket there.
pub struct Server {
    pub folder: PathBuf,
    #[allow(dead_code)] // It runs for as long as this is there.
    running: Running,
    port: u16,
    known: Mutex<HashMap<PathBuf, String>>,
}

impl Server {
    /// The server of this test program.
    pub fn get() -> &'static Self {
        static SERVER: OnceLock<Server> = OnceLock::new();
        SERVER.get_or_init(|| Self::with(initialised(), &[], PORT))
    }

    /// A server over a folder, with settings of its own. The port is part of its socket's name too.
    pub fn with(folder: PathBuf, settings: &[String], port: u16) -> Self {
        let server = Self {
            running: Running::start_with(&folder, settings),
            folder,
            port,
            known: Mutex::default(),
        };
        server.wait();
        server
    }

    /// The URL of the database that belongs to a data folder; made the first time.
    pub fn database(&self, folder: &Path) -> String {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known
            .entry(folder.to_owned())
            .or_insert_with(|| {
                let name = database_name(folder);
                self.sql("postgres", &format!("CREATE DATABASE {name}"));
                self.url(&name)
            })
            .clone()
    }

    /// Makes the database of a folder as a copy of another's.
    fn copy(&self, from: &Path, to: &Path) {
        let (old, new) = (database_name(from), database_name(to));
        self.sql("postgres", &format!("CREATE DATABASE {new} TEMPLATE {old}"));
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.insert(to.to_owned(), self.url(&new));
    }

    pub fn url(&self, database: &str) -> String {
        let socket = self.folder.display().to_string().replace('/', "%2F");
        format!("postgres://postgres@{socket}/{database}")
    }

    /// What psql prints for a statement.
    pub fn sql(&self, database: &str, sql: &str) -> String {
        let asked = Command::new(program("psql"))
            .args(["-X", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-U", "postgres"])
            .args([
                "-d",
                database,
                "-c",
                sql,
                "-p",
                &self.port.to_string(),
                "-h",
            ])
            .arg(&self.folder)
            .output()
            .unwrap();
        assert!(
            asked.status.success(),
            "{sql}: {}",
            String::from_utf8_lossy(&asked.stderr)
        );
        String::from_utf8(asked.stdout).unwrap().trim().to_owned()
    }

    fn wait(&self) {
        let begun = Instant::now();
        loop {
            let ready = Command::new(program("pg_isready"))
                .args(["-q", "-p", &self.port.to_string(), "-h"])
                .arg(&self.folder)
                .status();
            if ready.unwrap().success() {
                return;
            }
            assert!(
                begun.elapsed() < Duration::from_secs(60),
                "PostgreSQL does not start in {}",
                self.folder.display()
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

fn database_name(folder: &Path) -> String {
    let mut hash = DefaultHasher::new();
    folder.hash(&mut hash);
    format!("c{:016x}", hash.finish())
}

/// A folder with a fresh cluster. The server does not run as root, and then the folder is its user's.
pub fn initialised() -> PathBuf {
    let folder = tempfile::Builder::new()
        .prefix("countersign-postgres")
        .tempdir()
        .unwrap()
        .keep();
    give_to_server(&folder);
    let made = as_server_user("initdb")
        .args([
            "-U",
            "postgres",
            "--auth=trust",
            "-E",
            "UTF8",
            "--no-locale",
            "--no-sync",
            "-D",
        ])
        .arg(folder.join("data"))
        .output()
        .unwrap();
    assert!(
        made.status.success(),
        "initdb: {}",
        String::from_utf8_lossy(&made.stderr)
    );
    folder
}

/// A file that only the server may read.
pub fn owned_by_server(path: &Path, text: &str) {
    std::fs::write(path, text).unwrap();
    std::fs::set_permissions(path, Permissions::from_mode(0o600)).unwrap();
    give_to_server(path);
}

fn give_to_server(path: &Path) {
    if !is_root() {
        return;
    }
    let id = |what: &str| {
        let said = Command::new("id")
            .args([what, "postgres"])
            .output()
            .unwrap();
        let said = String::from_utf8(said.stdout).unwrap();
        said.trim()
            .parse()
            .expect("the user postgres of Debian's package")
    };
    chown(path, Some(id("-u")), Some(id("-g"))).unwrap();
}

/// A server that runs. It ends with this program, however that ends, and its folder goes with it: a
/// shell waits for the end of its input.
pub struct Running {
    shell: Child,
    folder: PathBuf,
}

impl Running {
    /// Starts the server of a folder.
    pub fn start(folder: &Path) -> Self {
        Self::start_with(folder, &[])
    }

    /// As [`Running::start`], with settings of its own.
    fn start_with(folder: &Path, settings: &[String]) -> Self {
        let server = as_server_user("postgres");
        let shell = Command::new("sh")
            .args([
                "-c",
                r#"exec 3<&0; "$@" 3<&- & server=$!
                   { read -r _ <&3; kill -QUIT $server; } & wait $server
                   read -r _ <&3; rm -rf "$0""#,
            ])
            .arg(folder)
            .arg(server.get_program())
            .args(server.get_args())
            .arg("-D")
            .arg(folder.join("data"))
            .arg("-k")
            .arg(folder)
            .args(["-c", "listen_addresses=", "-c", "max_connections=200"])
            // Nothing here has to outlive the machine.
            .args(["-c", "fsync=off", "-c", "full_page_writes=off"])
            .args(settings.iter().flat_map(|setting| ["-c", setting]))
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Self {
            shell,
            folder: folder.to_owned(),
        }
    }

    /// SIGKILL to the server itself.
    pub fn kill(&self) {
        let said = std::fs::read_to_string(self.folder.join("data/postmaster.pid")).unwrap();
        let server = said.lines().next().unwrap();
        let killed = Command::new("kill").args(["-KILL", server]).status();
        assert!(killed.unwrap().success());
    }

    /// Ends it and removes the folder.
    pub fn end(mut self) {
        drop(self.shell.stdin.take());
        self.shell.wait().unwrap();
    }
}

fn is_root() -> bool {
    let said = Command::new("id").arg("-u").output().unwrap();
    said.stdout == b"0\n"
}

fn as_server_user(name: &str) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL"]);
    if is_root() {
        command.args([
            "--reuid",
            "postgres",
            "--regid",
            "postgres",
            "--init-groups",
        ]);
    }
    command.arg("--").arg(program(name));
    command.current_dir("/");
    command
}

/// A program of PostgreSQL: on the path, or where Debian has it.
pub fn program(name: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    let versions = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten();
    let mut versions: Vec<PathBuf> = versions.map(|entry| entry.unwrap().path()).collect();
    versions.sort();
    folders.extend(versions.iter().rev().map(|version| version.join("bin")));
    folders
        .iter()
        .map(|folder| folder.join(name))
        .find(|program| program.is_file())
        .unwrap_or_else(|| panic!("no {name} of PostgreSQL here: run scripts/setup --test"))
}

/// Whether PostgreSQL is there; says so if it is not.
pub fn is_there() -> bool {
    let there = std::panic::catch_unwind(|| program("initdb")).is_ok();
    if !there {
        println!("skipped: no PostgreSQL (scripts/setup --test)");
    }
    there
}
