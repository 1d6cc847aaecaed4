//! What `#[ringlight::instrument]` does that `tracing`'s attribute does not.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod seen;

use std::future::pending;
use std::pin::Pin;

use ringlight::instrument;
use seen::{Seen, record};

/// Has no `Debug`, and needs none.
struct Password(&'static str);

struct Account {
    password: Password,
}

impl Account {
    #[instrument(redact(self, password), fields(length = password.0.len()))]
    fn change(&mut self, user: &str, password: Password) -> usize {
        self.password = password;
        user.len()
    }
}

#[instrument(redact(token))]
async fn log_in(user: &str, (token, retries): (&str, u8)) -> usize {
    user.len() + token.len() + usize::from(retries)
}

#[test]
fn a_redacted_argument_is_there_and_its_value_is_not() {
    let seen = record(async {
        let mut account = Account {
            password: Password("old secret"),
        };
        assert_eq!(account.change("ada", Password("new secret")), 3);
        assert_eq!(account.password.0, "new secret");
        assert_eq!(log_in("ada", ("old secret", 1)).await, 14);
    });
    let fields: Vec<_> = seen.iter().map(|seen| seen.fields.join(" ")).collect();
    assert_eq!(
        fields,
        [
            r#"self="[redacted]" user="ada" password="[redacted]" length=10u"#,
            r#"user="ada" token="[redacted]" retries="1""#,
        ]
    );
}

/// With `tracing`'s attribute, the compiler does not let this one give back what it was given.
#[instrument(ret, err, skip_all)]
fn largest(numbers: &mut [u8]) -> Result<&mut u8, &'static str> {
    numbers.iter_mut().max().ok_or("there is none")
}

#[test]
fn a_result_that_is_told_may_be_a_part_of_an_argument() {
    let seen = record(async {
        let mut numbers = [1, 3, 2];
        *largest(&mut numbers).unwrap() = 0;
        assert_eq!(numbers, [1, 0, 2]);
        assert!(largest(&mut []).is_err());
    });
    let fields: Vec<_> = seen.iter().map(|seen| seen.fields.join(" ")).collect();
    assert_eq!(
        fields,
        [r#"return="3""#, "", r#"error="there is none""#, ""]
    );
}

#[instrument]
async fn never(how: &str) {
    pending::<()>().await;
}

#[instrument(ret, err)]
async fn never_told(how: &str) -> Result<(), String> {
    pending().await
}

#[instrument(name = "never")]
fn never_boxed(how: &str) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
    Box::pin(async move { pending().await })
}

#[instrument(name = "never")]
async fn is_done(how: &str, is_to_panic: bool) {
    tokio::task::yield_now().await;
    if is_to_panic {
        std::panic::resume_unwind(Box::new("on purpose"));
    }
}

#[instrument]
async fn around() {
    never("in another").await;
}

#[test]
fn fault_5_a_cancelled_call_of_an_instrumented_function_says_so_in_its_span() {
    let seen = record(async {
        // Aborted while they wait.
        for task in [
            tokio::spawn(never("aborted")),
            tokio::spawn(async { drop(never_told("told").await) }),
            tokio::spawn(never_boxed("boxed")),
            tokio::spawn(around()),
        ] {
            tokio::task::yield_now().await;
            task.abort();
            assert!(task.await.unwrap_err().is_cancelled());
        }
        // Slower than another.
        tokio::select! {
            biased;
            () = never("slower") => unreachable!("it never ends"),
            () = async {} => {}
        }
        // These are not: one is done, one panics.
        is_done("done", false).await;
        let task = tokio::spawn(is_done("panicked", true));
        assert!(task.await.unwrap_err().is_panic());
    });
    let cancelled = "ringlight.span.cancelled=true";
    let line = |seen: &Seen| {
        let fields = seen.fields.iter();
        let words = fields.filter(|field| !field.starts_with("is_to_panic"));
        let mut words: Vec<&str> = words.map(String::as_str).collect();
        words.extend(seen.has_failed.then_some("failed"));
        words.join(" ")
    };
    let mut lines: Vec<String> = seen.iter().map(line).collect();
    lines.sort();
    let expected = [
        cancelled,
        "how=\"aborted\" ringlight.span.cancelled=true",
        "how=\"boxed\" ringlight.span.cancelled=true",
        "how=\"done\"",
        "how=\"in another\" ringlight.span.cancelled=true",
        "how=\"panicked\" failed",
        "how=\"slower\" ringlight.span.cancelled=true",
        "how=\"told\" ringlight.span.cancelled=true",
    ];
    let mut expected = expected.map(str::to_owned);
    expected.sort();
    assert_eq!(lines, expected);
}
