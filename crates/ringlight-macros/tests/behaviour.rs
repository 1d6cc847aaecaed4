//! The same functions under `tracing`'s attribute and under ours: what is recorded of them must be the same.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod seen;

use seen::{Seen, record};

/// What both attributes are put on; the module says which of them is `instrument`.
macro_rules! functions {
    () => {
        use std::fmt;
        use std::pin::Pin;

        const NAME: &str = "named by a constant";
        const TARGET: &str = "a constant target";
        const KEY: &str = "constant.key";

        #[derive(Debug, Clone, Copy, PartialEq)]
        pub(super) struct Point {
            x: i32,
            y: i32,
        }

        #[derive(Debug)]
        struct Broken(u8);

        impl fmt::Display for Broken {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "broken {}", self.0)
            }
        }

        #[instrument]
        fn plain() {
            tracing::info!("inside");
        }

        #[instrument]
        fn arguments(flag: bool, count: u64, text: &str, owned: String, point: Point, ratio: f64) -> usize {
            text.len() + owned.len() + usize::from(flag) + count as usize + point.x as usize + ratio as usize
        }

        #[instrument]
        fn patterns(Point { x, y: renamed }: Point, (left, mut right): (u8, u8), &by: &u8, _: u8) -> u8 {
            right += left;
            by + right + x as u8 + renamed as u8
        }

        #[instrument]
        fn generic<T, const N: usize>(all: [T; N], one: impl fmt::Debug) -> usize
        where
            T: Clone + fmt::Debug,
        {
            let _ = one;
            all.to_vec().len()
        }

        #[instrument(name = "named otherwise", target = "another::target", level = "warn")]
        fn described() {}

        #[instrument("named at once", level = 2)]
        fn named_at_once() {}

        #[instrument(name = NAME, target = TARGET, level = tracing::Level::ERROR)]
        fn by_constants() {}

        #[instrument(level = "trace", skip(secret), fields(more = 1, shown = %point.x, debug = ?point, a.b.c = true, later, count = "own"))]
        fn fields(secret: &str, point: Point, count: u8) {
            tracing::Span::current().record("later", secret.len());
            let _ = count;
        }

        #[instrument(skip_all, fields(?point, %count, {KEY} = 3))]
        fn short_fields(point: Point, count: u8) {
            let _ = (point, count);
        }

        #[instrument(ret)]
        fn gives(count: u8) -> Option<u8> {
            if count == 0 {
                return None;
            }
            Some(count)
        }

        #[instrument(ret(Display, level = "warn"))]
        fn shows(count: u8) -> String {
            format!("<{count}>")
        }

        #[instrument(err)]
        fn fails(count: u8) -> Result<u8, Broken> {
            Err(Broken(count))?;
            unreachable!()
        }

        #[instrument(err(Debug, level = "info"), ret, level = "debug")]
        fn may_fail(count: u8) -> Result<impl fmt::Debug, Broken> {
            if count > 1 { Err(Broken(count)) } else { Ok(count) }
        }

        #[instrument(err, skip(point))]
        fn changes(point: &mut Point, by: i32) -> Result<i32, Broken> {
            point.x += by;
            Ok(point.x)
        }

        #[instrument(parent = &parent, skip(parent))]
        fn child_of(parent: tracing::Span) {
            drop(parent);
        }

        #[instrument(parent = None, skip_all)]
        fn root() {}

        #[instrument(follows_from = causes, skip(causes))]
        fn follows(causes: Vec<tracing::Id>) {}

        #[instrument(follows_from = causes, skip(causes))]
        async fn follows_later(causes: Vec<tracing::Id>) {}

        #[instrument]
        async fn waits(count: u8, text: &str) -> usize {
            tokio::task::yield_now().await;
            tracing::debug!(count, "after the pause");
            plain();
            text.len()
        }

        #[instrument(ret, err, skip(text))]
        async fn asks(text: String) -> Result<u8, Box<dyn std::error::Error + Send + Sync>> {
            tokio::task::yield_now().await;
            let number: u8 = text.parse()?;
            Ok(number)
        }

        #[instrument(err)]
        async fn asks_only() -> Result<(), Broken> {
            tokio::task::yield_now().await;
            Err(Broken(7))
        }

        #[instrument(ret)]
        async fn gives_later() -> impl fmt::Debug {
            [1, 2]
        }

        #[instrument(fields(of = "a future"))]
        fn future(count: u8) -> impl Future<Output = u8> {
            let twice = count * 2;
            async move {
                tokio::task::yield_now().await;
                twice
            }
        }

        #[instrument(ret)]
        fn boxed(count: u8) -> Pin<Box<dyn Future<Output = u8> + Send>> {
            Box::pin(async move {
                if count == 0 {
                    return 0;
                }
                boxed(count - 1).await + 1
            })
        }

        #[instrument]
        fn begins_nothing_to_wait_for(count: u8) -> Pin<Box<dyn Future<Output = u8> + Send>> {
            Box::pin(std::future::ready(count))
        }

        impl Point {
            #[instrument]
            fn origin() -> Self {
                Self { x: 0, y: 0 }
            }

            #[instrument(ret)]
            fn moved(&mut self, by: i32) -> i32 {
                self.x += by;
                self.x
            }

            #[instrument(fields(sum = self.x + self.y))]
            async fn summed(&self) -> i32 {
                self.x + self.y
            }

            #[instrument(skip(self), level = "warn")]
            fn consumed(self) -> i32 {
                self.y
            }
        }

        #[async_trait::async_trait]
        trait Shape {
            async fn area(&self, scale: i32) -> i32;
            async fn name(&self) -> Result<String, std::num::ParseIntError>;
        }

        #[async_trait::async_trait]
        impl Shape for Point {
            #[instrument(ret, fields(x = self.x))]
            async fn area(&self, scale: i32) -> i32 {
                tokio::task::yield_now().await;
                self.x * self.y * scale
            }

            #[instrument(skip_all, err)]
            async fn name(&self) -> Result<String, std::num::ParseIntError> {
                "none".parse::<i32>().map(|number| number.to_string())
            }
        }

        #[instrument]
        /// Attributes below and in it stay.
        #[inline]
        #[must_use]
        unsafe extern "C" fn foreign(count: u8) -> u8 {
            #![expect(unused_variables, reason = "it proves that it is in the body")]
            let unused = 1;
            count
        }

        fn sync() {
            plain();
            let mut point = Point { x: 1, y: 2 };
            assert_eq!(arguments(true, 2, "text", "owned".to_owned(), point, 0.5), 13);
            assert_eq!(patterns(point, (3, 4), &5, 6), 15);
            assert_eq!(generic(["a", "b"], Some(1)), 2);
            described();
            named_at_once();
            by_constants();
            fields("secret", point, 8);
            short_fields(point, 9);
            assert_eq!(gives(0), None);
            assert_eq!(gives(1), Some(1));
            assert_eq!(shows(2), "<2>");
            assert_eq!(fails(3).unwrap_err().0, 3);
            assert!(may_fail(1).is_ok() && may_fail(2).is_err());
            assert_eq!(changes(&mut point, 4).unwrap(), 5);
            let parent = tracing::info_span!("parent");
            parent.in_scope(root);
            follows(parent.id().into_iter().collect());
            child_of(parent);
            assert_eq!(Point::origin().moved(2), 2);
            assert_eq!(point.consumed(), 2);
            drop(begins_nothing_to_wait_for(1));
        }

        pub(super) async fn all() {
            sync();
            assert_eq!(waits(1, "abc").await, 3);
            assert_eq!(asks("5".to_owned()).await.unwrap(), 5);
            assert!(asks("five".to_owned()).await.is_err());
            assert!(asks_only().await.is_err());
            gives_later().await;
            assert_eq!(future(3).await, 6);
            assert_eq!(boxed(2).await, 2);
            let point = Point { x: 2, y: 3 };
            assert_eq!(point.summed().await, 5);
            assert_eq!(point.area(2).await, 12);
            assert!(point.name().await.is_err());
            let cause = tracing::info_span!("cause");
            follows_later(cause.id().into_iter().collect()).await;
            // Begun, never polled: no span of it.
            drop(waits(2, ""));
            let _ = foreign as unsafe extern "C" fn(u8) -> u8;
        }
    };
}

mod stock {
    use tracing::instrument;
    functions!();
}

mod ours {
    use ringlight::instrument;
    functions!();
}

#[test]
fn it_records_what_the_attribute_of_tracing_records() {
    let with_module = |module: &str, seen: Vec<Seen>| -> Vec<String> {
        let module = format!("behaviour::{module}");
        let line = |seen: Seen| seen.to_string().replace(&module, "behaviour::both");
        seen.into_iter().map(line).collect()
    };
    let stock = with_module("stock", record(stock::all()));
    let ours = with_module("ours", record(ours::all()));
    for (stock, ours) in stock.iter().zip(&ours) {
        assert_eq!(ours, stock);
    }
    assert_eq!(ours.len(), stock.len());
    // As many spans as there are calls, lest both record nothing.
    let spans = ours.iter().filter(|line| line.starts_with("span "));
    assert_eq!(spans.count(), 39, "{ours:#?}");
}
