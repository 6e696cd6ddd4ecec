//! A WebSocket client of a few lines: enough to see that an upgrade passes through everything in front of a function.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, BufStream};
use tokio::net::TcpStream;

use crate::route::Route;

const DEADLINE: Duration = Duration::from_secs(60);
/// Any sixteen bytes will do where nothing is cached and nobody attacks.
const KEY: &str = "bXVvbi1lMmUtdGVzdC1rZQ==";
const MASK: [u8; 4] = [7, 1, 9, 4];
const TEXT: u8 = 0x81;
const CLOSE: u8 = 0x88;
const PING: u8 = 0x89;
const PONG: u8 = 0x8a;

/// An open WebSocket.
pub struct Socket(BufStream<TcpStream>);

impl Socket {
    /// Opens one on a route; gives the status line where that is refused.
    pub async fn open(route: &Route, path: &str) -> Result<Self, String> {
        let address = route.base().strip_prefix("http://").expect("an address");
        let mut stream = BufStream::new(TcpStream::connect(address).await.expect("the Ingress controller listens"));
        let host = &route.host;
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {KEY}\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).await.expect("it is sent");
        stream.flush().await.expect("it is sent");
        let head = tokio::time::timeout(DEADLINE, read_head(&mut stream)).await.expect("an answer in time");
        let status = head.lines().next().unwrap_or_default().to_owned();
        if status.contains(" 101 ") { Ok(Self(stream)) } else { Err(status) }
    }

    /// Sends a short text.
    pub async fn send(&mut self, text: &str) {
        self.frame(TEXT, text.as_bytes()).await;
    }

    /// Receives a short text.
    pub async fn receive(&mut self) -> String {
        let (opcode, payload) = self.read_frame().await;
        assert_eq!(opcode, TEXT, "a text, whole");
        String::from_utf8(payload).expect("text is UTF-8")
    }

    /// Closes it, and waits until the other side has as well.
    pub async fn close(mut self) {
        self.frame(CLOSE, &1000_u16.to_be_bytes()).await;
        assert_eq!(self.read_frame().await.0, CLOSE);
    }

    async fn frame(&mut self, opcode: u8, payload: &[u8]) {
        let length = u8::try_from(payload.len()).ok().filter(|length| *length < 126).expect("a short text");
        let mut frame = vec![opcode, 0x80 | length];
        frame.extend(MASK);
        frame.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
        self.0.write_all(&frame).await.expect("it is sent");
        self.0.flush().await.expect("it is sent");
    }

    /// The next frame that is none of the connection's own; pings are answered.
    async fn read_frame(&mut self) -> (u8, Vec<u8>) {
        loop {
            let read = tokio::time::timeout(DEADLINE, self.read_any_frame());
            let (opcode, payload) = read.await.expect("a frame in time");
            if opcode != PING {
                return (opcode, payload);
            }
            self.frame(PONG, &payload).await;
        }
    }

    async fn read_any_frame(&mut self) -> (u8, Vec<u8>) {
        let mut head = [0; 2];
        self.0.read_exact(&mut head).await.expect("a frame");
        assert!(head[1] < 126, "a short, unmasked frame");
        let mut payload = vec![0; usize::from(head[1])];
        self.0.read_exact(&mut payload).await.expect("the rest of the frame");
        (head[0], payload)
    }
}

async fn read_head(stream: &mut BufStream<TcpStream>) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") && head.len() < 16 * 1024 {
        match stream.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => break,
        }
    }
    String::from_utf8_lossy(&head).into_owned()
}
