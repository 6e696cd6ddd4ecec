//! Quantities of resources: read before they are applied, so that a bad one is a condition and not an error.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::ResourceRequirements;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use muon_crds::values::Resources;

/// A quantity or resource that the API server would refuse.
#[derive(thiserror::Error, Clone, Debug, PartialEq, Eq)]
pub enum BadResources {
    /// Not a quantity.
    #[error("{0}: {1:?} is not a quantity such as 50m, 0.5, 64Mi or 1Gi")]
    NotAQuantity(String, String),
    /// Nobody can use less than nothing.
    #[error("{0}: {1:?} is negative")]
    Negative(String, String),
    /// Not a resource of a container.
    #[error("{0}: not a resource; use cpu, memory, ephemeral-storage, hugepages-… or a name with a domain")]
    UnknownResource(String),
    /// The scheduler would set aside more than the container may use.
    #[error("resources.requests.{0}: {1} is more than the limit {2}")]
    AboveLimit(String, String, String),
}

/// Resources in the form of a container's, checked.
pub fn requirements(resources: &Resources) -> Result<ResourceRequirements, BadResources> {
    let requests = quantities("resources.requests", &resources.requests)?;
    let limits = quantities("resources.limits", &resources.limits)?;
    for (name, request) in &requests {
        if let Some(limit) = limits.get(name)
            && nanos(&request.0) > nanos(&limit.0)
        {
            return Err(BadResources::AboveLimit(name.clone(), request.0.clone(), limit.0.clone()));
        }
    }
    let some = |map: BTreeMap<String, Quantity>| (!map.is_empty()).then_some(map);
    Ok(ResourceRequirements { requests: some(requests), limits: some(limits), ..ResourceRequirements::default() })
}

fn quantities(field: &str, from: &BTreeMap<String, IntOrString>) -> Result<BTreeMap<String, Quantity>, BadResources> {
    from.iter()
        .map(|(name, value)| {
            let field = format!("{field}.{name}");
            if !is_resource(name) {
                return Err(BadResources::UnknownResource(field));
            }
            Ok((name.clone(), quantity(&field, value)?))
        })
        .collect()
}

/// One quantity, checked; `field` is said when it is bad.
pub fn quantity(field: &str, value: &IntOrString) -> Result<Quantity, BadResources> {
    let text = match value {
        IntOrString::Int(number) => number.to_string(),
        IntOrString::String(text) => text.clone(),
    };
    match nanos(&text) {
        None => Err(BadResources::NotAQuantity(field.to_owned(), text.chars().take(64).collect())),
        Some(number) if number < 0 => Err(BadResources::Negative(field.to_owned(), text)),
        Some(_) => Ok(Quantity(text)),
    }
}

fn is_resource(name: &str) -> bool {
    let qualified = || {
        name.split_once('/').is_some_and(|(domain, rest)| !domain.is_empty() && !rest.is_empty() && !rest.contains('/'))
    };
    matches!(name, "cpu" | "memory" | "ephemeral-storage") || name.starts_with("hugepages-") || qualified()
}

const NANO: i128 = 1_000_000_000;
/// Digits beyond these would overflow; no machine has that much of anything.
const MAX_DIGITS: usize = 18;

/// The quantity in billionths; none when it is not a quantity.
fn nanos(text: &str) -> Option<i128> {
    let (negative, rest) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
    let (number, suffix) = rest.split_at(end);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() && fraction.is_empty() || !digits(whole) || !digits(fraction) {
        return None;
    }
    if whole.len() > MAX_DIGITS || fraction.len() > MAX_DIGITS {
        return None;
    }
    let (times, over) = factor(suffix)?;
    let part = |digits: &str| if digits.is_empty() { Some(0) } else { digits.parse::<i128>().ok() };
    let fraction_scale = 10_i128.checked_pow(u32::try_from(fraction.len()).ok()?)?;
    let value = part(whole)?.checked_mul(fraction_scale)?.checked_add(part(fraction)?)?;
    // Rounded up, as the API server does: never less than what was asked for.
    let divisor = fraction_scale.checked_mul(over)?;
    let product = value.checked_mul(times)?;
    let billionths = match product.checked_mul(NANO) {
        Some(exact) => exact.div_euclid(divisor) + i128::from(exact.rem_euclid(divisor) != 0),
        None => product.checked_div(divisor)?.checked_mul(NANO)?,
    };
    Some(if negative { -billionths } else { billionths })
}

/// What a suffix multiplies and divides by.
fn factor(suffix: &str) -> Option<(i128, i128)> {
    Some(match suffix {
        "" => (1, 1),
        "n" => (1, 1_000_000_000),
        "u" => (1, 1_000_000),
        "m" => (1, 1_000),
        "k" => (1_000, 1),
        "M" => (1_000_000, 1),
        "G" => (1_000_000_000, 1),
        "T" => (1_000_000_000_000, 1),
        "P" => (1_000_000_000_000_000, 1),
        "E" => (1_000_000_000_000_000_000, 1),
        "Ki" => (1 << 10, 1),
        "Mi" => (1 << 20, 1),
        "Gi" => (1 << 30, 1),
        "Ti" => (1 << 40, 1),
        "Pi" => (1 << 50, 1),
        "Ei" => (1 << 60, 1),
        _ => return exponent(suffix),
    })
}

/// `e3`, `E-2`: powers of ten.
fn exponent(suffix: &str) -> Option<(i128, i128)> {
    let digits = suffix.strip_prefix(['e', 'E'])?;
    let power: i32 = digits.parse().ok()?;
    let size = 10_i128.checked_pow(power.unsigned_abs()).filter(|_| power.abs() <= 18)?;
    Some(if power < 0 { (1, size) } else { (size, 1) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resources(requests: &[(&str, &str)], limits: &[(&str, &str)]) -> Resources {
        let map = |pairs: &[(&str, &str)]| {
            pairs.iter().map(|(key, value)| ((*key).to_owned(), IntOrString::String((*value).to_owned()))).collect()
        };
        Resources { requests: map(requests), limits: map(limits) }
    }

    #[test]
    fn quantities_are_read_as_kubernetes_reads_them() {
        for (text, billionths) in [
            ("1", NANO),
            ("50m", NANO / 20),
            ("0.5", NANO / 2),
            (".5", NANO / 2),
            ("5.", 5 * NANO),
            ("1Ki", 1024 * NANO),
            ("1e3", 1000 * NANO),
            ("1E-3", NANO / 1000),
            ("1E", 1_000_000_000_000_000_000 * NANO),
            ("+2n", 2),
            ("0.1n", 1),
        ] {
            assert_eq!(nanos(text), Some(billionths), "{text}");
        }
        for bad in
            ["", "-", ".", "abc", "1 Gi", "1gi", "1KiB", "1.2.3", "0x10", "١", "1e", "1e99", "99999999999999999999"]
        {
            assert_eq!(nanos(bad), None, "{bad}");
        }
    }

    #[test]
    fn bad_resources_name_the_field() {
        let check = |requests: &[(&str, &str)], limits: &[(&str, &str)]| {
            requirements(&resources(requests, limits)).unwrap_err().to_string()
        };
        assert!(check(&[("cpu", "much")], &[]).contains("resources.requests.cpu"));
        assert!(check(&[], &[("memory", "-1Mi")]).contains("negative"));
        assert!(check(&[("gpu", "1")], &[]).contains("not a resource"));
        assert!(check(&[("memory", "1Gi")], &[("memory", "1023Mi")]).contains("more than the limit"));
    }

    #[test]
    fn good_resources_keep_their_words() {
        let good =
            requirements(&resources(&[("cpu", "50m"), ("example.com/gpu", "1")], &[("memory", "64Mi")])).unwrap();
        assert_eq!(good.requests.unwrap()["cpu"].0, "50m");
        assert_eq!(good.limits.unwrap()["memory"].0, "64Mi");
        assert_eq!(requirements(&Resources::default()).unwrap(), ResourceRequirements::default());
    }

    #[test]
    fn integers_are_quantities() {
        assert_eq!(quantity("f", &IntOrString::Int(2)).unwrap().0, "2");
    }
}
