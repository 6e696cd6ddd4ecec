use super::*;

fn headers(lines: &[(&str, &str)]) -> HeaderMap {
    let mut map = HeaderMap::new();
    for (name, value) in lines {
        map.append(name.parse::<HeaderName>().unwrap(), value.parse().unwrap());
    }
    map
}

fn lines(map: &HeaderMap) -> Vec<String> {
    let mut lines: Vec<String> =
        map.iter().map(|(name, value)| format!("{name}: {}", String::from_utf8_lossy(value.as_bytes()))).collect();
    lines.sort();
    lines
}

#[test]
fn what_ends_here_is_taken_off() {
    let mut map = headers(&[
        ("host", "a.example"),
        ("connection", "close, X-Secret, host, content-length"),
        ("x-secret", "1"),
        ("keep-alive", "timeout=5"),
        ("te", "trailers, deflate"),
        ("transfer-encoding", "chunked"),
        ("content-length", "5"),
        ("proxy-authorization", "x"),
        ("upgrade", "h2c"),
        ("expect", "100-continue"),
        ("muon-function", "spoofed"),
        ("Muon-Path-Param-id", "spoofed"),
        ("x-fission-params-id", "spoofed"),
        ("accept", "*/*"),
    ]);
    cleanse(&mut map);
    assert_eq!(lines(&map), ["accept: */*", "host: a.example", "te: trailers"]);
}

#[test]
fn this_hop_is_added_to_those_before() {
    let origin = Origin::new("10.0.0.9".parse().unwrap());
    let mut map = headers(&[
        ("host", "a.example"),
        ("x-forwarded-for", "1.2.3.4"),
        ("x-forwarded-for", "5.6.7.8"),
        ("x-forwarded-proto", "https"),
    ]);
    origin.add(&mut map);
    assert_eq!(
        lines(&map),
        [
            "forwarded: for=10.0.0.9;host=\"a.example\";proto=https",
            "host: a.example",
            "x-forwarded-for: 1.2.3.4, 5.6.7.8, 10.0.0.9",
            "x-forwarded-host: a.example",
            "x-forwarded-proto: https",
        ]
    );
    let mut map = headers(&[("host", "a\"b")]);
    Origin::new("::1".parse().unwrap()).add(&mut map);
    assert_eq!(map[FORWARDED], "for=\"[::1]\";proto=http");
}

#[test]
fn an_id_is_kept_when_it_is_harmless() {
    assert_eq!(kept_id(&headers(&[("x-request-id", "abc-1")])).unwrap(), "abc-1");
    for bad in ["", "a b", &"x".repeat(129), "ä"] {
        let mut map = HeaderMap::new();
        map.insert(REQUEST_ID, HeaderValue::from_bytes(bad.as_bytes()).unwrap());
        assert_eq!(kept_id(&map), None, "{bad:?}");
    }
}

#[test]
fn an_upgrade_needs_both_headers() {
    assert!(upgrade(&headers(&[("connection", "keep-alive, Upgrade"), ("upgrade", "websocket")])).is_some());
    assert!(upgrade(&headers(&[("upgrade", "websocket")])).is_none());
    assert!(upgrade(&headers(&[("connection", "upgrade")])).is_none());
}

#[test]
fn values_are_decoded_where_a_header_can_hold_them() {
    assert_eq!(decode("a%20b%C3%A4%"), "a bä%".as_bytes());
    let param =
        Param { header: "muon-path-param-id".parse().unwrap(), compatible: "x-fission-params-id".parse().unwrap() };
    let of = |value: &str| parameters(std::slice::from_ref(&param), &[value])[0].1.clone();
    assert_eq!(of("a%20b"), "a b");
    assert_eq!(of("a%0d%0aevil"), "a%0d%0aevil");
}
