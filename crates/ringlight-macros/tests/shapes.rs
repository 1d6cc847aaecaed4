//! Functions that a macro could fail to compile: their names, types and borrows are not to be in its way.

#![deny(warnings)]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod seen;

use std::future::ready;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex};
use std::{error, fmt};

use ringlight::instrument;
use seen::record;
use tracing::Id;

/// Arguments called as the macro calls what it needs itself.
#[instrument(follows_from = cause, ret, err, fields(span = 1, guard = guard))]
fn names(span: u8, guard: u8, value: u8, given: u8, cause: Option<Id>) -> Result<u8, u8> {
    Ok(span + guard + value + given)
}

/// What is last in it borrows what is in it.
#[instrument(skip_all, ret)]
fn borrows_at_its_end(numbers: &Mutex<Vec<u8>>) -> usize {
    let numbers = numbers.lock();
    numbers.unwrap().len()
}

#[instrument(ret)]
async fn never_returns(is_to_wait: bool) -> ! {
    assert!(is_to_wait, "it waits");
    std::future::pending().await
}

/// Its error is known by its signature alone.
#[instrument(skip(text))]
async fn infers(
    text: &str,
) -> Result<Vec<impl fmt::Debug + use<>>, Box<dyn error::Error + Send + Sync>> {
    let number: u8 = text.parse()?;
    if number > 3 {
        return Ok(vec![number]);
    }
    Ok([number; 2].into_iter().collect())
}

#[derive(Debug)]
struct Thing(u8);

impl Thing {
    #[instrument(ret)]
    fn shared(self: Arc<Self>) -> u8 {
        self.0
    }

    #[instrument]
    fn pinned(self: Pin<&mut Self>) -> u8 {
        self.0
    }

    #[instrument(ret)]
    fn consumed(mut self) -> u8 {
        self.0 += 1;
        self.0
    }

    #[instrument(err, ret)]
    async fn part(&mut self) -> Result<&mut u8, Box<dyn error::Error + '_>> {
        ready(()).await;
        Ok(&mut self.0)
    }

    #[instrument(fields(other = 1))]
    fn closure(&self, other: &dyn fmt::Debug) -> Option<Box<dyn Fn() -> u8 + '_>> {
        let length = format!("{other:?}").len();
        (length > 0).then(|| -> Box<dyn Fn() -> u8> { Box::new(|| self.0) })
    }
}

trait Works {
    #[instrument(skip(self))]
    fn by_default(&self, number: u8) -> u8 {
        number
    }

    fn later(&self) -> impl Future<Output = u8> + Send;
}

impl Works for Thing {
    #[instrument]
    async fn later(&self) -> u8 {
        ready(self.0).await
    }
}

macro_rules! made {
    ($name:ident, $argument:ident: $ty:ty, $given:expr) => {
        #[instrument(skip($argument), fields(more = $argument + 1), ret)]
        async fn $name($argument: $ty) -> $ty {
            $given
        }
    };
}
made!(made_by_a_macro, number: u8, number * 2);

fn assert_send<T: Send>(value: T) -> T {
    value
}

#[test]
fn it_takes_functions_of_many_shapes() {
    let seen = record(async {
        assert_eq!(names(1, 2, 3, 4, None), Ok(10));
        assert_eq!(borrows_at_its_end(&Mutex::new(vec![1])), 1);
        tokio::select! {
            biased;
            _ = never_returns(true) => {}
            () = ready(()) => {}
        }
        assert_eq!(assert_send(infers("3")).await.unwrap().len(), 2);
        assert_eq!(Arc::new(Thing(1)).shared(), 1);
        assert_eq!(pin!(Thing(2)).pinned(), 2);
        let mut thing = Thing(3);
        *thing.part().await.unwrap() += 1;
        assert_eq!(thing.closure(&"other").unwrap()(), 4);
        assert_eq!(thing.by_default(5), 5);
        assert_eq!(assert_send(thing.later()).await, 4);
        assert_eq!(thing.consumed(), 5);
        assert_eq!(made_by_a_macro(6).await, 12);
    });
    let spans = seen.iter().filter(|seen| seen.is_span);
    let names: Vec<&str> = spans.map(|seen| &*seen.name).collect();
    assert_eq!(
        names,
        [
            "names",
            "borrows_at_its_end",
            "never_returns",
            "infers",
            "shared",
            "pinned",
            "part",
            "closure",
            "by_default",
            "later",
            "consumed",
            "made_by_a_macro",
        ]
    );
    assert_eq!(
        seen[1].fields,
        [
            "value=3u",
            "given=4u",
            "cause=\"None\"",
            "span=1i",
            "guard=2u"
        ]
    );
}
