//! Where another subscriber is the process's already, it is said so, and what to do about it.

use ringlight::InitError;

#[test]
fn another_subscriber_is_not_taken_for_a_second_init() {
    tracing::subscriber::set_global_default(tracing_subscriber::registry()).unwrap();
    let error = ringlight::init().unwrap_err();
    assert!(matches!(error, InitError::OtherSubscriber));
    let text = "another `tracing` subscriber is installed already";
    let hint = "hint: `ringlight::init` replaces it: remove `tracing_subscriber::fmt::init()`";
    assert!(error.to_string().starts_with(&format!("{text}; {hint}")));
}
