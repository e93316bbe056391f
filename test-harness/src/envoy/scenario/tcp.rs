//! TCP: a client and an upstream that play a `connection`, with a real Envoy between them.
//!
//! What filters do to bytes is not known here, so nobody can say how many must arrive. After each piece both ends wait for what may
//! come, for a short while at most.

use std::collections::VecDeque;
use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

use super::client::proxy_line;
use crate::scenario::host::{Exchange, Response, UpstreamRequest};
use crate::scenario::step::{Closer, Connection};

/// How long either end waits for bytes that a filter may have held back.
const PIECE: Duration = Duration::from_millis(400);
/// How long for the end of the connection.
const END: Duration = Duration::from_secs(5);

/// The upstream of a TCP listener.
pub(super) struct TcpUpstream {
    cluster: String,
    address: SocketAddr,
    stage: Arc<Mutex<Stage>>,
}

#[derive(Default)]
struct Stage {
    answers: VecDeque<Vec<u8>>,
    open: Option<TcpStream>,
    connected: bool,
    got: Vec<u8>,
    ended: bool,
}

/// What one end has read.
#[derive(Default)]
struct Heard {
    bytes: Vec<u8>,
    ended: bool,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Waits until it holds; `false` after the limit.
fn wait(limit: Duration, holds: impl Fn() -> bool) -> bool {
    #[expect(clippy::disallowed_methods, reason = "real time, on a real gateway")]
    let begun = Instant::now();
    while !holds() {
        if begun.elapsed() > limit {
            return false;
        }
        thread::sleep(Duration::from_millis(5));
    }
    true
}

impl TcpUpstream {
    /// An upstream on a free port.
    pub(super) fn start(cluster: &str) -> Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0))?;
        let address = listener.local_addr()?;
        let stage = Arc::new(Mutex::new(Stage::default()));
        let shared = Arc::clone(&stage);
        // It ends with the process: nobody connects once Envoy is gone.
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                serve(stream, &shared);
            }
        });
        let cluster = cluster.to_owned();
        Ok(Self {
            cluster,
            address,
            stage,
        })
    }

    pub(super) fn cluster(&self) -> &str {
        &self.cluster
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Plays a connection from its beginning to its end.
    pub(super) fn play(&self, listener: SocketAddr, connection: &Connection) -> Result<Exchange> {
        *lock(&self.stage) = Stage {
            answers: connection
                .answers
                .iter()
                .map(|answer| answer.0.clone())
                .collect(),
            ..Stage::default()
        };
        let mut stream = TcpStream::connect_timeout(&listener, END).context("cannot connect")?;
        stream.set_nodelay(true)?;
        stream.write_all(proxy_line(&connection.source, &connection.destination)?.as_bytes())?;
        let heard = listen(stream.try_clone()?);
        wait(PIECE, || lock(&self.stage).connected || lock(&heard).ended);
        for piece in &connection.send {
            let (got, answers) = {
                let stage = lock(&self.stage);
                (stage.got.len(), stage.answers.len())
            };
            let before = lock(&heard).bytes.len();
            if stream.write_all(&piece.0).is_err() {
                break;
            }
            let arrived = wait(PIECE, || {
                lock(&self.stage).got.len() > got || lock(&heard).ended
            });
            if arrived && answers > 0 {
                wait(PIECE, || {
                    lock(&heard).bytes.len() > before || lock(&heard).ended
                });
            }
        }
        let cut = lock(&heard).ended;
        self.close(&stream, &heard, connection.close);
        let (body, mut stage) = (lock(&heard).bytes.clone(), lock(&self.stage));
        stage.open = None;
        let upstream = stage.connected.then(|| UpstreamRequest {
            cluster: self.cluster.clone(),
            body: stage.got.clone(),
            ..UpstreamRequest::default()
        });
        Ok(Exchange {
            id: connection.id.clone(),
            complete: !cut,
            response: Some(Response {
                body,
                ..Response::default()
            }),
            upstream: upstream.into_iter().collect(),
            ..Exchange::default()
        })
    }

    /// Closes from one side, then from the other.
    fn close(&self, client: &TcpStream, heard: &Mutex<Heard>, closer: Closer) {
        let upstream = || {
            if let Some(open) = &lock(&self.stage).open {
                let _ = open.shutdown(Shutdown::Write);
            }
        };
        match closer {
            Closer::Client => {
                let _ = client.shutdown(Shutdown::Write);
                let known = wait(PIECE, || {
                    lock(&self.stage).ended || !lock(&self.stage).connected
                });
                upstream();
                wait(if known { END } else { PIECE }, || lock(heard).ended);
            }
            Closer::Upstream => {
                upstream();
                wait(PIECE, || lock(heard).ended);
                let _ = client.shutdown(Shutdown::Write);
                wait(PIECE, || lock(&self.stage).ended);
            }
        }
        let _ = client.shutdown(Shutdown::Both);
    }
}

/// Reads what the upstream gets, and answers each piece.
fn serve(mut stream: TcpStream, stage: &Arc<Mutex<Stage>>) {
    {
        let mut stage = lock(stage);
        (stage.connected, stage.open) = (true, stream.try_clone().ok());
    }
    let stage = Arc::clone(stage);
    thread::spawn(move || {
        let mut buffer = [0; 65_536];
        while let Ok(size @ 1..) = stream.read(&mut buffer) {
            let answer = {
                let mut stage = lock(&stage);
                stage
                    .got
                    .extend_from_slice(buffer.get(..size).unwrap_or_default());
                stage.answers.pop_front()
            };
            let _ = stream.write_all(&answer.unwrap_or_default());
        }
        lock(&stage).ended = true;
    });
}

fn listen(mut stream: TcpStream) -> Arc<Mutex<Heard>> {
    let heard = Arc::new(Mutex::new(Heard::default()));
    let shared = Arc::clone(&heard);
    thread::spawn(move || {
        let mut buffer = [0; 65_536];
        while let Ok(size @ 1..) = stream.read(&mut buffer) {
            let bytes = buffer.get(..size).unwrap_or_default();
            lock(&shared).bytes.extend_from_slice(bytes);
        }
        lock(&shared).ended = true;
    });
    heard
}
