use super::*;

fn spec(min: i32, schedule: &str) -> FunctionSpec {
    let text = format!("{{environment: python, package: p, scaling: {{min: {min}, max: 20, schedule: [{schedule}]}}}}");
    serde_yaml::from_str(&text).unwrap()
}

fn at(time: &str) -> i64 {
    DateTime::parse_from_rfc3339(time).unwrap().timestamp()
}

#[track_caller]
fn check(spec: &FunctionSpec, time: &str, pods: i32, until: &str) {
    let kept = kept(spec, at(time)).unwrap();
    let found = kept.until.map(|until| DateTime::from_timestamp(until, 0).unwrap().to_rfc3339());
    assert_eq!((kept.pods, found), (pods, Some(DateTime::parse_from_rfc3339(until).unwrap().to_utc().to_rfc3339())));
}

#[test]
fn a_window_is_open_from_its_start_to_its_end_on_the_days_of_its_pattern() {
    let office = spec(1, "{start: '0 8 * * MON-FRI', end: '0 18 * * *', timeZone: Europe/Berlin, min: 5}");
    check(&office, "2026-01-15T07:59:59+01:00", 1, "2026-01-15T08:00:00+01:00");
    check(&office, "2026-01-15T08:00:00+01:00", 5, "2026-01-15T18:00:00+01:00");
    check(&office, "2026-01-15T17:59:59+01:00", 5, "2026-01-15T18:00:00+01:00");
    check(&office, "2026-01-15T18:00:00+01:00", 1, "2026-01-16T08:00:00+01:00");
    // A Saturday.
    check(&office, "2026-01-17T12:00:00+01:00", 1, "2026-01-19T08:00:00+01:00");
    // The same wall clock in summer, an hour earlier in UTC.
    check(&office, "2026-07-15T06:00:00Z", 5, "2026-07-15T16:00:00Z");
}

#[test]
fn a_duration_reaches_over_midnight_and_is_begun_anew_by_an_opening_inside_it() {
    let night = spec(0, "{start: '30 22 * * *', duration: 2h30m, min: 3}");
    check(&night, "2026-03-03T22:29:59Z", 0, "2026-03-03T22:30:00Z");
    check(&night, "2026-03-04T00:59:59Z", 3, "2026-03-04T01:00:00Z");
    check(&night, "2026-03-04T01:00:00Z", 0, "2026-03-04T22:30:00Z");
    let always = spec(0, "{start: '0 * * * *', duration: 90m, min: 2}");
    check(&always, "2026-03-04T10:20:00Z", 2, "2026-03-04T11:30:00Z");
    check(&always, "2026-03-04T11:20:00Z", 2, "2026-03-04T12:30:00Z");
}

#[test]
fn of_several_windows_the_highest_counts() {
    let two = spec(
        2,
        "{start: '0 8 * * *', duration: 4h, min: 4}, {start: '0 9 * * *', duration: 1h, min: 9}, {start: '0 9 * * *', duration: 10h, min: 1}",
    );
    check(&two, "2026-03-04T08:30:00Z", 4, "2026-03-04T09:00:00Z");
    check(&two, "2026-03-04T09:30:00Z", 9, "2026-03-04T10:00:00Z");
    check(&two, "2026-03-04T10:30:00Z", 4, "2026-03-04T12:00:00Z");
    check(&two, "2026-03-04T12:30:00Z", 2, "2026-03-04T19:00:00Z");
}

/// Berlin, 29 March 2026: clocks jump from 02:00 to 03:00.
#[test]
fn a_start_that_clocks_jump_over_opens_when_they_have_jumped() {
    let gap = spec(0, "{start: '30 2 * * *', duration: 1h, timeZone: Europe/Berlin, min: 3}");
    check(&gap, "2026-03-29T00:59:59Z", 0, "2026-03-29T01:00:00Z");
    check(&gap, "2026-03-29T01:00:00Z", 3, "2026-03-29T02:00:00Z");
    check(&gap, "2026-03-29T02:00:00Z", 0, "2026-03-30T00:30:00Z");
    // By the clocks it is one hour long, and the hour in between is not.
    let over = spec(0, "{start: '0 1 * * *', end: '0 4 * * *', timeZone: Europe/Berlin, min: 3}");
    check(&over, "2026-03-29T00:00:00Z", 3, "2026-03-29T02:00:00Z");
}

/// Berlin, 25 October 2026: clocks go back from 03:00 to 02:00.
#[test]
fn a_start_that_clocks_show_twice_opens_once() {
    let twice = spec(0, "{start: '30 2 * * *', duration: 20m, timeZone: Europe/Berlin, min: 3}");
    check(&twice, "2026-10-25T00:30:00Z", 3, "2026-10-25T00:50:00Z");
    check(&twice, "2026-10-25T00:50:00Z", 0, "2026-10-26T01:30:00Z");
    check(&twice, "2026-10-25T01:40:00Z", 0, "2026-10-26T01:30:00Z");
    let over = spec(0, "{start: '0 1 * * *', end: '0 4 * * *', timeZone: Europe/Berlin, min: 3}");
    check(&over, "2026-10-24T23:00:00Z", 3, "2026-10-25T03:00:00Z");
}

#[test]
fn what_cannot_be_read_is_named() {
    let wrong = |schedule: &str| kept(&spec(0, schedule), 0).unwrap_err().to_string();
    let start = wrong("{start: '0 8 * * *', duration: 1h, min: 1}, {start: '0 25 * * *', duration: 1h, min: 1}");
    assert!(start.starts_with("scaling.schedule[1].start: \"0 25 * * *\" is no cron pattern"), "{start}");
    let six = wrong("{start: '0 0 8 * * *', duration: 1h, min: 1}");
    assert!(six.starts_with("scaling.schedule[0].start: "), "{six}");
    let end = wrong("{start: '0 8 * * *', end: 'x x * * *', min: 1}");
    assert!(end.starts_with("scaling.schedule[0].end: "), "{end}");
    let never = wrong("{start: '0 8 30 2 *', duration: 1h, min: 1}");
    assert!(never.starts_with("scaling.schedule[0].start: "), "{never}");
    let zone = wrong("{start: '0 8 * * *', duration: 1h, timeZone: Europe/Bonn, min: 1}");
    assert!(zone.starts_with("scaling.schedule[0].timeZone: \"Europe/Bonn\" is no time zone"), "{zone}");
    for lasts in ["0m", "0h0m", "1d", "m", "99999h"] {
        let wrong = wrong(&format!("{{start: '0 8 * * *', duration: {lasts}, min: 1}}"));
        assert!(wrong.starts_with("scaling.schedule[0].duration: "), "{wrong}");
    }
}

#[test]
fn it_says_why_there_are_so_many() {
    let says = |spec: &FunctionSpec, there| kept(spec, at("2026-03-04T10:00:00Z")).unwrap().status(there);
    assert_eq!(says(&spec(0, ""), 0), None);
    let said = says(&spec(1, ""), 3).unwrap();
    assert_eq!((said.kept, said.reason.as_str()), (1, "Minimum"));
    assert_eq!(said.message, "scaling.min keeps 1; 2 more for requests, until they have been idle for idleSeconds");
    let peak = "{start: '0 9 * * *', duration: 2h, min: 4}, {start: '0 12 * * *', duration: 2h, min: 7}";
    let said = says(&spec(0, peak), 4).unwrap();
    assert_eq!((said.kept, said.reason.as_str()), (4, "Scheduled"));
    assert_eq!(
        said.message,
        "scaling.schedule[0] keeps 4 until 2026-03-04T11:00:00Z; scaling.schedule[1] keeps 7 from 2026-03-04T12:00:00Z"
    );
    let mut held = spec(2, peak);
    held.replicas = 6;
    let kept = kept(&held, at("2026-03-04T10:00:00Z")).unwrap();
    assert_eq!((kept.pods, kept.reason, kept.until), (6, "Held", None), "who holds a number is not interfered with");
}
