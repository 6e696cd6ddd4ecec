//! What a process of ours says of itself at `/metrics`.

use std::net::IpAddr;
use std::time::Duration;

use muon_crds::words;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::error::Error;

/// No answer takes longer, and none is longer.
const WITHIN: Duration = Duration::from_secs(5);
const LONGEST: u64 = 4 << 20;

/// Metrics at one moment.
#[derive(Clone, Debug, Default)]
pub(crate) struct Scraped(Vec<(String, f64)>);

impl Scraped {
    /// Those of the process at this address.
    pub(crate) async fn of(address: IpAddr) -> Result<Self, Error> {
        let failed = |source| Error::Connect { address: address.to_string(), what: "metrics".into(), source };
        let text = async {
            let mut stream = TcpStream::connect((address, words::PORT_ADMIN)).await?;
            // The old version ends with the connection, and has no chunks.
            stream.write_all(format!("GET /metrics HTTP/1.0\r\nhost: {address}\r\n\r\n").as_bytes()).await?;
            let mut text = String::new();
            stream.take(LONGEST).read_to_string(&mut text).await?;
            Ok(text)
        };
        let text =
            tokio::time::timeout(WITHIN, text).await.unwrap_or_else(|_| Err(std::io::ErrorKind::TimedOut.into()));
        Ok(Self::parse(&text.map_err(failed)?))
    }

    fn parse(text: &str) -> Self {
        let body = text.split_once("\r\n\r\n").map_or("", |(_, body)| body);
        let lines = body.lines().filter(|line| !line.starts_with('#'));
        Self(lines.filter_map(|line| line.rsplit_once(' ')).filter_map(read).collect())
    }

    /// The sum of all metrics whose text, name and labels, begins so.
    pub(crate) fn sum(&self, begin: &str) -> f64 {
        self.0.iter().filter(|(name, _)| name.starts_with(begin)).map(|(_, value)| value).sum()
    }
}

fn read((name, value): (&str, &str)) -> Option<(String, f64)> {
    Some((name.to_owned(), value.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_are_read_from_their_text() {
        let text =
            "HTTP/1.0 200 OK\r\n\r\n# HELP a_sum b\na_sum{phase=\"route\"} 0.5\na_sum{phase=\"load\"} 2\na_count 3\n";
        let scraped = Scraped::parse(text);
        assert_eq!(
            (scraped.sum("a_sum"), scraped.sum("a_sum{phase=\"load\"}"), scraped.sum("a_count")),
            (2.5, 2.0, 3.0)
        );
    }
}
