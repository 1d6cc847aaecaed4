use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use secrecy::SecretString;
use tokio::sync::Semaphore;

use super::*;
use crate::Secret;

/// A source that answers what it was told to, in turn, and the last of it from then on.
#[derive(Clone, Default)]
struct Script(Arc<State>);

#[derive(Default)]
struct State {
    answers: Mutex<VecDeque<Answer>>,
    asked: Mutex<Vec<Instant>>,
    forgotten: Mutex<u32>,
}

#[derive(Clone)]
enum Answer {
    Text(&'static str),
    Lease(&'static str, Duration),
    Error(SecretErrorKind),
    Hang,
    Panic,
}

impl Script {
    fn new(answers: impl IntoIterator<Item = Answer>) -> Self {
        let script = Self::default();
        script.then(answers);
        script
    }

    fn then(&self, answers: impl IntoIterator<Item = Answer>) {
        let mut queue = self.0.answers.lock().unwrap();
        queue.clear();
        queue.extend(answers);
    }

    fn asked(&self) -> usize {
        self.0.asked.lock().unwrap().len()
    }
}

impl SecretSource for Script {
    async fn fetch(&self) -> Result<Secret, SecretError> {
        self.0.asked.lock().unwrap().push(Instant::now());
        let answer = {
            let mut answers = self.0.answers.lock().unwrap();
            let next = answers.front().cloned().expect("an answer");
            if answers.len() > 1 {
                answers.pop_front();
            }
            next
        };
        let secret = |text, valid_for| Secret {
            value: SecretString::from(text),
            valid_for,
        };
        match answer {
            Answer::Text(text) => Ok(secret(text, None)),
            Answer::Lease(text, valid_for) => Ok(secret(text, Some(valid_for))),
            Answer::Error(kind) => Err(SecretError::new(kind, "script", "told to fail")),
            Answer::Hang => std::future::pending().await,
            Answer::Panic => panic!("told to"),
        }
    }

    fn name(&self) -> &'static str {
        "script"
    }

    fn forget(&self) {
        *self.0.forgotten.lock().unwrap() += 1;
    }
}

/// Notices as they come.
#[derive(Clone, Default)]
struct Heard(Arc<Mutex<Vec<String>>>);

impl Heard {
    fn hook(&self) -> impl Fn(&SecretNotice) + Send + Sync + 'static {
        let heard = self.clone();
        move |notice| heard.0.lock().unwrap().push(notice.to_string())
    }

    fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

fn built(script: &Script, heard: &Heard) -> SecretHeaders {
    SecretHeaders::from_source(script.clone())
        .on_notice(heard.hook())
        .build()
}

fn value(headers: &HeaderMap) -> &str {
    headers["a"].to_str().unwrap()
}

async fn pass(seconds: u64) {
    tokio::time::sleep(Duration::from_secs(seconds)).await;
}

use Answer::{Error, Hang, Lease, Panic, Text};
use SecretErrorKind::{Missing, Refused, Unavailable};

#[tokio::test(start_paused = true)]
async fn a_secret_that_changes_is_noticed() {
    let script = Script::new([Text("a=1")]);
    let headers = built(&script, &Heard::default());
    assert_eq!(headers.current(), None);
    let first = headers.get().await.unwrap();
    assert_eq!(value(&first), "1");
    pass(61).await;
    assert_eq!(script.asked(), 2);
    let same = headers.get().await.unwrap();
    assert!(Arc::ptr_eq(&first, &same));
    script.then([Text("a=2")]);
    pass(60).await;
    assert_eq!(value(&headers.current().unwrap()), "2");
}

#[tokio::test(start_paused = true)]
async fn whoever_is_told_may_panic() {
    let script = Script::new([Error(Unavailable), Text("a=1")]);
    let headers = SecretHeaders::from_source(script)
        .on_notice(|_| resume_unwind(Box::new(())))
        .build();
    assert!(headers.get().await.is_err());
    pass(120).await;
    assert_eq!(value(&headers.current().unwrap()), "1");
}

#[tokio::test(start_paused = true)]
async fn a_lease_is_renewed_before_it_ends() {
    let script = Script::new([Lease("a=1", Duration::from_secs(30)), Text("a=2")]);
    let headers = built(&script, &Heard::default());
    headers.get().await.unwrap();
    pass(21).await;
    assert_eq!(value(&headers.current().unwrap()), "2");
}

#[tokio::test(start_paused = true)]
async fn fault_36_a_source_that_fails_leaves_the_last_good_headers_and_is_told_of_once() {
    let script = Script::new([Text("a=1"), Error(Refused), Error(Unavailable)]);
    let heard = Heard::default();
    let headers = built(&script, &heard);
    headers.get().await.unwrap();
    pass(300).await;
    assert_eq!(value(&headers.get().await.unwrap()), "1");
    let said = "the last good headers stay in use: script: told to fail";
    assert_eq!(heard.take(), [said]);
    script.then([Text("a=2")]);
    pass(61).await;
    assert_eq!(value(&headers.get().await.unwrap()), "2");
    assert_eq!(heard.take(), ["script: answers again"]);
}

#[tokio::test(start_paused = true)]
async fn a_secret_that_is_missing_at_first_is_asked_for_until_it_is_there() {
    let script = Script::new([Error(Missing), Error(Missing), Text("a=1")]);
    let heard = Heard::default();
    let headers = built(&script, &heard);
    let error = headers.get().await.unwrap_err();
    assert_eq!(error.to_string(), "script: told to fail");
    assert_eq!(headers.get().await.unwrap_err().kind(), Missing);
    assert_eq!(script.asked(), 1);
    pass(4).await;
    assert_eq!(value(&headers.get().await.unwrap()), "1");
    assert_eq!(
        heard.take(),
        [
            "there are no headers yet: script: told to fail",
            "script: answers again"
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn an_optional_secret_may_be_missing_but_not_refused() {
    let heard = Heard::default();
    let optional = |script: &Script| {
        let builder = SecretHeaders::from_source(script.clone()).optional();
        builder.on_notice(heard.hook()).build()
    };
    let missing = Script::new([Error(Missing)]);
    let headers = optional(&missing);
    assert!(headers.get().await.unwrap().is_empty());
    pass(300).await;
    assert_eq!(
        heard.take(),
        ["going on without headers: script: told to fail"]
    );
    // What comes later is used, and stays when it goes.
    missing.then([Text("a=1"), Error(Missing)]);
    pass(200).await;
    assert_eq!(value(&headers.get().await.unwrap()), "1");
    assert_eq!(
        heard.take(),
        ["the last good headers stay in use: script: told to fail"]
    );

    let refused = optional(&Script::new([Error(Refused)]));
    assert_eq!(refused.get().await.unwrap_err().kind(), Refused);
}

#[tokio::test(start_paused = true)]
async fn headers_that_were_refused_are_asked_for_again_but_not_too_often() {
    let script = Script::new([Text("a=1"), Text("a=1"), Text("a=2")]);
    let headers = built(&script, &Heard::default());
    let first = headers.get().await.unwrap();
    // The source has none but the same.
    assert!(!headers.were_refused(&first).await);
    assert_eq!(script.asked(), 2);
    // Too soon.
    assert!(!headers.were_refused(&first).await);
    assert_eq!(script.asked(), 2);
    pass(10).await;
    assert!(headers.were_refused(&first).await);
    assert_eq!(
        (script.asked(), *script.0.forgotten.lock().unwrap()),
        (3, 2)
    );
    // There are others already, so nobody is asked.
    assert!(headers.were_refused(&first).await);
    assert_eq!(script.asked(), 3);
    assert_eq!(value(&headers.get().await.unwrap()), "2");
}

#[tokio::test(start_paused = true)]
async fn a_source_that_hangs_or_panics_is_an_error_and_asked_again() {
    let script = Script::new([Hang, Panic, Text("a=1")]);
    let headers = built(&script, &Heard::default());
    let error = headers.get().await.unwrap_err();
    assert_eq!(error.to_string(), "script: no answer within 10 s");
    pass(2).await;
    let error = headers.get().await.unwrap_err();
    assert_eq!(error.to_string(), "script: the source panicked");
    // The call before began the next attempt.
    pass(2).await;
    assert_eq!(value(&headers.get().await.unwrap()), "1");
}

#[test]
fn headers_outlive_the_runtime_they_were_first_asked_for_on() {
    let script = Script::new([Error(Unavailable), Text("a=1")]);
    let headers = built(&script, &Heard::default());
    let run = || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(async {
            // The first time the source fails, and is asked again by the task.
            let _ = headers.get().await;
            pass(2).await;
            headers.get().await
        })
    };
    assert_eq!(value(&run().unwrap()), "1");
    script.then([Text("a=2")]);
    run().unwrap();
    assert_eq!(value(&headers.current().unwrap()), "2");
    // And without any, nothing panics.
    let nowhere = catch_unwind(AssertUnwindSafe(|| {
        let context = &mut std::task::Context::from_waker(std::task::Waker::noop());
        let get = std::pin::pin!(headers.get());
        std::future::Future::poll(get, context)
    }));
    let std::task::Poll::Ready(Err(error)) = nowhere.unwrap() else {
        panic!("no error");
    };
    assert!(
        error.to_string().contains("outside of a tokio runtime"),
        "{error}"
    );
}

/// Has a permit while it exists.
struct Owned(
    Script,
    #[expect(dead_code, reason = "held, not read")] tokio::sync::OwnedSemaphorePermit,
);

impl SecretSource for Owned {
    async fn fetch(&self) -> Result<Secret, SecretError> {
        self.0.fetch().await
    }

    fn name(&self) -> &'static str {
        "owned"
    }
}

#[tokio::test(start_paused = true)]
async fn the_task_ends_with_the_last_clone() {
    let existing = Arc::new(Semaphore::new(1));
    let permit = Arc::clone(&existing).acquire_owned().await.unwrap();
    let source = Owned(Script::new([Text("a=1")]), permit);
    let headers = SecretHeaders::from_source(source).build();
    headers.get().await.unwrap();
    let clone = headers.clone();
    drop(headers);
    pass(61).await;
    assert_eq!(existing.available_permits(), 0);
    drop(clone);
    // Free once the task, and with it the source, is dropped.
    let _free = tokio::time::timeout(Duration::from_secs(60), existing.acquire())
        .await
        .unwrap();
}

#[tokio::test(start_paused = true)]
async fn fault_36_nothing_secret_is_shown() {
    let script = Script::new([Text("authorization=Bearer%20hunter2,x-key=hunter2")]);
    let builder = SecretHeaders::from_source(script);
    let unbuilt = format!("{builder:?}");
    let headers = builder.build();
    let map = headers.get().await.unwrap();
    assert_eq!(map["authorization"], "Bearer hunter2");
    let secret = Secret::from(SecretString::from("hunter2"));
    for text in [
        unbuilt,
        format!("{headers:?}"),
        format!("{map:?}"),
        format!("{secret:?}"),
    ] {
        assert!(!text.contains("hunter2"), "{text}");
    }
    assert!(format!("{headers:?}").contains("x-key"));
}
