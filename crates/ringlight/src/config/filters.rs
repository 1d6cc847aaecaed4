//! What is recorded, and what of it each output wants.

use super::environment::Reader;
use super::reload::OfCode;
use crate::InitError;
use crate::filter::{ALLOWED, Filter, Filters, Output};

/// The target of audit events, unless told otherwise.
const AUDIT_TARGET: &str = "audit";

/// What a variable or the file says holds over what the code has as a default for the same outputs.
pub(super) fn filters(reader: &mut Reader<'_>, code: &OfCode) -> Result<Filters, InitError> {
    let default = code.default_directives.as_deref().unwrap_or_default();
    let default = in_code("`default_filter` in code".to_owned(), default)?;
    let general = directives(reader, "RUST_LOG").or(default);
    let audit = (code.audit_target.clone()).or_else(|| reader.text("RINGLIGHT_AUDIT_TARGET"));
    let audit = audit.as_deref().unwrap_or(AUDIT_TARGET);
    let mut filters = Filters::new(general.unwrap_or_default())
        .with_audit(Some(audit).filter(|audit| !matches!(*audit, "none" | "")));
    for (output, directives) in &code.output_directives {
        let origin = format!("`default_filter_for({output:?}, ..)` in code");
        filters.set_own(*output, in_code(origin, directives)?);
    }
    for output in Output::ALL {
        if let Some(filter) = directives(reader, output.variable()) {
            filters.set_own(output, Some(filter));
        }
    }
    Ok(filters)
}

/// The filter that the code describes; `None` if there is no directive.
fn in_code(origin: String, directives: &str) -> Result<Option<Filter>, InitError> {
    Filter::parse_strictly(directives).map_err(|bad| InitError::Filter {
        origin,
        directive: bad.directive,
        reason: bad.reason,
    })
}

/// The filter a variable describes, or the file in its place; `None` if there is no directive that is understood.
fn directives(reader: &mut Reader<'_>, variable: &str) -> Option<Filter> {
    let in_file = |reader: &Reader<'_>| {
        let text = reader.by_file(variable)?;
        Filter::parse_any(&text).0
    };
    let Some(text) = reader.variable(variable) else {
        return in_file(reader);
    };
    let (filter, bad) = Filter::parse_any(&text);
    for bad in bad {
        let (directive, reason) = (bad.directive, bad.reason);
        reader.say(format!(
            "log directive `{directive}` of `{variable}` is ignored: {reason}; hint: {ALLOWED}"
        ));
    }
    if filter.is_none() {
        reader.ignored.insert(variable.to_owned());
    }
    filter.or_else(|| in_file(reader))
}
