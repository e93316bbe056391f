//! Bugsink, a Sentry-compatible server on SQLite, told to validate strictly: Python packages in a folder, pinned, started on a free port.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use crate::envoy::{Request, send};

/// A start takes Django's migrations and a web server.
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

/// A running server with one project. Dropping it stops the process.
pub struct Bugsink {
    home: Home,
    server: Child,
    address: SocketAddr,
    project: String,
    key: String,
    token: String,
}

impl Bugsink {
    /// Whether the packages are in this folder.
    pub fn is_installed(packages: &Path) -> bool {
        packages.join("bugsink").is_dir()
    }

    /// Makes a database with a project, and starts the server on a free port.
    pub fn start(packages: &Path) -> Result<Self> {
        let packages = std::path::absolute(packages)?;
        ensure!(
            Self::is_installed(&packages),
            "no Bugsink at {packages:?}: run `make deps`"
        );
        let folder = tempfile::tempdir()?;
        let home = Home { folder, packages };
        let conf = ["--template=local", "--host=127.0.0.1", "--port=8000"];
        home.script("bugsink-create-conf", &conf)?;
        let settings = home.folder.path().join("bugsink_conf.py");
        std::fs::write(&settings, std::fs::read_to_string(&settings)? + SETTINGS)?;
        home.script("bugsink-manage", &["migrate", "--verbosity=0"])?;
        home.script("bugsink-manage", &["prestart"])?;
        let told = home.script("bugsink-manage", &["create_auth_token"])?;
        let token = told.lines().last().context("no token")?.trim().to_owned();
        let made = home.script("bugsink-manage", &["shell", "-c", PROJECT])?;
        let (project, key) = made
            .lines()
            .find_map(|line| line.strip_prefix("KEY ")?.split_once(' '))
            .context("no project was made")?;
        let (project, key) = (project.to_owned(), key.to_owned());
        let (server, address) = home.serve()?;
        Ok(Self {
            home,
            server,
            address,
            project,
            key,
            token,
        })
    }

    /// The DSN of the project.
    pub fn dsn(&self) -> String {
        format!("http://{}@{}/{}", self.key, self.address, self.project)
    }

    /// Where the server listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The issues, as its API tells them now.
    pub fn issues(&self) -> Result<Vec<Value>> {
        let path = format!("/api/canonical/0/issues/?project={}", self.project);
        let request = Request::get(path).header("authorization", format!("Bearer {}", self.token));
        let answer = send(self.address, &request)?;
        ensure!(answer.status == 200, "Bugsink answered {}", answer.status);
        let issues = answer.json()?["results"].as_array().cloned();
        issues.context("an answer without results")
    }

    /// Every event as the server stored it.
    pub fn events(&self) -> Result<Vec<Value>> {
        let told = self
            .home
            .script("bugsink-manage", &["shell", "-c", EVENTS])?;
        let events = told.lines().find_map(|line| line.strip_prefix("EVENTS "));
        Ok(serde_json::from_str(
            events.context("no events were told")?,
        )?)
    }

    /// Runs a program of the same packages; gives what it prints.
    pub fn python(&self, program: &str, input: &str) -> Result<String> {
        self.home.python(&["-c", program], input)
    }
}

impl Drop for Bugsink {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

/// Where everything of one server is.
struct Home {
    folder: tempfile::TempDir,
    packages: PathBuf,
}

impl Home {
    fn command(&self, arguments: &[&str]) -> Result<Command> {
        let folder = self.folder.path();
        let path = std::env::join_paths([folder, &self.packages])?;
        let mut command = Command::new("python3");
        command
            .args(arguments)
            .current_dir(folder)
            .env("PYTHONPATH", path)
            .env("HOME", folder)
            .env("DJANGO_SETTINGS_MODULE", "bugsink_conf");
        Ok(command)
    }

    fn python(&self, arguments: &[&str], input: &str) -> Result<String> {
        let given = self.folder.path().join("input");
        std::fs::write(&given, input)?;
        let output = self
            .command(arguments)?
            .stdin(std::fs::File::open(given)?)
            .output()
            .context("python3 does not start")?;
        let complaint = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "{arguments:?}: {complaint}");
        Ok(String::from_utf8(output.stdout)?)
    }

    /// Runs one of the package's scripts.
    fn script(&self, name: &str, arguments: &[&str]) -> Result<String> {
        let script = self.packages.join("bin").join(name);
        let script = script.to_str().context("a path that is no text")?;
        self.python(&[&[script], arguments].concat(), "")
    }

    /// Starts gunicorn on port 0 and reads from its log which port it got.
    fn serve(&self) -> Result<(Child, SocketAddr)> {
        let arguments =
            "-m gunicorn --bind 127.0.0.1:0 --workers 1 --threads 4 bugsink.wsgi".split(' ');
        let mut server = self
            .command(&arguments.collect::<Vec<_>>())?
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .context("gunicorn does not start")?;
        let (sender, receiver) = std::sync::mpsc::channel();
        let log = server.stderr.take().context("gunicorn has no log")?;
        std::thread::spawn(move || {
            for line in BufReader::new(log).lines().map_while(Result::ok) {
                if let Some((_, rest)) = line.split_once("Listening at: http://") {
                    let _ = sender.send(rest.split(' ').next().unwrap_or_default().to_owned());
                }
            }
        });
        let told = receiver.recv_timeout(LIMIT);
        let address = told
            .ok()
            .and_then(|address| address.parse().ok())
            .context("gunicorn did not say where it listens");
        if address.is_err() {
            let _ = server.kill();
            let _ = server.wait();
        }
        Ok((server, address?))
    }
}
