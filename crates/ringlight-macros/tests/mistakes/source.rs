//! What must not compile. After `//~` stands what the compiler is to say of that line, `^` being where.
//! It is compiled by `mistakes.rs`, once with each attribute.

#[cfg(off)]
use ringlight_macros::uninstrumented as instrument;
#[cfg(not(off))]
use ringlight_macros::instrument;

#[instrument(naem = "x")]
//~          ^ unknown argument `naem`, expected one of `name`, `target`, `level`, `parent`, `follows_from`, `skip`, `skip_all`, `redact`, `fields`, `err`, `ret`
fn unknown() {}

#[instrument(5)]
//~          ^ expected one of `name`, `target`, `level`, `parent`, `follows_from`, `skip`, `skip_all`, `redact`, `fields`, `err`, `ret`
fn no_word() {}

#[instrument(name = "x", target = "y", name = "z")]
//~                                    ^ `name` is given twice
fn twice() {}

#[instrument("x", name = "z")]
//~               ^ `name` is given twice
fn named_twice() {}

#[instrument(skip(a), level = "loud")]
//~                           ^ a level is "trace", "debug", "info", "warn" or "error", a number from 1 (trace) to 5 (error), or a path such as `Level::INFO`
fn loud(a: u8) {}

#[instrument(level = 6)]
//~                  ^ a level is "trace", "debug", "info", "warn" or "error", a number from 1 (trace) to 5 (error), or a path such as `Level::INFO`
fn louder() {}

#[instrument(name = 1)]
//~                 ^ expected a text in quotes or the name of a constant
fn no_text() {}

#[instrument(skip(a, b))]
//~                  ^ the function has no argument `b`
fn skips_what_is_not_there(a: u8) {}

#[instrument(redact(c))]
//~                 ^ the function has no argument `c`
async fn redacts_what_is_not_there((a, b): (u8, u8)) {}

#[instrument(skip(a, a))]
//~                  ^ `a` is named twice
fn skips_twice(a: u8) {}

#[instrument(skip(a), skip_all)]
//~                   ^ either `skip` or `skip_all`, not both
fn skips_all_and_one(a: u8) {}

#[instrument(redact(a), skip_all)]
//~                     ^ `skip_all` leaves nothing for `redact`: choose one of them
fn nothing_left(a: u8) {}

#[instrument(skip(a), redact(a))]
//~                          ^ `a` is skipped: there is nothing to redact
fn skipped_and_redacted(a: u8) {}

#[instrument(redact(a), fields(b = 1, a = %a))]
//~                                   ^ `a` is redacted: a field of that name would show it
fn redacted_and_shown(a: u8) {}

#[instrument(fields(?a = 1))]
//~                    ^ `%` and `?` stand before the value: `name = %value`
fn sigil_at_the_name(a: u8) {}

#[instrument(fields(1 = 1))]
//~                 ^ expected the name of a field, such as `order.id`
fn no_name() {}

#[instrument(skip_all ret)]
//~                   ^ expected `,`
fn no_comma() {}

#[instrument(ret(Pretty))]
//~              ^ unknown `Pretty`, expected `Debug`, `Display` or `level`
fn pretty() {}

#[instrument(err(Debug, Display))]
//~                     ^ `format` is given twice
fn both_formats() -> Result<(), ()> {
    Ok(())
}

#[instrument(ret, err)]
//~               ^ `err` is for a function that returns a `Result`
fn gives_nothing() {}

#[instrument]
pub const fn constant() {}
//~ ^ `#[instrument]` cannot stand on a `const fn`

trait Trait {
    #[instrument]
    fn without_body();
    //~^ `#[instrument]` needs a body: put it on the implementation
}

#[instrument]
pub struct Thing;
//~ ^ expected `fn`
