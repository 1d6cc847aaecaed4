use super::{off, on};

/// What a function becomes when the attribute is off, beside what it was.
fn check_off(args: &str, item: &str) {
    let item: proc_macro2::TokenStream = item.parse().unwrap();
    let written = off(args.parse().unwrap(), item.clone());
    assert_eq!(written.to_string(), item.to_string());
}

#[test]
fn off_it_gives_the_tokens_it_was_given() {
    check_off("", "fn nothing() {}");
    check_off(
        r#"name = "span", target = TARGET, level = Level::INFO, parent = None, follows_from = causes(), redact(a),
           skip(self), fields(a.b = %c, {D} = ?e, f, ?g), ret(Display), err(level = 2, Debug),"#,
        r#"/// Documented.
           #[inline] pub(crate) async unsafe fn all<'a, T: Send>(&'a mut self, (a, b): (T, u8)) -> impl Send + use<'a, T>
           where T: Clone { #![expect(unused)] a.wait::<u8, 2>().await?; Ok(b) }"#,
    );
    // As an editor sends it while somebody types.
    check_off("skip_all", "fn unfinished(a: u8) { let b = a. }");
}

#[test]
fn on_it_takes_a_body_that_does_not_parse() {
    let item = "fn unfinished(a: u8) { let b = a. }".parse().unwrap();
    let written = on("skip_all".parse().unwrap(), item).to_string();
    assert!(written.contains("let b = a ."), "{written}");
}

#[test]
fn a_refused_function_is_there_all_the_same() {
    for expand in [on, off] {
        let item: proc_macro2::TokenStream = "fn used() {}".parse().unwrap();
        let written = expand("nmae".parse().unwrap(), item.clone()).to_string();
        let (error, rest) = written.split_at(written.len() - item.to_string().len());
        assert!(error.contains("compile_error"), "{error}");
        assert_eq!(rest, item.to_string());
    }
}
