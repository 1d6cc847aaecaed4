//! What channels with a bound and without one have in common. Tokio has two sets of types for them, so that a macro says it once.

/// The fields of the ends of a kind of channel, and what those of either kind can do.
macro_rules! ends {
    (
        $Sender:ident, $WeakSender:ident, $Receiver:ident, $Link:ident;
        a closed queue: $closed:expr;
        fill of $queue:ident: $fill:expr
    ) => {
        #[doc = concat!("Sends to the one [`", stringify!($Receiver), "`]; see [`tokio::sync::mpsc::", stringify!($Sender), "`].")]
        // The channel goes first: once the last link is dropped, nobody sends any more.
        pub struct $Sender<T> {
            pub(super) inner: mpsc::$Sender<T>,
            link: Arc<$Link<T>>,
            /// That of the link, at hand.
            sent: Number,
        }

        impl<T> $Sender<T> {
            #[inline]
            pub(super) fn new(inner: mpsc::$Sender<T>, link: Arc<$Link<T>>) -> Self {
                let sent = link.sent;
                Self { inner, link, sent }
            }

            /// Waits until the receiver is closed.
            pub async fn closed(&self) {
                self.inner.closed().await;
            }

            /// Whether the receiver is closed.
            pub fn is_closed(&self) -> bool {
                self.inner.is_closed()
            }

            /// Whether both send to the same receiver.
            pub fn same_channel(&self, other: &Self) -> bool {
                self.inner.same_channel(&other.inner)
            }

            /// A sender that does not keep the channel open.
            #[must_use = "a weak sender does nothing by itself"]
            pub fn downgrade(&self) -> $WeakSender<T> {
                $WeakSender {
                    inner: self.inner.downgrade(),
                    link: Arc::clone(&self.link),
                }
            }

            /// How many senders there are.
            pub fn strong_count(&self) -> usize {
                self.inner.strong_count()
            }

            /// How many weak senders there are.
            pub fn weak_count(&self) -> usize {
                self.inner.weak_count()
            }
        }

        impl<T> Clone for $Sender<T> {
            fn clone(&self) -> Self {
                Self::new(self.inner.clone(), Arc::clone(&self.link))
            }
        }

        impl<T> fmt::Debug for $Sender<T> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.inner.fmt(f)
            }
        }

        #[doc = concat!("A sender that does not keep the channel open; see [`tokio::sync::mpsc::", stringify!($WeakSender), "`].")]
        pub struct $WeakSender<T> {
            inner: mpsc::$WeakSender<T>,
            link: Arc<$Link<T>>,
        }

        impl<T> $WeakSender<T> {
            /// A sender, unless all others are gone.
            pub fn upgrade(&self) -> Option<$Sender<T>> {
                let inner = self.inner.upgrade()?;
                Some($Sender::new(inner, Arc::clone(&self.link)))
            }

            /// How many senders there are.
            pub fn strong_count(&self) -> usize {
                self.inner.strong_count()
            }

            /// How many weak senders there are.
            pub fn weak_count(&self) -> usize {
                self.inner.weak_count()
            }
        }

        impl<T> Clone for $WeakSender<T> {
            fn clone(&self) -> Self {
                Self {
                    inner: self.inner.clone(),
                    link: Arc::clone(&self.link),
                }
            }
        }

        impl<T> fmt::Debug for $WeakSender<T> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.inner.fmt(f)
            }
        }

        #[doc = concat!("Receives what is sent; see [`tokio::sync::mpsc::", stringify!($Receiver), "`].")]
        pub struct $Receiver<T> {
            inner: mpsc::$Receiver<T>,
            link: Arc<$Link<T>>,
            /// That of the link, at hand.
            received: Number,
        }

        impl<T> $Receiver<T> {
            fn new(inner: mpsc::$Receiver<T>, link: Arc<$Link<T>>) -> Self {
                let received = link.received;
                Self {
                    inner,
                    link,
                    received,
                }
            }

            /// So many messages were received.
            #[inline]
            fn took(&self, count: usize) {
                match self.received.here() {
                    Some(received) => received.add(count as u64),
                    None => self.link.took(count, &self.inner),
                }
            }

            /// Waits for the next value; `None` once the channel is closed and empty.
            ///
            /// # Cancel safety
            /// When it is dropped before it is done, nothing was received.
            pub async fn recv(&mut self) -> Option<T> {
                poll_fn(|context| self.poll_recv(context)).await
            }

            /// Waits for values and appends up to `limit`; returns how many, 0 once the channel is closed and
            /// empty, or if that is the limit.
            ///
            /// # Cancel safety
            /// When it is dropped before it is done, nothing was received.
            pub async fn recv_many(&mut self, buffer: &mut Vec<T>, limit: usize) -> usize {
                poll_fn(|context| self.poll_recv_many(context, buffer, limit)).await
            }

            /// Takes a value that is there.
            ///
            /// # Errors
            /// There is none for now, or the channel is closed and empty.
            #[inline]
            pub fn try_recv(&mut self) -> Result<T, TryRecvError> {
                let value = self.inner.try_recv()?;
                self.took(1);
                Ok(value)
            }

            /// As [`recv`](Self::recv), blocking the thread.
            ///
            /// # Panics
            /// It is called in an asynchronous task.
            #[track_caller]
            pub fn blocking_recv(&mut self) -> Option<T> {
                let value = self.inner.blocking_recv();
                if value.is_some() {
                    self.took(1);
                }
                value
            }

            /// As [`recv_many`](Self::recv_many), blocking the thread.
            ///
            /// # Panics
            /// It is called in an asynchronous task.
            #[track_caller]
            pub fn blocking_recv_many(
                &mut self,
                buffer: &mut Vec<T>,
                limit: usize,
            ) -> usize {
                let count = self.inner.blocking_recv_many(buffer, limit);
                self.took(count);
                count
            }

            /// As [`recv`](Self::recv), in a future of one's own.
            #[inline]
            pub fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Option<T>> {
                let polled = self.inner.poll_recv(cx);
                if matches!(polled, Poll::Ready(Some(_))) {
                    self.took(1);
                }
                polled
            }

            /// As [`recv_many`](Self::recv_many), in a future of one's own.
            #[inline]
            pub fn poll_recv_many(
                &mut self,
                cx: &mut Context<'_>,
                buffer: &mut Vec<T>,
                limit: usize,
            ) -> Poll<usize> {
                let polled = self.inner.poll_recv_many(cx, buffer, limit);
                if let Poll::Ready(count) = polled {
                    self.took(count);
                }
                polled
            }

            /// Lets nobody send any more; what was sent is still there.
            pub fn close(&mut self) {
                self.inner.close();
            }

            /// Whether nobody can send any more.
            pub fn is_closed(&self) -> bool {
                self.inner.is_closed()
            }

            /// Whether nothing is in the channel.
            pub fn is_empty(&self) -> bool {
                self.inner.is_empty()
            }

            /// How many values are in the channel.
            pub fn len(&self) -> usize {
                self.inner.len()
            }

            /// How many senders there are.
            pub fn sender_strong_count(&self) -> usize {
                self.inner.sender_strong_count()
            }

            /// How many weak senders there are.
            pub fn sender_weak_count(&self) -> usize {
                self.inner.sender_weak_count()
            }
        }

        impl<T> RecvInSpan for $Receiver<T> {
            type Message = T;

            async fn recv_in_span(&mut self) -> Option<(T, Span)> {
                let value = self.inner.recv().await?;
                Some((value, self.link.took_in_span(&self.inner)))
            }
        }

        impl<T> fmt::Debug for $Receiver<T> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.inner.fmt(f)
            }
        }

        impl<T> Drop for $Receiver<T> {
            fn drop(&mut self) {
                self.link.end(&mut self.inner, || $closed);
            }
        }

        impl<T> Queue for mpsc::$Receiver<T> {
            type Item = T;

            fn close(&mut self) {
                self.close();
            }

            fn len(&self) -> usize {
                self.len()
            }

            fn fill(&self) -> Option<(usize, usize)> {
                let $queue = self;
                $fill
            }

            fn poll_many(
                &mut self,
                context: &mut Context<'_>,
                buffer: &mut Vec<T>,
                limit: usize,
            ) -> Poll<usize> {
                self.poll_recv_many(context, buffer, limit)
            }
        }
    };
}
pub(super) use ends;
