//! References between variables, read as kubelet reads them, so that a value means the same wherever it is expanded.
//!
//! ```text
//!   $(NAME)    the value of NAME, or the same text where there is no NAME
//!   $$         one $
//!   $(…        without an end, and $ before anything else: as it stands
//! ```

/// `text` with its references replaced by what `value_of` knows; none when it would be longer than `most` bytes:
/// a few lines that name each other again and again can stand for gigabytes.
pub fn expand<'a>(text: &'a str, value_of: impl Fn(&str) -> Option<&'a str>, most: usize) -> Option<String> {
    let mut out = String::with_capacity(text.len().min(most));
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('$') {
        let (found, remainder) = reference(after, &value_of);
        for piece in [before].into_iter().chain(found) {
            if out.len() + piece.len() > most {
                return None;
            }
            out.push_str(piece);
        }
        rest = remainder;
    }
    if out.len() + rest.len() > most {
        return None;
    }
    out.push_str(rest);
    Some(out)
}

/// What stands for the text behind a `$`, in pieces, and what follows it.
fn reference<'a>(after: &'a str, value_of: &impl Fn(&str) -> Option<&'a str>) -> ([&'a str; 3], &'a str) {
    if let Some(rest) = after.strip_prefix('$') {
        return (["$", "", ""], rest);
    }
    let Some((name, rest)) = after.strip_prefix('(').and_then(|inner| inner.split_once(')')) else {
        return (["$", "", ""], after);
    };
    match value_of(name) {
        Some(value) => ([value, "", ""], rest),
        None => (["$(", name, ")"], rest),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value_of(name: &str) -> Option<&'static str> {
        match name {
            "A" => Some("one"),
            "B" => Some("$(A)"),
            "EMPTY" => Some(""),
            "Ü" => Some("ü"),
            "" => Some("nameless"),
            "$(A" => Some("odd"),
            _ => None,
        }
    }

    /// As `expansion.Expand` of Kubernetes has it, character by character.
    #[test]
    fn references_are_read_as_kubelet_reads_them() {
        for (text, wanted) in [
            ("", ""),
            ("plain", "plain"),
            ("$(A)", "one"),
            ("<$(A)>", "<one>"),
            ("$(A)$(A)", "oneone"),
            ("$(EMPTY)", ""),
            // Values are not read again.
            ("$(B)", "$(A)"),
            // What is not there stays, sign and all.
            ("$(NOPE)", "$(NOPE)"),
            ("$(a)", "$(a)"),
            ("$( A)", "$( A)"),
            // The escape, and what follows it.
            ("$$(A)", "$(A)"),
            ("$$$(A)", "$one"),
            ("$$$$(A)", "$$(A)"),
            ("$$", "$"),
            ("$$$", "$$"),
            ("$$A", "$A"),
            // Not a reference.
            ("$", "$"),
            ("a$", "a$"),
            ("$A", "$A"),
            ("${A}", "${A}"),
            ("$ (A)", "$ (A)"),
            ("$é", "$é"),
            ("$€(A)", "$€(A)"),
            ("(A)", "(A)"),
            // A name ends at the first bracket, and only there.
            ("$(A", "$(A"),
            ("$(", "$("),
            ("$()", "nameless"),
            ("$($(A))", "odd)"),
            ("$(A))", "one)"),
            ("$(A$(A)", "$(A$(A)"),
            ("$(Ü)", "ü"),
            ("$(A)ü$(A)", "oneüone"),
        ] {
            assert_eq!(expand(text, value_of, 100).as_deref(), Some(wanted), "{text}");
        }
    }

    #[test]
    fn a_value_has_an_end() {
        assert_eq!(expand("$(A)$(A)", value_of, 6).as_deref(), Some("oneone"));
        assert_eq!(expand("$(A)$(A)", value_of, 5), None);
        assert_eq!(expand("abcdef", value_of, 5), None);
        let large = "x".repeat(1 << 20);
        let bomb = "$(L)".repeat(1 << 20);
        assert_eq!(expand(&bomb, |_| Some(large.as_str()), 1 << 21), None);
    }
}
