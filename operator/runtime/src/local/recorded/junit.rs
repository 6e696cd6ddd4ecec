//! Results as JUnit XML, which CI systems read.

use std::fmt::Write as _;
use std::time::Duration;

/// What became of one file's requests.
#[derive(Clone, Debug)]
pub(crate) struct Suite {
    pub(crate) file: String,
    pub(crate) cases: Vec<Case>,
}

/// What became of one request.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) took: Duration,
    /// None: it went as expected.
    pub(crate) failure: Option<String>,
}

impl Suite {
    pub(crate) fn failures(&self) -> usize {
        self.cases.iter().filter(|case| case.failure.is_some()).count()
    }

    fn took(&self) -> f64 {
        self.cases.iter().map(|case| case.took.as_secs_f64()).sum()
    }
}

/// The document.
pub(crate) fn document(suites: &[Suite]) -> String {
    let tests: usize = suites.iter().map(|suite| suite.cases.len()).sum();
    let failures: usize = suites.iter().map(Suite::failures).sum();
    let took: f64 = suites.iter().map(Suite::took).sum();
    let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    // A string has room for whatever is written to it.
    writeln!(out, "<testsuites tests=\"{tests}\" failures=\"{failures}\" time=\"{took:.3}\">").ok();
    for suite in suites {
        let (file, count, failed) = (escaped(&suite.file), suite.cases.len(), suite.failures());
        let took = suite.took();
        writeln!(
            out,
            "  <testsuite name=\"{file}\" tests=\"{count}\" failures=\"{failed}\" errors=\"0\" time=\"{took:.3}\">"
        )
        .ok();
        for Case { name, took, failure } in &suite.cases {
            let (name, took) = (escaped(name), took.as_secs_f64());
            write!(out, "    <testcase classname=\"{file}\" name=\"{name}\" time=\"{took:.3}\"").ok();
            match failure {
                None => writeln!(out, "/>").ok(),
                Some(failure) => {
                    let first = escaped(failure.lines().next().unwrap_or_default());
                    let all = escaped(failure);
                    writeln!(out, ">\n      <failure message=\"{first}\">{all}</failure>\n    </testcase>").ok()
                }
            };
        }
        out.push_str("  </testsuite>\n");
    }
    out.push_str("</testsuites>\n");
    out
}

/// A text as XML has it, without the characters that XML cannot have.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\n' | '\t' => out.push(letter),
            letter if letter.is_control() || matches!(letter, '\u{fffe}' | '\u{ffff}') => out.push('\u{fffd}'),
            letter => out.push(letter),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_a_document() {
        let took = Duration::from_millis(12);
        let good = Case { name: "a < b".to_owned(), took, failure: None };
        let bad = Case { name: "bad".to_owned(), took, failure: Some("status: \"no\" & more\n\u{1b}[31m".to_owned()) };
        let document = document(&[Suite { file: "tests/a.http".to_owned(), cases: vec![good, bad] }]);
        assert_eq!(
            document,
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
             <testsuites tests=\"2\" failures=\"1\" time=\"0.024\">\n\
             \x20 <testsuite name=\"tests/a.http\" tests=\"2\" failures=\"1\" errors=\"0\" time=\"0.024\">\n\
             \x20   <testcase classname=\"tests/a.http\" name=\"a &lt; b\" time=\"0.012\"/>\n\
             \x20   <testcase classname=\"tests/a.http\" name=\"bad\" time=\"0.012\">\n\
             \x20     <failure message=\"status: &quot;no&quot; &amp; more\">status: &quot;no&quot; &amp; more\n\u{fffd}[31m</failure>\n\
             \x20   </testcase>\n\
             \x20 </testsuite>\n\
             </testsuites>\n"
        );
    }
}
