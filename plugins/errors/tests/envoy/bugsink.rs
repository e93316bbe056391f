//! Bugsink, a Sentry-compatible server on SQLite, with strict validation; and Sentry's own normaliser and scrubber.
//! Both are Python packages that `make deps` leaves in `.tools/sentry`, pinned by test-harness/deps/sentry.txt.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use launchgate_harness::envoy::{Request, send, workspace};
use serde_json::Value;

const LIMIT: Duration = Duration::from_secs(120);
const SETTINGS: &str = r#"
BUGSINK["PHONEHOME"] = False
BUGSINK["VALIDATE_ON_DIGEST"] = "strict"
ALLOWED_HOSTS = ["*"]
"#;
const PROJECT: &str = "from projects.models import Project as P; p=P.objects.create(name='gw',slug='gw'); print('KEY', p.id, p.sentry_key.hex)";
const EVENTS: &str = "
import json
from events.models import Event
print('EVENTS', json.dumps([json.loads(event.data) for event in Event.objects.all()]))
";
/// Normalises and scrubs each event as Relay does at Sentry's door, and prints what it had to object to.
const JUDGE: &str = "
import copy, json, sys
from sentry_relay import processing as P
scrub = P.convert_datascrubbing_config({'scrubData': True, 'scrubDefaults': True, 'scrubIpAddresses': True, 'sensitiveFields': [], 'excludeFields': []})
for event in json.load(sys.stdin):
    normal = P.StoreNormalizer(project_id=1, remove_other=True).normalize_event(copy.deepcopy(event))
    if normal.get('errors'): print('errors', normal['errors'])
    found = P.pii_strip_event(scrub, copy.deepcopy(normal)).get('_meta')
    if found: print('scrubbed', json.dumps(found))
print('judged')
";

/// A running server with one project.
pub(crate) struct Bugsink {
    folder: tempfile::TempDir,
    server: Child,
    address: SocketAddr,
    project: String,
    key: String,
    token: String,
}

impl Bugsink {
    /// Makes a database with a project, and starts the server on a free port.
    pub(crate) fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        run(
            folder.path(),
            "bugsink-create-conf",
            &["--template=local", "--host=127.0.0.1", "--port=8000"],
        );
        let settings = folder.path().join("bugsink_conf.py");
        let text = std::fs::read_to_string(&settings).unwrap() + SETTINGS;
        std::fs::write(&settings, text).unwrap();
        run(
            folder.path(),
            "bugsink-manage",
            &["migrate", "--verbosity=0"],
        );
        run(folder.path(), "bugsink-manage", &["prestart"]);
        let token = run(folder.path(), "bugsink-manage", &["create_auth_token"])
            .lines()
            .last()
            .unwrap()
            .trim()
            .to_owned();
        let made = run(folder.path(), "bugsink-manage", &["shell", "-c", PROJECT]);
        let mut words = made
            .lines()
            .find_map(|line| line.strip_prefix("KEY "))
            .expect("a project")
            .split(' ')
            .map(str::to_owned);
        let (project, key) = (words.next().unwrap(), words.next().unwrap());
        let (server, address) = serve(folder.path());
        Self {
            folder,
            server,
            address,
            project,
            key,
            token,
        }
    }

    /// The DSN of the project, and where the server listens.
    pub(crate) fn entrance(&self) -> (String, SocketAddr) {
        let dsn = format!("http://{}@{}/{}", self.key, self.address, self.project);
        (dsn, self.address)
    }

    /// The issues, as soon as there are so many.
    pub(crate) fn issues(&self, count: usize) -> Vec<Value> {
        let start = Instant::now();
        loop {
            let path = format!("/api/canonical/0/issues/?project={}", self.project);
            let request =
                Request::get(path).header("authorization", format!("Bearer {}", self.token));
            let answer = send(self.address, &request).unwrap();
            assert_eq!(answer.status, 200, "{}", answer.text());
            let issues = answer.json().unwrap()["results"]
                .as_array()
                .unwrap()
                .clone();
            if issues.len() >= count {
                assert_eq!(issues.len(), count, "{issues:?}");
                return issues;
            }
            assert!(
                start.elapsed() < LIMIT,
                "expected {count} issues: {issues:?}"
            );
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    /// Every event as the server stored it.
    pub(crate) fn events(&self) -> Vec<Value> {
        let printed = run(
            self.folder.path(),
            "bugsink-manage",
            &["shell", "-c", EVENTS],
        );
        let events = (printed.lines()).find_map(|line| line.strip_prefix("EVENTS "));
        serde_json::from_str(events.expect("events")).unwrap()
    }

    /// Gives events to Sentry's normaliser and scrubber: neither finds anything.
    pub(crate) fn judge(&self, events: &[Value]) {
        let given = serde_json::to_string(events).unwrap();
        let verdict = python(self.folder.path(), &["-c", JUDGE], &given);
        assert_eq!(verdict, "judged\n", "{given}");
    }
}

impl Drop for Bugsink {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

fn tools() -> PathBuf {
    let tools = workspace().join(".tools/sentry");
    assert!(
        tools.join("bugsink").is_dir(),
        "no Bugsink at {tools:?}: run `make deps`"
    );
    tools
}

fn command(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new("python3");
    let path = std::env::join_paths([folder.to_owned(), tools()]).unwrap();
    command
        .args(arguments)
        .current_dir(folder)
        .env("PYTHONPATH", path)
        .env("HOME", folder)
        .env("DJANGO_SETTINGS_MODULE", "bugsink_conf");
    command
}

fn python(folder: &Path, arguments: &[&str], input: &str) -> String {
    let given = folder.join("input");
    std::fs::write(&given, input).unwrap();
    let output = command(folder, arguments)
        .stdin(std::fs::File::open(given).unwrap())
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{arguments:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

/// Runs one of the package's scripts.
fn run(folder: &Path, script: &str, arguments: &[&str]) -> String {
    let script = tools().join("bin").join(script);
    let arguments: Vec<&str> = [script.to_str().unwrap()]
        .into_iter()
        .chain(arguments.iter().copied())
        .collect();
    python(folder, &arguments, "")
}

/// Starts gunicorn on port 0 and reads from its log which port it got.
fn serve(folder: &Path) -> (Child, SocketAddr) {
    let arguments = [
        "-m",
        "gunicorn",
        "--bind",
        "127.0.0.1:0",
        "--workers",
        "1",
        "--threads",
        "4",
        "bugsink.wsgi",
    ];
    let mut server = command(folder, &arguments)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let (sender, receiver) = std::sync::mpsc::channel();
    let log = BufReader::new(server.stderr.take().unwrap());
    std::thread::spawn(move || {
        for line in log.lines().map_while(Result::ok) {
            if let Some((_, rest)) = line.split_once("Listening at: http://") {
                let _ = sender.send(rest.split(' ').next().unwrap_or_default().to_owned());
            }
        }
    });
    let address = receiver
        .recv_timeout(LIMIT)
        .expect("gunicorn says where it listens");
    (server, address.parse().unwrap())
}
