//! The function that the environment's tests call.

use std::io::{Read, Write};
use std::sync::{Arc, Barrier, LazyLock};

use muon::{Request, Response};

pub mod api;

static TOGETHER: LazyLock<Arc<Barrier>> = LazyLock::new(|| Arc::new(Barrier::new(8)));

pub fn handle(request: &mut Request) -> std::io::Result<Response> {
    let ok = Response::new(200);
    Ok(match request.path().as_str() {
        "/hello" => ok.text("hello\n"),
        "/request" => {
            let text = request.text()?;
            let fields = [
                ("method", request.method().to_owned()),
                ("path", request.path()),
                ("id", request.param("ID").unwrap_or_default()),
                ("a", request.query("a").unwrap_or_default()),
                ("b", request.query("b").unwrap_or_default()),
                ("two", request.header("x-two").unwrap_or_default().to_owned()),
                ("body", text),
            ];
            let fields: Vec<String> = fields.iter().map(|(name, value)| format!("{name:?}:{value:?}")).collect();
            ok.json(format!("{{{}}}", fields.join(",")))
        }
        "/made" => Response::new(201).header("X-Made", "yes").text("made"),
        "/echo" => {
            let mut body = request.take_body();
            ok.stream(move |out| {
                let mut buffer = [0; 4096];
                loop {
                    let count = body.read(&mut buffer)?;
                    if count == 0 {
                        return Ok(());
                    }
                    out.write_all(&buffer[..count].to_ascii_uppercase())?;
                    out.flush()?;
                }
            })
        }
        "/meet" => {
            TOGETHER.wait();
            ok.text("met")
        }
        "/upgrade" => Response::upgrade("shout", |mut connection| {
            let mut word = [0; 4];
            connection.read_exact(&mut word)?;
            connection.write_all(&word.to_ascii_uppercase())?;
            connection.read_exact(&mut word)?;
            connection.write_all(&word.to_ascii_uppercase())
        })
        .header("X-Volume", "11"),
        "/fail" => deeper(),
        "/error" => return Err(std::io::Error::other("lost by return")),
        "/late" => ok.stream(|out| {
            out.write_all(b"part")?;
            out.flush()?;
            Err(std::io::Error::other("lost"))
        }),
        "/env" => ok.text(format!("{}|{}", std::env::var("GREETING").unwrap_or_default(), std::fs::read_to_string("data.txt")?)),
        "/log" => {
            muon::warn!("a {}", "line");
            ok
        }
        "/hold" => {
            muon::info!("begun");
            ok.text(std::fs::read_to_string(std::env::var("GATE").unwrap())?)
        }
        "/never" => {
            muon::info!("begun");
            loop {
                std::thread::park();
            }
        }
        _ => Response::new(404),
    })
}

#[inline(never)]
fn deeper() -> Response {
    panic!("lost")
}
