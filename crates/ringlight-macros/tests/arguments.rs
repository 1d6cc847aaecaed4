//! Arguments are left out where that is said, in a process of its own, for which it holds as a whole.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod seen;

use ringlight::instrument;
use seen::{Seen, record, record_by};

#[derive(Debug)]
struct Basket(u8);

#[instrument(redact(token), fields(order.items = basket.0))]
fn order(user: &str, count: u32, basket: Basket, token: &str) -> usize {
    user.len() + token.len() + count as usize
}

#[instrument]
async fn pay(amount: f64) -> bool {
    amount > 0.0
}

#[test]
fn arguments_are_left_out_where_that_is_said_and_own_fields_stay() {
    let calls = || async {
        assert_eq!(order("ada", 2, Basket(7), "secret"), 11);
        assert!(pay(1.5).await);
    };
    let fields = |seen: Vec<Seen>| -> Vec<String> {
        seen.iter().map(|seen| seen.fields.join(" ")).collect()
    };
    let variables = [("RINGLIGHT_INCLUDE_ARGS", "false")];
    let without = fields(record_by(&variables, calls()));
    assert_eq!(without, ["order.items=7u", ""]);
    let with = [
        r#"user="ada" count=2u basket="Basket(7)" token="[redacted]" order.items=7u"#,
        "amount=F64(1.5)",
    ];
    assert_eq!(fields(record(calls())), with);
}
