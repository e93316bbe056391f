//! `launchgate gateway`, as `make run` starts it. Needs `make build` and `make deps`.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a test stops at the first surprise, and a real Envoy runs in real time"
)]

use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use launchgate_harness::envoy::{Connection, Request, TlsClient, get, send, workspace};
use rustix::process::{Pid, Signal, kill_process};

/// A shared machine compiles the module for each worker.
const LIMIT: Duration = Duration::from_secs(90);

/// The running command. Dropping it stops it.
struct Gateway {
    child: Child,
    ports: [SocketAddr; 3],
    output: Option<BufReader<ChildStderr>>,
}

impl Gateway {
    fn start(bootstrap: Option<&str>) -> Self {
        let ports = free_ports();
        let mut command = Command::new(env!("CARGO_BIN_EXE_launchgate"));
        command.current_dir(workspace()).arg("gateway");
        for (name, address) in ["--port", "--tls-port", "--admin-port"].iter().zip(ports) {
            command.args([name, address.port().to_string().as_str()]);
        }
        if let Some(bootstrap) = bootstrap {
            command.args(["--bootstrap", bootstrap]);
        }
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let output = child.stderr.take().map(BufReader::new);
        Self {
            child,
            ports,
            output,
        }
    }

    /// Reads what it says until it says `wanted`. Envoy ends by itself when it cannot start, and with it the output.
    fn await_line(&mut self, wanted: &str) {
        let (output, mut said) = (self.output.as_mut().unwrap(), String::new());
        loop {
            let before = said.len();
            let read = output.read_line(&mut said).unwrap();
            assert!(read > 0, "it ended without {wanted:?}: {said}");
            if said[before..].contains(wanted) {
                return;
            }
        }
    }

    fn stop(mut self, signal: Signal) -> ExitStatus {
        // Its pipe must not fill while it stops.
        let mut rest = self.output.take().unwrap();
        let drain = std::thread::spawn(move || std::io::copy(&mut rest, &mut std::io::sink()));
        self.signal(signal);
        let end = Instant::now() + LIMIT;
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(Instant::now() < end, "it did not stop at {signal:?}");
            std::thread::sleep(Duration::from_millis(20));
        };
        drain.join().unwrap().unwrap();
        for port in self.ports {
            assert!(TcpStream::connect(port).is_err(), "{port} still listens");
        }
        status
    }

    fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap();
        kill_process(pid, signal).unwrap();
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        if let Ok(None) = self.child.try_wait() {
            self.signal(Signal::TERM);
            drop(self.output.take());
            let _ = self.child.wait();
        }
    }
}

/// Ports that were free a moment ago: the command takes numbers, so nobody can hold them for it.
fn free_ports() -> [SocketAddr; 3] {
    let reserved = [(); 3].map(|()| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap());
    reserved.map(|socket| socket.local_addr().unwrap())
}

#[test]
fn it_serves_all_policies_on_the_ports_asked_for_and_stops_at_sigint() {
    let mut gateway = Gateway::start(None);
    gateway.await_line("gateway on http://localhost:");
    let [plain, tls, admin] = gateway.ports;
    let redirect = send(plain, &Request::get("/a?b").host("shop.example.org")).unwrap();
    let location = format!("https://shop.example.org:{}/a?b", tls.port());
    assert_eq!(
        (redirect.status, redirect.all("location")),
        (301, vec![location])
    );
    assert_eq!(get(plain, "/livez").unwrap().status, 200);
    assert_eq!(get(admin, "/ready").unwrap().status, 200);
    let authority = std::fs::read_to_string(workspace().join("dist/certs/ca.crt")).unwrap();
    for name in ["shop.example.org", "api.example.org"] {
        let client = TlsClient::new(name).trust(&authority);
        let mut connection = Connection::open_tls(tls, &client).unwrap();
        let response = connection.exchange(&Request::get("/").host(name)).unwrap();
        assert_eq!(response.status, 200, "{name}");
        let hsts = response.all("strict-transport-security");
        assert_eq!(hsts, ["max-age=31536000; includeSubDomains"], "{name}");
    }
    assert_eq!(gateway.stop(Signal::INT).code(), Some(0));
}

#[test]
fn it_serves_one_plugin_and_stops_at_sigterm() {
    let mut gateway = Gateway::start(Some("envoy-configs/envoy/health.yaml"));
    gateway.await_line("gateway on http://localhost:");
    let [plain, ..] = gateway.ports;
    assert_eq!(get(plain, "/livez").unwrap().status, 200);
    assert_eq!(get(plain, "/").unwrap().text(), "hello from the service\n");
    assert_eq!(gateway.stop(Signal::TERM).code(), Some(0));
}
