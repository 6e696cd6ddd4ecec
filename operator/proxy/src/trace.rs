//! W3C trace context: whose trace a request belongs to, kept from the client or begun here.
//!
//! A request that comes without both gets its id and its trace in one piece of memory: then the request id *is* the
//! trace id. Spans exist only where somebody takes them ([`crate::Config::traces`]); otherwise the context passes through.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::headers;
use crate::random;

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");
/// `00-<trace>-<span>-<flags>`.
const LENGTH: usize = 55;
const TRACE: std::ops::Range<usize> = 3..35;
const SPAN: std::ops::Range<usize> = 36..52;
const DIGITS: &[u8; 16] = b"0123456789abcdef";

/// Which requests are traced that come without a decision of the client's, and whether spans are made of them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Policy {
    /// Traces whose number is below it are sampled.
    bound: u64,
    spans: bool,
}

impl Policy {
    pub(crate) fn new(ratio: f64, spans: bool) -> Self {
        let bound = if ratio >= 1.0 { u64::MAX } else { (ratio.max(0.0) * (1u64 << 63) as f64) as u64 };
        Self { bound, spans }
    }

    /// By the trace's own number, so that all who sample at this ratio decide alike.
    fn samples(self, low: u64) -> bool {
        low >> 1 < self.bound
    }
}

/// The trace of one request.
#[derive(Clone, Debug)]
pub(crate) struct Context {
    /// What the pod is told.
    header: HeaderValue,
    /// It differs from what the client sent.
    ours: bool,
    sampled: bool,
    /// The client began it.
    remote: bool,
    pub(crate) spans: Option<Spans>,
}

/// Numbers of the spans that are made of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Spans {
    /// The client's.
    pub(crate) parent: Option<u64>,
    /// From the head of the request to the end of the answer.
    pub(crate) server: u64,
    /// In the pod.
    pub(crate) client: u64,
}

/// The id of a request and its trace.
pub(crate) fn begin(headers: &HeaderMap, policy: Policy) -> (HeaderValue, Context) {
    let id = headers::kept_id(headers);
    match parent(headers) {
        Some(header) => (id.unwrap_or_else(random::request_id), Context::kept(header, policy)),
        None => {
            let (fresh, context) = Context::fresh(policy);
            (id.unwrap_or(fresh), context)
        }
    }
}

/// The one `traceparent` that can be read.
fn parent(headers: &HeaderMap) -> Option<&HeaderValue> {
    let first = headers.get(TRACEPARENT)?;
    let alone = headers.get_all(TRACEPARENT).iter().nth(1).is_none();
    (alone && is_valid(first.as_bytes())).then_some(first)
}

fn is_valid(text: &[u8]) -> bool {
    let lower_hex = |byte: &u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    let field = |range: std::ops::Range<usize>| text.get(range).filter(|field| field.iter().all(lower_hex));
    let some_bit = |field: &[u8]| field.iter().any(|byte| *byte != b'0');
    let (Some(version), Some(trace), Some(span), Some(_)) = (field(0..2), field(TRACE), field(SPAN), field(53..LENGTH))
    else {
        return false;
    };
    let dashes = [2, 35, 52].iter().all(|at| text.get(*at) == Some(&b'-'));
    let rest = match version {
        b"00" => text.len() == LENGTH,
        b"ff" => false,
        // A later version may say more behind what this one says.
        _ => text.len() == LENGTH || text.get(LENGTH) == Some(&b'-'),
    };
    dashes && rest && some_bit(trace) && some_bit(span)
}

impl Context {
    fn kept(header: &HeaderValue, policy: Policy) -> Self {
        let text = header.as_bytes();
        let sampled = text.get(54).and_then(|digit| (*digit as char).to_digit(16)).is_some_and(|flags| flags & 1 == 1);
        if !(policy.spans && sampled) {
            return Self { header: header.clone(), ours: false, sampled, remote: true, spans: None };
        }
        let spans = Spans { parent: Some(hex(text.get(SPAN))), ..Spans::new() };
        let trace = [hex(text.get(3..19)), hex(text.get(19..35))];
        Self {
            header: shared(written(trace, spans.client, true)).0,
            ours: true,
            sampled,
            remote: true,
            spans: Some(spans),
        }
    }

    /// A new trace, and the request id that goes with it.
    fn fresh(policy: Policy) -> (HeaderValue, Self) {
        let trace = [random::number(), random::number()];
        let sampled = policy.samples(trace[1]);
        let spans = (policy.spans && sampled).then(Spans::new);
        let span = spans.map_or_else(span, |spans| spans.client);
        let (header, id) = shared(written(trace, span, sampled));
        (id, Self { header, ours: true, sampled, remote: false, spans })
    }

    /// What others are told.
    pub(crate) fn header(&self) -> &HeaderValue {
        &self.header
    }

    /// Has the request that goes to the pod carry it.
    pub(crate) fn put(&self, headers: &mut HeaderMap) {
        if self.ours {
            headers.insert(TRACEPARENT, self.header.clone());
            if !self.remote {
                // The state of a trace that nobody could read belongs to no trace.
                headers.remove(TRACESTATE);
            }
        }
    }

    /// The trace's id: 32 hexadecimal digits.
    pub(crate) fn id(&self) -> &str {
        self.header.to_str().ok().and_then(|text| text.get(TRACE)).unwrap_or_default()
    }

    /// The id of a trace that somebody keeps.
    pub(crate) fn kept_id(&self) -> Option<&str> {
        (self.sampled && (self.remote || self.spans.is_some())).then(|| self.id())
    }
}

impl Spans {
    fn new() -> Self {
        Self { parent: None, server: span(), client: span() }
    }
}

/// A span's number: any but 0.
pub(crate) fn span() -> u64 {
    random::number().max(1)
}

fn hex(digits: Option<&[u8]>) -> u64 {
    let digits = digits.unwrap_or_default().iter();
    digits.fold(0, |number, digit| number << 4 | u64::from((*digit as char).to_digit(16).unwrap_or_default()))
}

fn written(trace: [u64; 2], span: u64, sampled: bool) -> [u8; LENGTH] {
    let mut text = *b"00-00000000000000000000000000000000-0000000000000000-00";
    // An id of zeros is none.
    let trace = [trace[0].max(1), trace[1]];
    for (from, number) in [(3, trace[0]), (19, trace[1]), (36, span)] {
        for (at, byte) in text.iter_mut().skip(from).take(16).enumerate() {
            *byte = DIGITS[(number >> (60 - at * 4)) as usize & 15];
        }
    }
    if sampled && let Some(flag) = text.last_mut() {
        *flag = b'1';
    }
    text
}

/// The header and the trace's id, in one allocation.
fn shared(text: [u8; LENGTH]) -> (HeaderValue, HeaderValue) {
    let text = Bytes::from_owner(text);
    let value = |bytes: Bytes| HeaderValue::from_maybe_shared(bytes).unwrap_or(HeaderValue::from_static("unknown"));
    (value(text.clone()), value(text.slice(TRACE)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIVEN: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    fn headers(lines: &[(&str, &str)]) -> HeaderMap {
        let pair = |(name, value): &(&str, &str)| (name.parse::<HeaderName>().unwrap(), value.parse().unwrap());
        lines.iter().map(pair).fold(HeaderMap::new(), |mut map, (name, value)| {
            map.append(name, value);
            map
        })
    }

    fn sent(lines: &[(&str, &str)], policy: Policy) -> (String, Context, HeaderMap) {
        let mut map = headers(lines);
        let (id, context) = begin(&map, policy);
        context.put(&mut map);
        (id.to_str().unwrap().to_owned(), context, map)
    }

    fn told(map: &HeaderMap) -> &str {
        map[TRACEPARENT].to_str().unwrap()
    }

    #[test]
    fn a_clients_context_passes_through_untouched_where_nobody_takes_spans() {
        let lines = [("traceparent", GIVEN), ("tracestate", "a=1,b=2")];
        let (id, context, map) = sent(&lines, Policy::new(1.0, false));
        assert_eq!((told(&map), &map["tracestate"]), (GIVEN, &HeaderValue::from_static("a=1,b=2")));
        assert_eq!(context.id(), "0af7651916cd43dd8448eb211c80319c");
        assert!(context.spans.is_none() && context.kept_id().is_some());
        assert_ne!(id, context.id());
    }

    #[test]
    fn with_spans_the_pod_is_told_the_one_of_its_request() {
        let lines = [("traceparent", GIVEN), ("tracestate", "a=1"), ("x-request-id", "mine")];
        let (id, context, map) = sent(&lines, Policy::new(0.0, true));
        let spans = context.spans.unwrap();
        assert_eq!(id, "mine");
        assert_eq!(spans.parent, Some(0xb7ad_6b71_6920_3331));
        assert_eq!(told(&map), format!("00-0af7651916cd43dd8448eb211c80319c-{:016x}-01", spans.client));
        assert_eq!(map["tracestate"], "a=1");
    }

    #[test]
    fn a_client_that_is_not_sampled_has_no_spans() {
        let given = GIVEN.replace("-01", "-00");
        let (_, context, map) = sent(&[("traceparent", &given)], Policy::new(1.0, true));
        assert_eq!(told(&map), given);
        assert!(context.spans.is_none() && context.kept_id().is_none());
    }

    #[test]
    fn a_new_trace_has_the_name_of_the_request() {
        for spans in [false, true] {
            let (id, context, map) = sent(&[("tracestate", "lost=1")], Policy::new(1.0, spans));
            assert_eq!((id.len(), &*id), (32, context.id()));
            assert!(is_valid(told(&map).as_bytes()) && told(&map).ends_with("-01"));
            assert!(told(&map).contains(&id) && !map.contains_key("tracestate"));
            assert_eq!(context.spans.is_some(), spans);
        }
        let (id, context, _) = sent(&[("x-request-id", "mine")], Policy::new(1.0, false));
        assert!(id == "mine" && context.id().len() == 32);
    }

    #[test]
    fn so_many_are_sampled_as_the_ratio_says() {
        let sampled = |ratio| {
            let policy = Policy::new(ratio, true);
            (0..4000).filter(|_| Context::fresh(policy).1.kept_id().is_some()).count()
        };
        assert_eq!((sampled(0.0), sampled(1.0)), (0, 4000));
        assert!((700..1300).contains(&sampled(0.25)));
    }

    #[test]
    fn what_cannot_be_read_begins_anew() {
        for broken in [
            "",
            "00",
            &GIVEN[..54],
            &format!("{GIVEN}-00"),
            &GIVEN.replace("0af", "0AF"),
            &GIVEN.replace("00-", "ff-"),
            &GIVEN.replace("0af7651916cd43dd8448eb211c80319c", &"0".repeat(32)),
            &GIVEN.replace("b7ad6b7169203331", &"0".repeat(16)),
            &GIVEN.replace("-b7", "_b7"),
        ] {
            let (_, context, map) = sent(&[("traceparent", broken), ("tracestate", "a=1")], Policy::new(1.0, false));
            assert!(!context.remote && is_valid(told(&map).as_bytes()) && !map.contains_key("tracestate"), "{broken}");
        }
        let (_, twice, _) = sent(&[("traceparent", GIVEN), ("traceparent", GIVEN)], Policy::new(1.0, false));
        assert!(!twice.remote);
        let later = format!("{}-more", GIVEN.replace("00-", "cc-"));
        let (_, context, map) = sent(&[("traceparent", &later)], Policy::new(1.0, false));
        assert!(context.remote && told(&map) == later);
    }
}
