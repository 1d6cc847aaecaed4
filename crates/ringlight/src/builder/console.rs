//! `tokio-console` beside the recording.

use tracing_core::Subscriber;
use tracing_subscriber::Layer;
use tracing_subscriber::registry::LookupSpan;

use crate::InitError;
use crate::config::Environment;

#[cfg(feature = "tokio-console")]
use super::Builder;

/// Whether `tokio-console` is to see tasks, and where it connects to.
#[derive(Debug, Default)]
pub(super) struct Console {
    #[cfg(feature = "tokio-console")]
    is_wanted: bool,
    #[cfg(feature = "tokio-console")]
    address: Option<std::net::SocketAddr>,
}

#[cfg(feature = "tokio-console")]
impl Builder {
    /// Lets [`tokio-console`](https://docs.rs/tokio-console) see the tasks of this process. It connects to
    /// `TOKIO_CONSOLE_BIND`, by default `127.0.0.1:6669`, where a thread of its own answers until the process ends.
    ///
    /// Tokio tells of its tasks only in a program that is built with `RUSTFLAGS="--cfg tokio_unstable"`. What it
    /// tells goes to the console alone; layers given to [`beside`](Self::beside) come on top, whichever is called
    /// first. It is not part of [`layer`](Self::layer). Tasks of the pipeline are not shown.
    ///
    /// ```no_run
    /// # fn main() -> Result<(), ringlight::InitError> {
    /// let _telemetry = ringlight::builder().tokio_console().init()?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// [`build`](Self::build) and [`init`](Self::init) then also fail where the program was built without that flag,
    /// and where `TOKIO_CONSOLE_BIND` is no address.
    pub fn tokio_console(mut self) -> Self {
        self.console.is_wanted = true;
        self
    }
}

#[cfg(not(feature = "tokio-console"))]
impl Console {
    #[expect(clippy::unnecessary_wraps, reason = "with the feature it may fail")]
    pub(super) const fn find_place(self, _: &Environment) -> Result<Self, InitError> {
        Ok(self)
    }

    /// None.
    pub(super) fn layer<S>(self) -> Option<impl Layer<S> + Send + Sync>
    where
        S: Subscriber + for<'a> LookupSpan<'a>,
    {
        let Self {} = self;
        None::<tracing_subscriber::layer::Identity>
    }
}

#[cfg(feature = "tokio-console")]
impl Console {
    /// Learns where the console connects to, if it is wanted.
    pub(super) fn find_place(mut self, environment: &Environment) -> Result<Self, InitError> {
        const VARIABLE: &str = "TOKIO_CONSOLE_BIND";
        const DEFAULT: &str = "127.0.0.1:6669";

        if !self.is_wanted {
            return Ok(self);
        }
        if !cfg!(tokio_unstable) {
            return Err(InitError::TokioConsole {
                reason: "tokio tells nothing of its tasks in this build".to_owned(),
                hint: "build the program with `RUSTFLAGS=\"--cfg tokio_unstable\"`, or leave \
                       `tokio_console()` out",
            });
        }
        let place = environment.get(VARIABLE);
        let place = place.as_deref().unwrap_or(DEFAULT);
        let mut found = std::net::ToSocketAddrs::to_socket_addrs(place)
            .into_iter()
            .flatten();
        self.address = found.next();
        if self.address.is_none() {
            return Err(InitError::TokioConsole {
                reason: format!("{VARIABLE}: `{place}` is no address"),
                hint: "write host and port, for instance `127.0.0.1:6669`",
            });
        }
        Ok(self)
    }

    /// What shows tasks to the console, if it is wanted; and begins to answer it.
    pub(super) fn layer<S>(self) -> Option<impl Layer<S> + Send + Sync>
    where
        S: Subscriber + for<'a> LookupSpan<'a>,
    {
        use ringlight_collector::in_pipeline;
        use tracing_subscriber::filter::dynamic_filter_fn;

        let address = self.address?;
        let console = console_subscriber::ConsoleLayer::builder().server_addr(address);
        let (layer, server) = console.build();
        let thread = std::thread::Builder::new().name("ringlight-console".to_owned());
        // The thread is one of a pipeline's: what answers does not show itself.
        let thread = thread.spawn(move || {
            ringlight_collector::mark_thread();
            if let Err(error) = serve(server) {
                crate::notice::say(format_args!(
                    "`tokio-console` cannot connect to {address}: {error}; hint: another \
                     process may have that port: set TOKIO_CONSOLE_BIND"
                ));
            }
        });
        if let Err(error) = thread {
            crate::notice::say(format_args!(
                "`tokio-console` sees nothing: the system has no thread to give: {error}"
            ));
            return None;
        }
        let filter = dynamic_filter_fn(|metadata, _| is_of_tokio(metadata) && !in_pipeline());
        Some(layer.with_filter(filter.with_callsite_filter(|metadata| {
            if is_of_tokio(metadata) {
                tracing_core::Interest::sometimes()
            } else {
                tracing_core::Interest::never()
            }
        })))
    }
}

/// Whether tokio says it of its tasks and resources.
#[cfg(feature = "tokio-console")]
fn is_of_tokio(metadata: &tracing_core::Metadata<'_>) -> bool {
    let target = metadata.target();
    target.starts_with("tokio")
        || target.starts_with("runtime")
        || metadata.name().starts_with("runtime.")
}

#[cfg(feature = "tokio-console")]
fn serve(
    server: console_subscriber::Server,
) -> Result<(), Box<dyn std::error::Error + Send + Sync + 'static>> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .build()?;
    runtime.block_on(server.serve())
}

#[cfg(all(test, feature = "tokio-console"))]
mod tests {
    use crate::LogFormat;

    /// What it comes to if the variable is this.
    fn built(place: &str) -> Result<(), String> {
        let builder = crate::builder()
            .environment([("TOKIO_CONSOLE_BIND", place)])
            .log_format(LogFormat::Off);
        let built = builder.tokio_console().build();
        built.map(drop).map_err(|error| error.to_string())
    }

    #[cfg(not(tokio_unstable))]
    #[test]
    fn without_what_tokio_tells_there_is_no_console() {
        let error = built("127.0.0.1:0").unwrap_err();
        assert!(error.contains("--cfg tokio_unstable"), "{error}");
    }

    #[cfg(tokio_unstable)]
    #[test]
    fn an_address_must_be_one() {
        let error = built("nowhere").unwrap_err();
        assert!(
            error.contains("TOKIO_CONSOLE_BIND: `nowhere` is no address"),
            "{error}"
        );
        assert_eq!(built("127.0.0.1:0"), Ok(()));
    }
}
