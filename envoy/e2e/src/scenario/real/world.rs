//! The scripted services and the scripted upstream, on one port.

use std::io::{BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};
use countersign_core::effect::{Call, CallKind};

use super::super::format::Upstream;
use super::super::seen::Sent;
use super::super::services::Services;
use super::http1::{self, Message};

/// What the present scenario says, and what was seen of it.
pub struct Scene {
    /// Services behind the clusters.
    pub services: Services,
    /// What the upstream answers next.
    pub upstream: Upstream,
    /// What it got: the request, records that were durable, approvals that were given.
    pub forwarded: Option<(Sent, usize, usize)>,
}

/// A server that plays whatever scene is on.
pub struct World {
    /// Where it listens.
    pub address: SocketAddr,
    scene: Arc<Mutex<Option<Scene>>>,
}

impl World {
    /// Listens on a free port.
    ///
    /// # Errors
    /// There is none.
    pub fn start() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        let scene: Arc<Mutex<Option<Scene>>> = Arc::default();
        let shared = Arc::clone(&scene);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let scene = Arc::clone(&shared);
                // A connection that ends in an error is one that a scenario ends so.
                std::thread::spawn(move || serve(stream, &scene).unwrap_or_default());
            }
        });
        Ok(World { address, scene })
    }

    /// The scene, to be set or read.
    pub fn scene(&self) -> MutexGuard<'_, Option<Scene>> {
        lock(&self.scene)
    }
}

fn lock(scene: &Mutex<Option<Scene>>) -> MutexGuard<'_, Option<Scene>> {
    scene.lock().unwrap_or_else(PoisonError::into_inner)
}

fn serve(stream: TcpStream, scene: &Mutex<Option<Scene>>) -> Result<()> {
    let mut from = BufReader::new(stream.try_clone()?);
    let mut to = stream;
    while let Some(request) = http1::read(&mut from, false)? {
        let host = request.header("host").unwrap_or_default();
        match host.as_str() {
            "console" | "idp" => service(&request, &host, scene, &mut to)?,
            _ => upstream(&request, scene, &mut to)?,
        }
    }
    Ok(())
}

fn service(
    request: &Message,
    cluster: &str,
    scene: &Mutex<Option<Scene>>,
    to: &mut impl Write,
) -> Result<()> {
    let (method, path) = target(request)?;
    let mut headers = vec![
        (":method".to_owned(), method),
        (":path".to_owned(), path),
        (":authority".to_owned(), cluster.to_owned()),
    ];
    for (name, value) in &request.headers {
        headers.push((name.clone(), String::from_utf8(value.clone())?));
    }
    let call = Call {
        kind: CallKind::Http,
        cluster: cluster.to_owned(),
        headers,
        body: request.body.clone(),
        timeout_ms: 0,
    };
    let said = {
        let mut scene = lock(scene);
        scene
            .as_mut()
            .context("no scene is on")?
            .services
            .call(&call)?
    };
    std::thread::sleep(Duration::from_millis(said.after_ms.min(30_000)));
    // Without a status the connection just ends.
    let status = said.answer.status.context("the scenario gives no answer")?;
    let headers = said
        .answer
        .headers
        .iter()
        .map(|(n, v)| (n.to_owned(), v.to_vec()))
        .collect();
    let length = said.answer.body.len();
    http1::write(
        to,
        &format!("HTTP/1.1 {status} Said"),
        &headers,
        &[said.answer.body],
        Some(length),
    )
}

fn upstream(request: &Message, scene: &Mutex<Option<Scene>>, to: &mut impl Write) -> Result<()> {
    let (method, path) = target(request)?;
    let answer = {
        let mut scene = lock(scene);
        let scene = scene.as_mut().context("no scene is on")?;
        let mut headers = vec![
            (":method".to_owned(), method.clone().into_bytes()),
            (":path".to_owned(), path.into_bytes()),
        ];
        headers.extend(request.headers.iter().cloned());
        let sent = Sent {
            headers,
            body: request.body.clone(),
        };
        let before = (scene.services.records.len(), scene.services.approved.len());
        scene.forwarded = Some((sent, before.0, before.1));
        scene.upstream.clone()
    };
    let pieces = answer.body.pieces()?;
    let said = answer
        .headers
        .get("content-length")
        .and_then(|v| v.values().first()?.parse().ok());
    let length = match (method.as_str(), said) {
        ("HEAD", said) => said,
        (_, Some(_)) => Some(pieces.concat().len()),
        (_, None) if pieces.is_empty() => Some(0),
        (_, None) => None,
    };
    let start = format!("HTTP/1.1 {} Said", answer.status);
    if answer.status == 204 {
        to.write_all(format!("{start}\r\n\r\n").as_bytes())?;
        return Ok(());
    }
    let pieces = if method == "HEAD" { Vec::new() } else { pieces };
    http1::write(to, &start, &answer.pairs(), &pieces, length)
}

fn target(request: &Message) -> Result<(String, String)> {
    let mut words = request.start.split(' ');
    let method = words.next().context("no method")?;
    Ok((
        method.to_owned(),
        words.next().context("no path")?.to_owned(),
    ))
}
