//! What has become worse or better since the last result that was kept.

use std::fmt::Write as _;

use super::Report;
use super::table::number;
use crate::row::Row;

/// The figures whose ranges no longer touch those of the earlier run, and why others cannot be compared.
pub(super) fn compared(now: &Report, earlier: &Report) -> String {
    if now.machine != earlier.machine {
        return format!("Not compared with the result kept: that is of another machine ({}).\n", earlier.machine);
    }
    let (mut worse, mut better, mut alike) = (Vec::new(), Vec::new(), 0);
    for row in now.rows() {
        let Some(before) = earlier.rows().find(|before| before.id == row.id && before.unit == row.unit) else {
            continue;
        };
        let line = || {
            format!(
                "{}: {} -> {} {} ({}..{} -> {}..{})",
                row.id,
                number(before.value),
                number(row.value),
                row.unit,
                number(before.min),
                number(before.max),
                number(row.min),
                number(row.max)
            )
        };
        match change(row, before) {
            Some(true) => worse.push(line()),
            Some(false) => better.push(line()),
            None => alike += 1,
        }
    }
    let mut text = format!("Against the result kept (`{}`), by more than the noise of both:\n", earlier.command);
    for (word, lines) in [("worse", worse), ("better", better)] {
        let _ = writeln!(text, "  {word}: {}", if lines.is_empty() { "nothing" } else { "" });
        for line in lines {
            let _ = writeln!(text, "    {line}");
        }
    }
    let _ = writeln!(text, "  alike: {alike}");
    text
}

/// Whether it is worse (true) or better: only where the two ranges do not touch.
fn change(now: &Row, before: &Row) -> Option<bool> {
    let higher = now.min > before.max;
    let lower = now.max < before.min;
    (higher || lower).then_some(higher != now.more_is_better)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::Samples;

    fn row(rounds: &[f64]) -> Row {
        Row::new("row", "ms", &Samples::from(rounds.to_vec()))
    }

    #[test]
    fn only_ranges_that_do_not_touch_are_a_change() {
        assert_eq!(change(&row(&[1.0, 2.0]), &row(&[1.5, 3.0])), None);
        assert_eq!(change(&row(&[4.0, 5.0]), &row(&[1.0, 3.0])), Some(true));
        assert_eq!(change(&row(&[0.5, 0.9]), &row(&[1.0, 3.0])), Some(false));
        assert_eq!(change(&row(&[0.5]).more_is_better(), &row(&[1.0])), Some(true));
    }
}
