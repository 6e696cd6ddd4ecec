//! Counting objects that are ready, by a watch that reads no more than it must.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use futures::{AsyncBufReadExt as _, TryStreamExt as _};
use http::Request;
use kube::Client;
use tokio::task::JoinHandle;

use super::error::ScaleError;

/// The end of the condition that is waited for, as the API server writes it: keys in the order of the alphabet.
const READY: &str = r#""status":"True","type":"Ready""#;
const NAME: &str = r#""name":"fn-"#;

/// A watch that is running.
pub(super) struct Counting {
    task: JoinHandle<Result<Instant, ScaleError>>,
    what: String,
    count: usize,
}

/// Watches a kind of ours from now on, until so many of it are ready.
pub(super) async fn ready(client: &Client, plural: &str, count: usize) -> Result<Counting, ScaleError> {
    let path = format!("/apis/muon.dev/v1alpha1/{plural}?watch=true&timeoutSeconds=3600");
    let lines = client.request_stream(Request::get(path).body(Vec::new())?).await?.lines();
    let task = tokio::spawn(async move {
        let (mut lines, mut found) = (std::pin::pin!(lines), HashSet::new());
        while let Some(line) = lines.try_next().await? {
            if line.contains(READY)
                && let Some(number) = number(&line)
                && found.insert(number)
                && found.len() == count
            {
                return Ok(Instant::now());
            }
        }
        Err(ScaleError::Proxy("a watch ended".to_owned()))
    });
    Ok(Counting { task, what: format!("{count} {plural} to be ready"), count })
}

/// The number in the object's name.
fn number(line: &str) -> Option<u32> {
    let at = line.find(NAME)? + NAME.len();
    line.get(at..)?.split('"').next()?.parse().ok()
}

impl Counting {
    /// When the last of them was.
    pub(super) async fn end(mut self, within: Duration) -> Result<Instant, ScaleError> {
        if self.count == 0 {
            self.task.abort();
            return Ok(Instant::now());
        }
        match tokio::time::timeout(within, &mut self.task).await {
            Ok(ended) => ended?,
            Err(_) => {
                self.task.abort();
                Err(ScaleError::Waited { what: self.what, within })
            }
        }
    }
}
