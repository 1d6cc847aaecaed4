//! `tokio-console` beside the recording.

use tracing_core::Subscriber;
use tracing_subscriber::Layer;
use tracing_subscriber::registry::LookupSpan;

#[cfg(feature = "tokio-console")]
use super::Builder;

/// Where `tokio-console` connects to, if it is to see tasks, and who is told where it cannot.
#[derive(Debug)]
pub(super) struct Console {
    #[cfg(feature = "tokio-console")]
    pub(super) place: Option<(std::net::SocketAddr, ringlight_collector::Notices)>,
}

#[cfg(feature = "tokio-console")]
impl Builder {
    /// Lets [`tokio-console`](https://docs.rs/tokio-console) see the tasks of this process, as `RINGLIGHT_TOKIO_CONSOLE` and
    /// `tokio_console` in the [file](crate::settings) do. It connects to `TOKIO_CONSOLE_BIND` (or `tokio_console_bind` of the
    /// file), by default `127.0.0.1:6669`, where a thread of its own answers until the process ends.
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
    /// and where `TOKIO_CONSOLE_BIND` is no address; a variable or the file that asks for it is then warned about and
    /// ignored.
    pub fn tokio_console(mut self) -> Self {
        self.inputs.console = crate::config::ConsoleInput::Wanted;
        self
    }
}

#[cfg(not(feature = "tokio-console"))]
impl Console {
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
    /// What shows tasks to the console, if it is wanted; and begins to answer it.
    pub(super) fn layer<S>(self) -> Option<impl Layer<S> + Send + Sync>
    where
        S: Subscriber + for<'a> LookupSpan<'a>,
    {
        use ringlight_collector::in_pipeline;
        use tracing_subscriber::filter::dynamic_filter_fn;

        let (address, notices) = self.place?;
        let told = notices.clone();
        let console = console_subscriber::ConsoleLayer::builder().server_addr(address);
        let (layer, server) = console.build();
        let thread = std::thread::Builder::new().name("ringlight-console".to_owned());
        // The thread is one of a pipeline's: what answers does not show itself.
        let thread = thread.spawn(move || {
            ringlight_collector::mark_thread();
            if let Err(error) = serve(server) {
                let message = format!(
                    "`tokio-console` cannot connect to {address}: {error}; hint: another \
                     process may have that port: set TOKIO_CONSOLE_BIND"
                );
                crate::notice::of_recording(&told, message);
            }
        });
        if let Err(error) = thread {
            let message =
                format!("`tokio-console` sees nothing: the system has no thread to give: {error}");
            crate::notice::of_recording(&notices, message);
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
    use crate::{Builder, LogFormat};

    fn builder(variables: &[(&str, &str)]) -> Builder {
        crate::builder()
            .environment(variables.iter().copied())
            .log_format(LogFormat::Off)
    }

    /// With what a file of settings says.
    #[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
    fn with_file(settings: &str) -> (tempfile::TempDir, Builder) {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("ringlight.toml");
        std::fs::write(&file, format!("[telemetry]\n{settings}")).unwrap();
        let builder = builder(&[]).config_file(file);
        (folder, builder)
    }

    /// What it comes to if the code asks for it and the variable is this.
    fn built(place: &str) -> Result<(), String> {
        let builder = builder(&[("TOKIO_CONSOLE_BIND", place)]).tokio_console();
        let built = builder.build();
        built.map(drop).map_err(|error| error.to_string())
    }

    #[cfg(not(tokio_unstable))]
    #[test]
    fn without_what_tokio_tells_there_is_no_console() {
        let error = built("127.0.0.1:0").unwrap_err();
        assert!(error.contains("--cfg tokio_unstable"), "{error}");
        // It is no part of a layer.
        let layer = builder(&[])
            .tokio_console()
            .layer::<tracing_subscriber::Registry>();
        assert!(layer.is_ok());
    }

    #[cfg(not(tokio_unstable))]
    #[test]
    fn a_variable_that_asks_in_vain_is_warned_about() {
        let warnings = |asked| {
            let builder = builder(&[("RINGLIGHT_TOKIO_CONSOLE", asked)]);
            assert!(builder.build().is_ok());
            let builder = self::builder(&[("RINGLIGHT_TOKIO_CONSOLE", asked)]);
            let holds = builder.effective_settings().unwrap();
            // Not for a tool that looks at the settings of another build.
            assert_eq!(holds.warnings, [""; 0]);
            holds.build_warnings
        };
        let told = warnings("true");
        assert!(
            told.len() == 1 && told[0].starts_with("`RINGLIGHT_TOKIO_CONSOLE` is ignored: tokio"),
            "{told:?}"
        );
        assert_eq!(warnings("false"), [""; 0]);
    }

    #[cfg(not(tokio_unstable))]
    #[test]
    fn a_file_that_asks_in_vain_is_warned_about() {
        let warnings = |asked: &str| {
            let (_folder, builder) = with_file(asked);
            assert!(builder.build().is_ok());
            let (_folder, builder) = with_file(asked);
            builder.effective_settings().unwrap().build_warnings
        };
        let told = warnings("tokio_console = true\n");
        assert!(
            told.len() == 1
                && told[0].contains("`tokio_console`")
                && told[0].contains(" is ignored: tokio"),
            "{told:?}"
        );
        assert_eq!(warnings("tokio_console = false\n"), [""; 0]);
    }

    /// Nothing answers, so no port is open, however it was asked for.
    #[test]
    fn what_is_off_has_no_console() {
        let place = |disabled: &'static str, asks: fn(Builder) -> Builder| {
            let said = [
                ("OTEL_SDK_DISABLED", disabled),
                ("RINGLIGHT_TOKIO_CONSOLE", "true"),
                ("TOKIO_CONSOLE_BIND", "127.0.0.1:0"),
            ];
            let (_, _telemetry, console) = asks(builder(&said)).start().unwrap();
            console.place.map(|(address, _)| address.port())
        };
        assert_eq!(place("true", |builder| builder), None);
        assert_eq!(place("true", Builder::tokio_console), None);
        if cfg!(tokio_unstable) {
            assert_eq!(place("false", |builder| builder), Some(0));
        }
    }

    #[cfg(tokio_unstable)]
    #[test]
    fn an_address_must_be_one() {
        let error = built("nowhere").unwrap_err();
        assert!(
            error.contains("`TOKIO_CONSOLE_BIND` is `nowhere`, which is no address"),
            "{error}"
        );
        assert_eq!(built("127.0.0.1:0"), Ok(()));
    }

    #[cfg(tokio_unstable)]
    #[test]
    fn a_file_asks_for_it_and_says_where() {
        use std::net::{TcpListener, TcpStream};
        use std::time::{Duration, Instant};

        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        let place = free.local_addr().unwrap();
        drop(free);
        let settings =
            |asked: bool| format!("tokio_console = {asked}\ntokio_console_bind = \"{place}\"\n");
        let (_folder, builder) = with_file(&settings(false));
        let (_, _telemetry, console) = builder.start().unwrap();
        assert!(console.place.is_none());

        let (_folder, builder) = with_file(&settings(true));
        let _running = builder.build().unwrap();
        // It answers as soon as its thread runs.
        let deadline = Instant::now() + Duration::from_secs(60);
        while let Err(error) = TcpStream::connect(place) {
            assert!(Instant::now() < deadline, "{place}: {error}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    #[cfg(tokio_unstable)]
    #[test]
    fn a_variable_asks_for_it_too() {
        let asked = |place: &str| {
            let said = [
                ("RINGLIGHT_TOKIO_CONSOLE", "true"),
                ("TOKIO_CONSOLE_BIND", place),
            ];
            builder(&said).effective_settings().unwrap().warnings
        };
        assert_eq!(asked("127.0.0.1:0"), [""; 0]);
        let told = asked("nowhere");
        assert!(
            told.len() == 1 && told[0].contains("no address"),
            "{told:?}"
        );
    }
}
