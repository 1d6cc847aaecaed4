//! Which traces are recorded.

use super::environment::Reader;
use crate::sampling::Sampler;

/// The sampler of the code, or of variables or the file.
pub(super) fn sampler(reader: &mut Reader<'_>, in_code: Option<Sampler>) -> Sampler {
    // In any case, since what is wrong with variables is told whether or not they are used.
    let said = by_variables(reader);
    in_code.or(said).unwrap_or_default()
}

/// `OTEL_TRACES_SAMPLER` and its argument. The specification has a bad argument ignored, which
/// leaves the share it has without one: all.
fn by_variables(reader: &mut Reader<'_>) -> Option<Sampler> {
    const NAMES: &str =
        "`always_on`, `always_off`, `traceidratio`, each also with `parentbased_` before it";
    let name = reader.choice("OTEL_TRACES_SAMPLER", NAMES, |name| {
        let root = name.strip_prefix("parentbased_").unwrap_or(name);
        let is_known = ["always_on", "always_off", "traceidratio"].contains(&root);
        is_known.then(|| name.to_owned())
    });
    let Some(name) = name else {
        let (rate, _) = reader.in_file("sample_rate")?;
        return Some(Sampler::trace_id_ratio(rate.parse().ok()?).parent_based());
    };
    let (root, is_parent_based) = match name.strip_prefix("parentbased_") {
        Some(root) => (root, true),
        None => (name.as_str(), false),
    };
    let sampler = match root {
        "always_off" => Sampler::always_off(),
        "traceidratio" => {
            let ratio = reader.choice("OTEL_TRACES_SAMPLER_ARG", "a number from 0 to 1", |text| {
                text.parse()
                    .ok()
                    .filter(|ratio| (0.0..=1.0).contains(ratio))
            });
            Sampler::trace_id_ratio(ratio.unwrap_or(1.0))
        }
        _ => Sampler::always_on(),
    };
    Some(if is_parent_based {
        sampler.parent_based()
    } else {
        sampler
    })
}
