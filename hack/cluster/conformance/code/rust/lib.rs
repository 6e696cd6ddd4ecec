use muon::Request;

pub fn handle(request: &mut Request) -> std::io::Result<String> {
    if request.path() == "/env" {
        return Ok(std::env::var("PROBE").unwrap_or_default());
    }
    Ok(format!("{} {} {}", request.method().to_owned(), request.path(), request.text()?))
}
